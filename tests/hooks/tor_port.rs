//! Programs that speak SOCKS to Tor's port by themselves: tests/probes/tor_port.c.

use crate::scene::{echoing_proxy, play};

#[test]
fn the_tor_port_is_reached_in_every_form_of_connect() {
    let proxy = echoing_proxy();
    play("tor_port", "forms", &proxy);
    let requests = proxy.recorded().into_iter().filter(|message| message.len() > 3);
    assert!(requests.clone().all(|request| request[5..].starts_with(b"x.onion")));
    assert_eq!(requests.count(), 5);
}

#[test]
fn a_socket_that_leads_through_tor_does_not_reach_the_tor_port() {
    play("tor_port", "occupied", &echoing_proxy());
}

#[test]
fn nothing_beside_the_tor_port_is_reached() {
    play("tor_port", "neighbours", &echoing_proxy());
}

#[test]
fn a_socket_at_the_tor_port_is_not_taken_for_one_that_leads_through_tor() {
    play("tor_port", "handed-on", &echoing_proxy());
}
