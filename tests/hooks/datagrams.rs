//! UDP sockets: tests/probes/datagrams.c.

use std::net::UdpSocket;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::scene::{command, echoing_proxy, ends, play};
use crate::support::preload::hermetic;
use crate::support::preload_library;
use crate::support::process::{finish, text};

#[test]
fn udp_sockets_may_be_asked() {
    play("datagrams", "questions", &echoing_proxy());
}

#[test]
fn udp_sockets_stay_on_the_loopback_interface() {
    play("datagrams", "confined", &echoing_proxy());
}

/// promise: UDP
#[test]
fn udp_sockets_send_nothing() {
    play("datagrams", "own", &echoing_proxy());
}

/// promise: Sockets that no hook has seen
#[test]
fn sockets_that_no_hook_has_seen_send_nothing() {
    play("datagrams", "foreign", &echoing_proxy());
}

#[test]
fn a_number_is_not_taken_for_the_udp_socket_that_it_was() {
    play("datagrams", "numbers", &echoing_proxy());
}

#[test]
fn datagrams_reach_localhost_where_that_is_allowed() {
    let mut command = command("datagrams", "localhost", &echoing_proxy());
    command.env("EPOCHSOCKS_ALLOW_OUTBOUND_LOCALHOST", "2");
    ends(command);
}

#[test]
fn routes_of_a_socket_that_was_made_elsewhere_lead_no_connection_past_tor() {
    play("datagrams", "routes", &echoing_proxy());
}

#[test]
fn a_refused_port_is_told_once_with_program_and_destination() {
    let mut command = command("datagrams", "own", &echoing_proxy());
    let output = finish(&mut command, Duration::from_secs(30));
    let said = text(&output);
    assert_eq!(said.matches("datagrams to 192.0.2.1:123 refused").count(), 1, "{said}");
    assert!(said.contains("warning: datagrams: datagrams to"), "{said}");
}

#[test]
fn without_the_launcher_no_socket_is_inherited_that_could_just_be_written_to() {
    let udp = UdpSocket::bind("127.0.0.1:0").expect("a UDP socket");
    let confined = UdpSocket::bind("127.0.0.1:0").expect("a UDP socket");
    epochsocks::sys::net::confine(confined.as_raw_fd()).expect("lo is there");
    let mut command = Command::new("/bin/sh");
    hermetic(&mut command).env("LD_PRELOAD", preload_library()).env("EPOCHSOCKS_CONF_FILE", "none");
    command.args(["-c", "for fd in 0 207 208; do readlink /proc/$$/fd/$fd || echo none; done"]);
    command.stdin(Stdio::from(OwnedFd::from(udp.try_clone().expect("a descriptor is free"))));
    let (udp, confined) = (udp.as_raw_fd(), confined.as_raw_fd());
    // SAFETY: the closure makes system calls only.
    unsafe {
        command.pre_exec(move || {
            for (source, target) in [(udp, 207), (confined, 208)] {
                if libc::dup2(source, target) < 0 {
                    return Err(std::io::Error::last_os_error());
                }
            }
            Ok(())
        });
    }
    let output = command.output().expect("a shell");
    let seen = text(&output);
    assert!(seen.starts_with("/dev/null\nnone\nsocket:"), "{seen}");
    assert_eq!(seen.matches("can't go through Tor").count(), 2, "{seen}");
}
