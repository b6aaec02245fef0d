//! `getsockopt(SO_ERROR)`, `ioctl(FIONREAD)`, `shutdown`: what a program asks of a socket while it
//! is connecting.

use core::ffi::{c_int, c_long, c_ulong, c_void};

use epochsocks::registry::Registry;
use epochsocks::sys::{Errno, net};
use libc::socklen_t;

use crate::pending::{self, Standing, concerns, drive, quiet};
use crate::registry::REGISTRY;
use crate::{errno, real};

/// # Safety
/// As getsockopt(2).
pub unsafe fn getsockopt(
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *mut c_void,
    length: *mut socklen_t,
) -> c_int {
    // SAFETY: the caller's contract.
    let real = || unsafe { real::getsockopt(fd, level, name, value, length) };
    if quiet() || level != libc::SOL_SOCKET || name != libc::SO_ERROR || !concerns(fd) {
        return real();
    }
    let owed = match drive(fd) {
        Standing::Failed => pending::take_error(fd),
        _ => None,
    };
    let result = real();
    if let (0, Some(Errno(owed))) = (result, owed) {
        // SAFETY: the kernel has just written as many bytes there.
        unsafe {
            let bytes = owed.to_ne_bytes();
            let room = (*length as usize).min(bytes.len());
            core::ptr::copy_nonoverlapping(bytes.as_ptr(), value.cast(), room);
        }
    }
    result
}

/// # Safety
/// As ioctl(2).
pub unsafe fn ioctl(fd: c_int, request: c_ulong, argument: c_long) -> c_int {
    if !quiet() && request == libc::FIONREAD && concerns(fd) && drive(fd).is_pending() {
        // What has arrived is the proxy's.
        let nothing: *mut c_int = core::ptr::with_exposed_provenance_mut(argument as usize);
        if nothing.is_null() {
            return errno::fail(Errno(libc::EFAULT));
        }
        // SAFETY: the caller's contract for FIONREAD.
        unsafe { *nothing = 0 };
        return 0;
    }
    // SAFETY: the caller's contract.
    unsafe { real::ioctl(fd, request, argument) }
}

/// # Safety
/// As shutdown(2).
pub unsafe fn shutdown(fd: c_int, how: c_int) -> c_int {
    if !quiet() && concerns(fd) && drive(fd).is_pending() {
        if !matches!(how, libc::SHUT_RD | libc::SHUT_WR | libc::SHUT_RDWR) {
            return errno::fail(Errno(libc::EINVAL));
        }
        // As Linux does with a socket that is connecting: it is unconnected again.
        pending::cancel(fd);
        return match net::disconnect(fd) {
            Ok(()) => 0,
            Err(errno) => errno::fail(errno),
        };
    }
    // SAFETY: the caller's contract.
    unsafe { real::shutdown(fd, how) }
}

/// Lets the handshake of `fd` go on, so that what is asked of the record is up to date.
pub fn refresh(fd: c_int) {
    if !quiet() && REGISTRY.contains(fd) {
        drive(fd);
    }
}
