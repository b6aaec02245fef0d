//! Every way past Tor that a program may try: each leaks without the library, none with it.

use crate::subject::{Subject, network_with};
use crate::support::process::probe;

/// Asserts that nothing goes out by these ways of tests/probes/leak.c.
fn nothing_leaves_by(ways: &[&str]) {
    let Some(network) = network_with(&["cc"]) else { return };
    for way in ways {
        let program = Subject::new(probe("leak")).arg(way);
        program.must_leak_without_the_library(network);
        let seen = program.run(network);
        assert_eq!(seen.output.status.code(), Some(0), "{way}: {seen:#?}");
    }
}

/// promise: UDP
#[test]
fn no_datagram_leaves() {
    nothing_leaves_by(&["sendto", "sendmsg", "sendmmsg", "udp-connect"]);
}

#[test]
fn no_fast_open_leaves() {
    nothing_leaves_by(&["fast-open", "fast-open-connect"]);
}

#[test]
fn no_call_by_another_name_leaves() {
    nothing_leaves_by(&["system-calls", "alias", "handle"]);
}

#[test]
fn no_other_kind_of_socket_leaves() {
    nothing_leaves_by(&["raw-socket", "packet-socket", "mptcp"]);
}

#[test]
fn no_option_leads_elsewhere() {
    nothing_leaves_by(&["source-route", "interface"]);
}

#[test]
fn nothing_inside_libc_leaves() {
    nothing_leaves_by(&["rcmd", "rexec", "ruserok"]);
}
