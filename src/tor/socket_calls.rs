//! The calls that a handshake needs of a socket.

use core::time::Duration;

use crate::sys::{Errno, net};

/// System calls of dialling and driving. A hook passes libc's cancellation points, the library's
/// own sockets go to the [`Kernel`].
pub trait SocketCalls {
    /// connect(2).
    fn connect(&self, fd: i32, address: &[u8]) -> Result<(), Errno>;
    /// Waits at most `timeout` for one of `events`; 0 is the timeout. `EINTR` is reported.
    fn poll(&self, fd: i32, events: i16, timeout: Duration) -> Result<i16, Errno>;
}

/// Raw system calls.
pub struct Kernel;

impl SocketCalls for Kernel {
    fn connect(&self, fd: i32, address: &[u8]) -> Result<(), Errno> {
        net::connect(fd, address)
    }

    fn poll(&self, fd: i32, events: i16, timeout: Duration) -> Result<i16, Errno> {
        net::poll(fd, events, timeout)
    }
}
