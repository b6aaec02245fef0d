//! A program's view of its sockets.

use crate::subject::{Subject, assert_connected, network_with};
use crate::support::process::probe;

const ECHO: [&str; 2] = ["198.51.100.1", "7"];

/// promise: connect again, on the socket or a duplicate
#[test]
fn a_connected_socket_cannot_be_connected_again_not_even_through_a_duplicate() {
    let Some(network) = network_with(&["cc"]) else { return };
    let seen = Subject::new(probe("connect")).args(ECHO).succeed_where_it_would_leak(network);
    let stdout = seen.stdout();
    assert!(stdout.contains("again EISCONN\nduplicate EISCONN\necho echo\n"), "{stdout}");
    assert_eq!(seen.asked.len(), 1, "the second connect asks nothing of Tor: {:#?}", seen.asked);
}

#[test]
fn of_connects_on_duplicates_at_once_one_succeeds_and_asks_tor() {
    let Some(network) = network_with(&["cc"]) else { return };
    let seen = Subject::new(probe("race")).args(ECHO).succeed(network);
    assert_eq!(seen.stdout(), "1 succeeded, 15 refused\n", "{seen:#?}");
    assert_eq!(seen.asked.len(), 1, "{:#?}", seen.asked);
}

/// promise: getpeername
#[test]
fn getpeername_is_the_destination() {
    let Some(network) = network_with(&["cc"]) else { return };
    let seen = Subject::new(probe("connect")).args(ECHO).succeed(network);
    assert!(seen.stdout().contains("connect ok\npeer 198.51.100.1 port 7\n"), "{seen:#?}");
    assert_connected(&seen, "198.51.100.1", 7);
}

#[test]
fn a_connection_leaves_no_descriptor_behind() {
    let Some(network) = network_with(&["cc"]) else { return };
    for port in ["7", "9"] {
        let seen = Subject::new(probe("connect")).args(["198.51.100.1", port]).succeed(network);
        assert!(seen.stdout().ends_with("descriptors +0\n"), "{seen:#?}");
    }
}
