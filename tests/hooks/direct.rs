//! Connections that go past Tor because the user wants it: tests/probes/inbound.c.

use std::io::Write;
use std::net::TcpListener;
use std::thread;

use crate::scene::{command, echoing_proxy, ends};
use crate::support::hosts_file::with_hosts_file;

#[test]
fn with_inbound_on_loopback_servers_listen_there() {
    let mut command = command("inbound", "loopback", &echoing_proxy());
    command.env("EPOCHSOCKS_ALLOW_INBOUND", "loopback");
    ends(command);
}

#[test]
fn a_socket_that_inbound_on_loopback_has_bound_reaches_tor() {
    let proxy = echoing_proxy();
    let mut command = command("inbound", "connects", &proxy);
    command.env("EPOCHSOCKS_ALLOW_INBOUND", "loopback");
    ends(command);
    assert_eq!(proxy.recorded().len(), 2, "one handshake: {:?}", proxy.recorded());
}

/// The port of a server on 127.0.0.1 that greets.
fn greeting() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has ports");
    let port = listener.local_addr().expect("a listener has an address").port();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.write_all(b"hello\0");
        }
    });
    port
}

#[test]
fn what_is_allowed_directly_is_reached_and_its_neighbours_are_not() {
    let (proxy, port) = (echoing_proxy(), greeting());
    let mut command = command("inbound", "direct", &proxy);
    command.env("EPOCHSOCKS_ALLOW_DIRECT", format!("10.0.0.0/24:81,127.0.0.1:{port}"));
    command.env("DIRECT_PORT", port.to_string());
    ends(command);
    assert_eq!(proxy.recorded().len(), 2, "one handshake: {:?}", proxy.recorded());
}

#[test]
fn the_address_of_a_name_that_is_allowed_directly_is_reached() {
    let (proxy, port) = (echoing_proxy(), greeting());
    let mut command = command("inbound", "direct", &proxy);
    command.env("EPOCHSOCKS_ALLOW_DIRECT", format!("service.lan:{port}"));
    command.env("DIRECT_PORT", port.to_string());
    let entries = "127.0.0.1 localhost\n127.0.0.1 service.lan\n192.168.1.1 nas.lan\n";
    if let Some(command) = with_hosts_file(&command, "service", entries) {
        ends(command);
    }
}
