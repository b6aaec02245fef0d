//! torsocks' promises to its users, call by call, against a real Tor.

use crate::subject::{Subject, network_with};
use crate::support::process::probe;
use crate::support::{Network, Observed};

fn scene(network: &Network, name: &str) -> Subject {
    Subject::new(probe("torsocks")).args([name, network.onion()])
}

fn play(name: &str) {
    let Some(network) = network_with(&["cc"]) else { return };
    ended(&scene(network, name).succeed(network));
}

/// For a scene that asks for something outside.
fn play_where_it_would_leak(name: &str) {
    let Some(network) = network_with(&["cc"]) else { return };
    ended(&scene(network, name).succeed_where_it_would_leak(network));
}

fn ended(seen: &Observed) {
    assert_eq!(seen.stdout(), "done\n", "{seen:#?}");
}

#[test]
fn every_lookup_function_finds_names_numbers_and_localhost() {
    play_where_it_would_leak("lookups");
}

#[test]
fn an_unknown_name_is_not_found_by_any_lookup_function() {
    play_where_it_would_leak("unknown");
}

#[test]
fn addresses_have_the_names_that_tor_knows() {
    play_where_it_would_leak("reverse");
}

#[test]
fn an_onion_name_has_a_cookie_by_every_lookup_function() {
    play_where_it_would_leak("onion");
}

#[test]
fn an_onion_service_is_connected_by_its_cookie() {
    play_where_it_would_leak("onion_connection");
}

#[test]
fn only_streams_and_local_sockets_reach_anything() {
    play("socket");
}

#[test]
fn connect_refuses_local_and_empty_addresses_and_what_is_no_stream() {
    play("connect");
}

#[test]
fn connect_of_a_unix_socket_is_libcs() {
    play("unix");
}

#[test]
fn getpeername_knows_the_destination_and_the_kernels_errors() {
    play_where_it_would_leak("getpeername");
}

/// promise: listen on a public address
#[test]
fn nobody_can_listen_for_others() {
    play("listen");
}

#[test]
fn a_passed_internet_socket_is_refused_and_everything_else_passes() {
    play("pass");
}

#[test]
fn a_child_and_its_parent_share_a_connection() {
    play_where_it_would_leak("fork");
}

#[test]
fn every_way_to_end_gives_the_status_of_the_program() {
    let Some(network) = network_with(&["cc"]) else { return };
    for way in ["exit", "_exit", "_Exit", "quick_exit", "exit_group", "return", "thread", "child"] {
        let ending = Subject::new(probe("torsocks")).args(["end", way]);
        ending.must_leak_without_the_library(network);
        let seen = ending.run(network);
        assert_eq!(seen.output.status.code(), Some(42), "{way}: {seen:#?}");
    }
}
