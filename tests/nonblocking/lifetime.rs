//! A handshake in flight belongs to the socket, whoever has it, and to nobody else.

use crate::scene::play;

#[test]
fn data_wait_for_the_handshake() {
    play("data");
}

#[test]
fn shutdown_ends_a_handshake() {
    play("shutdown");
}

#[test]
fn duplicates_share_the_handshake() {
    play("duplicates");
}

#[test]
fn a_parent_and_its_child_both_see_the_end_of_one_handshake() {
    play("fork");
}

#[test]
fn a_handshake_outlives_the_parent_of_a_daemon() {
    play("daemonize");
}

#[test]
fn a_program_that_is_executed_gets_no_half_spoken_socket() {
    play("exec");
}

#[test]
fn an_interrupted_connect_goes_on() {
    play("interrupted");
}

#[test]
fn a_connect_that_may_wait_gives_up_after_the_programs_own_timeout_and_goes_on() {
    play("impatient");
}

#[test]
fn a_cancelled_thread_holds_no_handshake() {
    play("cancelled");
}

#[test]
fn the_programs_socket_options_stay() {
    play("options");
}

#[test]
fn closing_in_a_signal_handler_ends_a_handshake_safely() {
    play("closed-in-handler");
}
