//! Calls that no hook sees are stopped by the kernel: each way leaks under the library alone, and none under the
//! backstop. The ways are those of tests/probes/assembly.c.

use std::path::Path;

use crate::subject::{LEAK_LIMIT, Subject, network_with};
use crate::support::process::{probe, probe_as};
use crate::support::{Network, skip};

/// Runs `subject`, which leaks without a backstop and not with it; what the kernel said is on its output.
fn is_stopped(network: &Network, subject: &Subject, said: &str) {
    let mut unstopped = subject.torified_by(&["--no-backstop"]);
    let caught = network.run_until_leak(&mut unstopped, LEAK_LIMIT);
    assert!(!caught.leaks.is_empty(), "the trap misses this program: {caught:#?}");
    let seen = subject.run(network);
    assert!(seen.stdout().contains(said), "no {said:?}: {seen:#?}");
}

fn way(name: &str) -> Subject {
    Subject::new(probe("assembly")).arg(name)
}

/// Asserts that the backstop stops these ways, with these words.
fn are_stopped(ways: &[(&str, &str)]) {
    let Some(network) = network_with(&["cc"]) else { return };
    for (name, said) in ways {
        is_stopped(network, &way(name), said);
    }
}

/// promise: A socket comes from a hook
/// promise: Code that does not call the C library
#[test]
fn a_socket_made_in_assembly_is_refused() {
    are_stopped(&[
        ("socket", "socket: EACCES"),
        ("thread", "socket: EACCES"),
        ("datagram", "socket: EACCES"),
        ("datagram-message", "socket: EACCES"),
        ("packet", "socket: EACCES"),
    ]);
}

/// promise: A socket comes from a hook
#[test]
fn a_hook_leaves_the_secret_in_no_register() {
    are_stopped(&[("socket-after-a-hook", "socket: EACCES")]);
}

/// promise: A hook's socket stays on the machine
/// The socket is bound to the loopback interface, and Landlock, where the kernel has it, refuses the port.
#[test]
fn what_is_connected_in_assembly_stays_on_the_machine() {
    are_stopped(&[("connect", "connect: E"), ("fast-open", ""), ("fast-open-message", "")]);
}

/// promise: No ring, no other table
#[test]
fn there_is_no_io_uring() {
    are_stopped(&[("ring", "io_uring_setup: ENOSYS")]);
}

/// promise: No ring, no other table
#[cfg(target_arch = "x86_64")]
#[test]
fn there_are_no_system_calls_of_32_bit_programs() {
    are_stopped(&[("i386", "socket: ENOSYS")]);
}

/// promise: No ring, no other table
/// A kernel that lacks the table stops it, too.
#[cfg(target_arch = "x86_64")]
#[test]
fn there_are_no_system_calls_of_the_x32_table() {
    let Some(network) = network_with(&["cc"]) else { return };
    let seen = way("x32").run(network);
    assert!(seen.stdout().contains("socket: ENOSYS"), "{seen:#?}");
}

/// promise: A socket comes from a hook
/// promise: Code that does not call the C library
#[test]
fn functions_of_a_c_library_that_no_hook_is_before_are_refused() {
    are_stopped(&[("library", "socket: EACCES")]);
}

/// promise: The filter stays
/// promise: static programs, Go programs
#[test]
fn a_program_that_is_executed_in_assembly_makes_no_socket() {
    let Some(network) = network_with(&["cc"]) else { return };
    let dynamic = probe("leak");
    let fixed = probe_as("leak-static", "leak", &["-static", "-Wno-error"]);
    for program in [&dynamic, &fixed] {
        is_stopped(network, &way("execve").arg(program), "");
    }
}

/// promise: Helpers that speak no IP
#[test]
fn a_static_helper_makes_no_socket() {
    let Some(network) = network_with(&["cc"]) else { return };
    let program = probe_as("leak-static", "leak", &["-static", "-Wno-error"]);
    let list = program.to_str().expect("a path of text");
    let subject =
        Subject::new(&program).arg("system-calls").flag("--unprotected-helpers").flag(list);
    is_stopped(network, &subject, "");
}

/// promise: The filter stays
/// A process that has been let out of the environment is not let out of the filter.
#[test]
fn a_cleared_environment_keeps_the_secret() {
    let Some(network) = network_with(&["curl", "env"]) else { return };
    let words = ["-i", "curl", "--silent", "http://v4only.test/peer"];
    let seen = Subject::new("env").args(words).succeed(network);
    assert_eq!(seen.stdout(), "198.51.100.9\n", "{seen:#?}");
}

/// promise: The filter stays
/// The launch inside has the filter and the secret of the one around it.
#[test]
fn a_launch_in_a_launch_goes_through_tor() {
    let Some(network) = network_with(&["curl"]) else { return };
    let launcher = Path::new(env!("CARGO_BIN_EXE_epochsocks"));
    let words = ["curl", "--silent", "http://v4only.test/peer"];
    for flag in ["--isolate", "--no-backstop"] {
        let seen = Subject::new(launcher).arg(flag).args(words).succeed(network);
        assert_eq!(seen.stdout(), "198.51.100.9\n", "{seen:#?}");
    }
    is_stopped(
        network,
        &Subject::new(launcher).arg("--quiet").arg(probe("assembly")).arg("socket"),
        "EACCES",
    );
}

/// bubblewrap puts what it starts into namespaces, chromium's like do so with filters of their own.
#[test]
fn programs_in_sandboxes_of_their_own_go_through_tor() {
    let Some(network) = network_with(&["curl"]) else { return };
    let fetch = ["curl", "--silent", "http://v4only.test/peer"];
    let inside = ["--ro-bind", "/", "/", "--dev", "/dev", "--unshare-user", "--unshare-pid"];
    for (program, words) in [("bwrap", &inside[..]), ("unshare", &["--user", "--mount"])] {
        if !skip::missing(&[program]).is_empty() {
            skip::skip(program);
            continue;
        }
        let seen = Subject::new(program).args(words).args(fetch).succeed(network);
        assert_eq!(seen.stdout(), "198.51.100.9\n", "{seen:#?}");
    }
}
