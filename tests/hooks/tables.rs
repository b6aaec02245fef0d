//! Descriptor tables that are not one for the process: tests/probes/tables.c.

use crate::scene::{echoing_proxy, play};

#[test]
fn a_thread_with_descriptors_of_its_own_sees_no_others_peer() {
    play("tables", "threads", &echoing_proxy());
}

#[test]
fn a_process_that_shares_descriptors_leaves_no_peer_behind() {
    play("tables", "processes", &echoing_proxy());
}
