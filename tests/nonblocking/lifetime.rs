//! A handshake in flight belongs to the socket, in whichever process, and to no other socket.

use crate::scene::{command, ends, late_proxy, play};

const PROBE: &str = "nonblocking_lifetime";

#[test]
fn shutdown_ends_a_handshake() {
    play(PROBE, "shutdown");
}

/// promise: invariant 1
#[test]
fn duplicates_share_the_handshake() {
    play(PROBE, "duplicates");
}

/// promise: invariant 1
/// promise: Handshakes that a child drove
#[test]
fn a_parent_and_its_child_both_see_the_end_of_one_handshake() {
    play(PROBE, "fork");
}

#[test]
fn a_handshake_goes_on_in_one_process_when_the_other_closes_the_socket() {
    play(PROBE, "closed-in-one");
}

/// promise: invariant 3
#[test]
fn a_handshake_outlives_the_parent_of_a_daemon() {
    play(PROBE, "daemonize");
}

#[test]
fn a_program_that_is_executed_gets_no_half_connected_socket() {
    play(PROBE, "exec");
}

/// promise: invariant 4
/// promise: Duplicates by file actions
#[test]
fn a_program_that_is_spawned_gets_no_half_connected_socket_under_another_number() {
    play(PROBE, "spawned-by-another-number");
}

#[test]
fn flags_of_descriptors_are_the_programs_own_while_a_thread_is_in_system() {
    play(PROBE, "flags");
}

#[test]
fn wordexps_shells_get_no_half_connected_socket() {
    play(PROBE, "expanded");
}

#[test]
fn an_interrupted_connect_goes_on() {
    play(PROBE, "interrupted");
}

#[test]
fn a_connect_that_may_wait_gives_up_after_the_programs_own_timeout_and_goes_on() {
    play(PROBE, "impatient");
}

/// promise: invariant 4
/// promise: Clean-up of a cancelled thread
#[test]
fn a_cancelled_thread_holds_no_handshake() {
    play(PROBE, "cancelled");
}

#[test]
fn a_thread_whose_connect_another_one_replaces_does_not_spin() {
    play(PROBE, "renewed");
}

#[test]
fn the_programs_socket_options_stay() {
    play(PROBE, "options");
}

/// promise: invariant 3
#[test]
fn closing_in_a_signal_handler_ends_a_handshake_safely() {
    play(PROBE, "closed-in-handler");
}

#[test]
fn clearing_o_nonblock_makes_the_next_call_wait() {
    play(PROBE, "cleared");
}

#[test]
fn a_program_that_is_started_gets_no_half_connected_socket() {
    play(PROBE, "spawned");
}

#[test]
fn a_socket_that_is_sent_in_the_middle_is_connected_where_it_comes_out() {
    let mut command = command(PROBE, "passed", &late_proxy(0));
    command.env("EPOCHSOCKS_PASSED_SOCKETS", "torified");
    ends(command);
}
