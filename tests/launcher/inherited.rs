//! Descriptors that the program does not inherit.

use std::net::{TcpListener, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use crate::support::preload::torify;

/// A shell that says where its descriptors 0, 207 and 208 lead.
fn shell(udp: &UdpSocket, tcp: &TcpListener) -> Command {
    let mut command = torify("/bin/sh");
    command.args(["-c", "for fd in 0 207 208; do readlink /proc/$$/fd/$fd || echo none; done"]);
    command.stdin(Stdio::from(OwnedFd::from(udp.try_clone().expect("a descriptor is free"))));
    let (udp, tcp) = (udp.as_raw_fd(), tcp.as_raw_fd());
    let inherit = move || {
        for (source, target) in [(udp, 207), (tcp, 208)] {
            // SAFETY: two integers.
            if unsafe { libc::dup2(source, target) } < 0 {
                return Err(std::io::Error::last_os_error());
            }
        }
        Ok(())
    };
    // SAFETY: the closure makes system calls only.
    unsafe { command.pre_exec(inherit) };
    command
}

fn sockets() -> (UdpSocket, TcpListener) {
    let any = ("127.0.0.1", 0);
    (UdpSocket::bind(any).expect("a UDP socket"), TcpListener::bind(any).expect("a TCP socket"))
}

#[test]
fn a_program_gets_no_socket_that_it_could_just_write_to() {
    let (udp, tcp) = sockets();
    let output = shell(&udp, &tcp).output().expect("the launcher runs");
    let seen = String::from_utf8_lossy(&output.stdout);
    let lines: Vec<_> = seen.lines().collect();
    assert_eq!(lines[..2], ["/dev/null", "none"], "{output:?}");
    assert!(lines[2].starts_with("socket:"), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(said.matches("can't go through Tor").count(), 2, "{said}");
}

#[test]
fn a_program_gets_every_socket_where_passed_sockets_are_allowed() {
    let (udp, tcp) = sockets();
    let mut command = shell(&udp, &tcp);
    let output = command.env("EPOCHSOCKS_PASSED_SOCKETS", "allow").output();
    let output = output.expect("the launcher runs");
    let seen = String::from_utf8_lossy(&output.stdout);
    assert_eq!(seen.matches("socket:").count(), 3, "{output:?}");
}
