//! A socket of the library's own.

use super::{Errno, close, net, syscall6};

/// A socket that the program does not know of: never 0 to 2, closed at exec and when dropped.
#[derive(Debug)]
pub struct OwnedSocket(i32);

impl OwnedSocket {
    /// A TCP socket of the family `domain`, in non-blocking mode. Errors: those of socket(2), and
    /// `EMFILE`. Async-signal-safe.
    pub fn stream(domain: i32) -> Result<OwnedSocket, Errno> {
        let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        let socket = OwnedSocket(net::socket(domain, kind, libc::IPPROTO_TCP)?);
        if socket.0 > libc::STDERR_FILENO { Ok(socket) } else { socket.moved_up() }
    }

    /// The descriptor.
    pub fn fd(&self) -> i32 {
        self.0
    }

    /// A program may have closed 0 to 2, and opens something else there next.
    fn moved_up(self) -> Result<OwnedSocket, Errno> {
        // SAFETY: F_DUPFD_CLOEXEC takes integers.
        Errno::check(unsafe {
            let lowest = libc::STDERR_FILENO as usize + 1;
            let command = libc::F_DUPFD_CLOEXEC as usize;
            syscall6(libc::SYS_fcntl, self.0 as usize, command, lowest, 0, 0, 0)
        })
        .map(|fd| OwnedSocket(fd as i32))
    }
}

impl Drop for OwnedSocket {
    fn drop(&mut self) {
        // The descriptor is gone whatever close(2) answers.
        let _ = close(self.0);
    }
}
