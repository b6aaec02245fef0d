//! Cancellation points, for handshakes that run inside a hook: a thread that is cancelled in `connect` ends while it
//! waits.

use core::ffi::c_int;
use core::time::Duration;

use epochsocks::sys::Errno;
use epochsocks::tor::SocketCalls;

use crate::real;

/// The next connect and poll.
pub struct Libc;

impl SocketCalls for Libc {
    fn connect(&self, fd: i32, address: &[u8]) -> Result<(), Errno> {
        // SAFETY: the address is `address.len()` bytes.
        let result = unsafe {
            real::connect_carrying(fd, address.as_ptr().cast(), address.len() as libc::socklen_t)
        };
        check(result).map(drop)
    }

    fn poll(&self, fd: i32, events: i16, timeout: Duration) -> Result<i16, Errno> {
        let mut entry = libc::pollfd { fd, events, revents: 0 };
        // Rounded up, so that the wait does not end before the deadline and spin.
        let milliseconds = timeout.as_millis().saturating_add(1).min(c_int::MAX as u128) as c_int;
        // SAFETY: libc's poll, with one pollfd of ours.
        let result = unsafe { real::poll(&mut entry, 1, milliseconds) };
        check(result).map(|_| entry.revents)
    }
}

fn check(result: c_int) -> Result<c_int, Errno> {
    if result < 0 { Err(Errno(crate::errno::get())) } else { Ok(result) }
}
