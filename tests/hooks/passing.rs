//! Descriptors that come from elsewhere, seen from inside a C program: tests/probes/passing.c and
//! tests/probes/hand_over.c.

use std::time::Duration;

use crate::scene::{command, echoing_proxy, ends, play};
use crate::support::scripted_proxy::{Action, ScriptedProxy, method, reply};

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

#[test]
fn a_socket_passed_between_programs_keeps_its_destination() {
    play("hand_over", "pass", &echoing_proxy());
}

#[test]
fn a_passed_socket_leads_where_it_led_last() {
    play("hand_over", "again", &echoing_proxy());
}

#[test]
fn threads_that_pass_a_connection_at_once_all_prove_it() {
    play("hand_over", "at-once", &echoing_proxy());
}

#[test]
fn a_handshake_in_flight_has_ended_when_its_socket_is_passed() {
    let slow = Action::Delay(Duration::from_millis(200));
    let script = [Action::Greeting, method(0), Action::Request, slow, reply(0), Action::Echo];
    play("hand_over", "in-flight", &ScriptedProxy::start(&script));
}

#[test]
fn a_socket_of_which_nothing_is_told_or_of_another_connection_is_refused() {
    play("hand_over", "untold", &echoing_proxy());
}

#[test]
fn nothing_that_others_can_read_tells_where_a_socket_leads() {
    play("hand_over", "private", &echoing_proxy());
}

#[test]
fn a_socket_keeps_its_destination_over_exec() {
    play("hand_over", "exec", &echoing_proxy());
}

#[test]
fn a_socket_given_to_a_spawned_program_keeps_its_destination() {
    play("hand_over", "spawn", &echoing_proxy());
}
