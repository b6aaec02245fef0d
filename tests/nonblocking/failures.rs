//! A handshake that fails tells the program once, by its errno.

use std::net::{Ipv4Addr, TcpListener};

use crate::scene::{command, ends, late_proxy};
use crate::support::scripted_proxy::{Action, ScriptedProxy};

const PROBE: &str = "nonblocking_calls";

#[test]
fn a_failure_is_told_once() {
    ends(command(PROBE, "failure", &late_proxy(5)));
}

#[test]
fn a_proxy_that_is_down_fails_the_connect_by_the_socket() {
    // A port that was free a moment ago.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has ports");
    let port = listener.local_addr().expect("a listener has an address").port();
    drop(listener);
    let mut command = command(PROBE, "down", &late_proxy(0));
    command.env("EPOCHSOCKS_TOR_PORT", port.to_string());
    ends(command);
}

#[test]
fn a_silent_proxy_fails_every_wait_in_time() {
    let mut command = command(PROBE, "silence", &ScriptedProxy::start(&[Action::Hang]));
    command.env("EPOCHSOCKS_HANDSHAKE_TIMEOUT", "1");
    ends(command);
}
