//! Connects a program's own socket to Tor's SOCKS port.

use core::fmt;
use core::net::{IpAddr, SocketAddr};

use super::drive::wait;
use super::{Deadline, DriveError, SocketCalls};
use crate::policy::Refusal;
use crate::policy::address::encode;
use crate::sys::{Errno, net};

/// Reason that the Tor port was not reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DialError {
    /// The socket's family can't reach the Tor port.
    Refused(Refusal),
    /// connect(2) failed.
    Connect(Errno),
    /// Waiting for it failed or took too long.
    Wait(DriveError),
}

impl DialError {
    /// The errno for the program.
    pub fn errno(&self) -> Errno {
        match self {
            DialError::Refused(refusal) => refusal.errno(),
            DialError::Connect(errno) => *errno,
            DialError::Wait(error) => error.errno(),
        }
    }
}

impl fmt::Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DialError::Refused(refusal) => refusal.fmt(f),
            DialError::Connect(Errno(libc::ECONNREFUSED)) => f.write_str(
                "nothing listens there: is the Tor daemon running, and TorPort its SocksPort?",
            ),
            DialError::Connect(errno) => errno.fmt(f),
            DialError::Wait(error) => error.fmt(f),
        }
    }
}

/// The address by which `fd`, a TCP socket of `domain`, reaches the SOCKS port at `tor`: an IPv6
/// socket reaches an IPv4 port by its mapped address (RFC 4291, 2.5.5.2), for which `IPV6_V6ONLY`
/// is cleared.
pub fn target(fd: i32, domain: i32, tor: SocketAddr) -> Result<SocketAddr, Refusal> {
    match (domain, tor.ip()) {
        (libc::AF_INET, IpAddr::V4(_)) | (libc::AF_INET6, IpAddr::V6(_)) => Ok(tor),
        (libc::AF_INET6, IpAddr::V4(ip)) => {
            allow_mapped(fd)?;
            Ok(SocketAddr::new(ip.to_ipv6_mapped().into(), tor.port()))
        }
        _ => Err(Refusal::TorAddressFamily),
    }
}

/// Binds `fd`, a socket of the library's own that is to reach Tor's port, to the loopback interface, if
/// `is_confined`: if the program's sockets are bound. Of two sockets that go to the same port either both are
/// bound or none is: where Linux looks for a local port for one that is not, it does not see those that are.
/// It gives the port of a live connection a second time, and Tor's answer to the one ends the other, or is
/// taken for a refusal.
pub fn confine_like_others(fd: i32, is_confined: bool) {
    if is_confined {
        // Where the kernel refuses (before Linux 5.7), the program's sockets are not bound, either.
        let _ = net::confine(fd);
    }
}

/// Connects `fd`, a TCP socket of `domain`, to the SOCKS port at `tor` (see [`target`]).
pub fn dial(
    calls: &impl SocketCalls,
    fd: i32,
    domain: i32,
    tor: SocketAddr,
    deadline: Deadline,
) -> Result<(), DialError> {
    let target = target(fd, domain, tor).map_err(DialError::Refused)?;
    let (bytes, length) = encode(&target);
    match calls.connect(fd, &bytes[..length]) {
        Ok(()) => Ok(()),
        Err(Errno(libc::EINPROGRESS | libc::EINTR)) => finish(calls, fd, deadline),
        Err(errno) => Err(DialError::Connect(errno)),
    }
}

fn allow_mapped(fd: i32) -> Result<(), Refusal> {
    // SAFETY: IPV6_V6ONLY is an int.
    let only = unsafe { net::option::<i32>(fd, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY) };
    if only != Ok(0) {
        // Linux answers EINVAL once the socket is bound.
        net::set_option(fd, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, &0i32)
            .map_err(|_| Refusal::BoundV6Only)?;
    }
    Ok(())
}

fn finish(calls: &impl SocketCalls, fd: i32, deadline: Deadline) -> Result<(), DialError> {
    wait(calls, fd, libc::POLLOUT, deadline).map_err(DialError::Wait)?;
    match net::take_error(fd) {
        Ok(0) => Ok(()),
        Ok(errno) | Err(Errno(errno)) => Err(DialError::Connect(Errno(errno))),
    }
}
