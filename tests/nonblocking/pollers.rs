//! A call that waits for a socket sees nothing of its handshake, and then the connection.

use crate::scene::play;

const PROBE: &str = "nonblocking_pollers";

/// promise: invariant 5
/// promise: connect on a non-blocking socket
#[test]
fn poll_sees_a_connect_as_the_kernel_would() {
    play(PROBE, "poll");
}

#[test]
fn ppoll_sees_a_connect_as_the_kernel_would() {
    play(PROBE, "ppoll");
}

/// promise: invariant 5
/// promise: connect on a non-blocking socket
#[test]
fn select_sees_a_connect_as_the_kernel_would() {
    play(PROBE, "select");
}

#[test]
fn pselect_sees_a_connect_as_the_kernel_would() {
    play(PROBE, "pselect");
}

/// promise: invariant 5
/// promise: connect on a non-blocking socket
#[test]
fn epoll_sees_a_connect_as_the_kernel_would() {
    play(PROBE, "epoll");
}

#[test]
fn fortified_programs_see_a_connect_as_the_kernel_would() {
    play(PROBE, "fortified");
}

#[test]
fn libcs_other_names_take_the_same_way() {
    play(PROBE, "aliases");
}

/// promise: invariant 6
#[test]
fn level_edge_oneshot_and_exclusive_registrations_are_the_programs_own_afterwards() {
    play(PROBE, "epoll-manners");
}

#[test]
fn epoll_ctl_answers_as_the_kernel_does_during_a_handshake() {
    play(PROBE, "epoll-control");
}

/// promise: invariant 5
#[test]
fn a_registration_before_the_connect_shows_nothing_of_the_handshake() {
    play(PROBE, "registered-before");
}

#[test]
fn threads_asleep_in_epoll_wait_before_the_connect_are_woken_by_its_end() {
    play(PROBE, "asleep");
}

/// promise: invariant 7
#[test]
fn other_descriptors_are_served_while_a_handshake_is_in_flight() {
    play(PROBE, "others");
}

/// promise: invariant 9
#[test]
fn no_wait_ends_before_its_time() {
    play(PROBE, "timeouts");
}

/// promise: invariant 9
#[test]
fn signal_masks_hold_for_the_time_of_the_call() {
    play(PROBE, "masks");
}

#[test]
fn hundreds_of_connects_take_about_one_answer() {
    play(PROBE, "many");
}

#[test]
fn ipv6_sockets_see_a_connect_as_the_kernel_would() {
    play(PROBE, "ipv6");
}
