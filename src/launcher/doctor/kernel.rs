//! Tests of the kernel features that the preload library needs.

use std::net::{TcpListener, UdpSocket};
use std::os::fd::AsRawFd;

use epochsocks::sys::{self, Errno, net};

use super::report::Report;
use crate::failure::describe;

/// A call that answers what the library would get.
type Trial = fn() -> Result<(), Errno>;

/// Each trial with what the library does with it.
const NEEDED: [(&str, Trial, &str); 2] = [
    ("kernel fork", wipes_on_fork, "a forked child notices that it is one (Linux 4.14)"),
    ("kernel sockets", tells_sockets_apart, "a socket is told from the next one with its number"),
];
const HELPFUL: (&str, Trial, &str) =
    ("kernel confine", confines_a_socket, "sockets are held on the loopback interface (Linux 5.7)");

/// Reports each; what is only helpful is a note where it is missing.
pub fn examine(report: &mut Report) {
    for (step, trial, what) in NEEDED {
        report.step(
            step,
            trial().map(|()| what).map_err(|errno| format!("not so: {what}: {}", describe(errno))),
        );
    }
    let (step, trial, what) = HELPFUL;
    match trial() {
        Ok(()) => report.step(step, Ok::<_, &str>(what)),
        Err(errno) => report.note(step, format!("not so: {what}: {}", describe(errno))),
    }
}

fn wipes_on_fork() -> Result<(), Errno> {
    const PAGE: usize = 4096;
    let page = sys::map_zeroed(PAGE)?;
    sys::wipe_on_fork(page, PAGE)
}

fn tells_sockets_apart() -> Result<(), Errno> {
    let socket = TcpListener::bind("127.0.0.1:0").map_err(errno)?;
    net::cookie(socket.as_raw_fd()).map(drop)
}

fn confines_a_socket() -> Result<(), Errno> {
    let socket = UdpSocket::bind("127.0.0.1:0").map_err(errno)?;
    net::confine(socket.as_raw_fd())
}

fn errno(error: std::io::Error) -> Errno {
    Errno(error.raw_os_error().unwrap_or(libc::EIO))
}
