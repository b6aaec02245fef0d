//! Calls on a socket whose handshake is in flight answer as the kernel's do on one that is connecting.

use crate::scene::play;

const PROBE: &str = "nonblocking_calls";

#[test]
fn data_wait_for_the_handshake() {
    play(PROBE, "data");
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
