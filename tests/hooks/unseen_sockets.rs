//! Sockets that a program makes or connects by system calls of its own and then gives to libc:
//! tests/probes/unseen_sockets.c.

use crate::scene::{echoing_proxy, play};

const PROBE: &str = "unseen_sockets";

/// promise: Sockets that no hook has seen
#[test]
fn a_udp_socket_that_no_hook_has_made_sends_nothing() {
    play(PROBE, "datagrams", &echoing_proxy());
}

/// promise: Sockets that no hook has seen
#[test]
fn a_udp_socket_sends_nothing_under_a_filter_of_the_programs_own() {
    play(PROBE, "filtered", &echoing_proxy());
}

/// promise: Sockets that no hook has seen
#[test]
fn a_tcp_socket_that_no_hook_has_connected_sends_nothing_to_other_machines() {
    for scene in ["stream", "connected", "dissolved"] {
        play(PROBE, scene, &echoing_proxy());
    }
}

#[test]
fn a_tcp_socket_that_no_hook_has_connected_sends_on_this_machine() {
    play(PROBE, "local", &echoing_proxy());
}

#[test]
fn an_inherited_connection_sends_under_every_number() {
    play(PROBE, "inherited", &echoing_proxy());
}

/// promise: Sockets that no hook has seen
#[test]
fn a_socket_of_another_family_is_connected_nowhere() {
    play(PROBE, "family", &echoing_proxy());
}

#[test]
fn a_number_that_was_a_files_is_looked_at_again() {
    play(PROBE, "numbers", &echoing_proxy());
}
