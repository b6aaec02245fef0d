//! Epoll sets: several for one socket, several threads for one, one in another.

use crate::scene::play;

const PROBE: &str = "nonblocking_epoll";

/// promise: invariant 6
#[test]
fn each_of_several_sets_tells_the_end_in_its_own_manner() {
    play(PROBE, "several-sets");
}

#[test]
fn a_ninth_registration_of_a_socket_in_flight_is_refused() {
    play(PROBE, "too-many-sets");
}

/// promise: invariant 6
#[test]
fn one_of_many_threads_that_wait_on_a_set_is_told_of_an_edge() {
    play(PROBE, "many-waiters");
}

/// promise: invariant 7
/// promise: Spent single shots
#[test]
fn a_single_shot_comes_once() {
    play(PROBE, "oneshot");
}

/// promise: Sets in sets
#[test]
fn a_set_in_a_set_tells_the_end() {
    play(PROBE, "nested");
}

/// promise: A dissolved connection in a set
#[test]
fn a_registration_outlives_a_dissolved_connection() {
    play(PROBE, "dissolved");
}

#[test]
fn nothing_is_left_of_a_dissolved_connection_whose_socket_is_closed() {
    play(PROBE, "dissolved-and-closed");
}

#[test]
fn a_set_has_the_same_registrations_by_each_of_its_numbers() {
    play(PROBE, "duplicate-of-a-set");
}

#[test]
fn the_next_set_of_a_number_tells_nothing_of_the_last_ones_sockets() {
    play(PROBE, "closed-set");
}

/// promise: A set under another number
#[test]
fn a_set_whose_number_is_closed_shows_the_first_step() {
    play(PROBE, "moved-set");
}

#[test]
fn a_child_that_closes_its_descriptors_takes_no_registration_from_its_parent() {
    play(PROBE, "closed-in-child");
}

#[test]
fn where_a_filter_keeps_a_set_from_telling_the_end_the_connect_fails() {
    play(PROBE, "denied");
}
