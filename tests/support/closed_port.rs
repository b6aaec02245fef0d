//! A port at which nothing listens.

use std::mem::zeroed;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// A port of 127.0.0.1 at which nothing listens, and which no other test gets: a socket is bound to it.
pub struct ClosedPort {
    number: u16,
    _socket: OwnedFd,
}

impl ClosedPort {
    /// Takes one.
    pub fn take() -> ClosedPort {
        // SAFETY: a fresh socket, which the OwnedFd closes.
        let socket = unsafe {
            let fd = libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0);
            assert!(fd >= 0, "a socket");
            OwnedFd::from_raw_fd(fd)
        };
        // SAFETY: an address is plain data.
        let mut address: libc::sockaddr_in = unsafe { zeroed() };
        address.sin_family = libc::AF_INET as libc::sa_family_t;
        address.sin_addr.s_addr = u32::from(Ipv4Addr::LOCALHOST).to_be();
        let mut length = size_of_val(&address) as libc::socklen_t;
        // SAFETY: one address and its length, alive and ours.
        let is_bound = unsafe {
            let place = (&raw mut address).cast::<libc::sockaddr>();
            libc::bind(socket.as_raw_fd(), place, length) == 0
                && libc::getsockname(socket.as_raw_fd(), place, &raw mut length) == 0
        };
        assert!(is_bound, "loopback has ports");
        ClosedPort { number: u16::from_be(address.sin_port), _socket: socket }
    }

    /// Its number.
    pub fn number(&self) -> u16 {
        self.number
    }
}
