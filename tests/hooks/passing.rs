//! Descriptors that come from elsewhere, seen from inside a C program: tests/probes/passing.c.

use crate::scene::{command, echoing_proxy, ends, play};

/// Plays `scene` with PassedSockets set to `value`.
fn play_with(value: &str, scene: &str) {
    let mut command = command("passing", scene, &echoing_proxy());
    command.env("EPOCHSOCKS_PASSED_SOCKETS", value);
    ends(command);
}

#[test]
fn a_passed_network_socket_is_refused() {
    play("passing", "refuse", &echoing_proxy());
}

#[test]
fn a_dropped_socket_leaves_the_rest_of_the_message() {
    play_with("drop", "drop");
}

#[test]
fn recvmmsg_loses_no_message() {
    play("passing", "many", &echoing_proxy());
    play_with("drop", "many");
}

#[test]
fn a_torified_socket_is_taken_and_keeps_its_destination() {
    play_with("torified", "torified");
}

#[test]
fn a_socket_that_is_allowed_in_goes_through_tor() {
    play_with("allow", "allow");
}

#[test]
fn a_passed_descriptor_has_no_stale_entry() {
    play("passing", "stale", &echoing_proxy());
}

#[test]
fn a_socket_taken_from_another_process_is_refused() {
    play("passing", "taken", &echoing_proxy());
}
