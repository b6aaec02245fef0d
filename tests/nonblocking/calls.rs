//! Calls on a socket whose handshake is in flight answer as the kernel's do on one that is connecting.

use crate::scene::{command, ends, late_proxy, play};
use crate::support::process::probe_as;

const PROBE: &str = "nonblocking_calls";

/// promise: invariant 5
#[test]
fn data_wait_for_the_handshake() {
    play(PROBE, "data");
}

/// promise: invariant 5
#[test]
fn questions_are_answered_as_of_a_socket_that_is_connecting() {
    play(PROBE, "questions");
}

#[test]
fn a_wait_with_memory_that_is_not_there_is_efault() {
    play(PROBE, "bad-pointers");
}

#[test]
fn what_libc_formats_waits_for_the_handshake() {
    play(PROBE, "formatted");
}

#[test]
fn requests_to_libcs_threads_begin_after_the_handshake() {
    play(PROBE, "requests");
}

#[test]
fn another_connect_does_not_end_the_handshake() {
    let mut command = command(PROBE, "other-addresses", &late_proxy(0));
    command.env("EPOCHSOCKS_ALLOW_OUTBOUND_LOCALHOST", "1");
    ends(command);
}

/// promise: Streams made before the connect
#[test]
fn a_stream_begins_after_the_handshake() {
    play(PROBE, "streams");
    ends(command(PROBE, "failed-stream", &late_proxy(5)));
}

#[test]
fn every_wait_takes_the_same_way_by_its_number() {
    play(PROBE, "syscall-waits");
}

#[test]
fn signal_masks_of_waits_hold_by_their_numbers() {
    play(PROBE, "syscall-masks");
}

#[test]
fn every_call_that_moves_data_takes_the_same_way_by_its_number() {
    play(PROBE, "syscall-data");
}

/// The probe behind a library that counts its waits and disturbs them.
fn watched(scene: &str) {
    let counter = probe_as("count_waits.so", "count_waits", &["-shared", "-fPIC"]);
    let mut command = command(PROBE, scene, &late_proxy(0));
    command.env("LD_PRELOAD", counter);
    ends(command);
}

/// promise: invariant 7
#[test]
fn nothing_waits_busily() {
    watched("sleeps");
}

/// promise: invariant 9
#[test]
fn a_signal_between_two_waits_of_a_call_ends_it() {
    watched("signalled");
}
