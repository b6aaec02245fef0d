//! `getpeername`: the destination that the program asked for, not Tor's port.

use core::ffi::c_int;
use core::net::SocketAddr;

use epochsocks::policy::address::encode;
use epochsocks::registry::Registry;
use epochsocks::sys::Errno;
use libc::{sockaddr, socklen_t};

use super::socket_state;
use crate::pending::concerns;
use crate::registry::REGISTRY;
use crate::{errno, real};

/// # Safety
/// As getpeername(2).
pub unsafe fn getpeername(fd: c_int, address: *mut sockaddr, length: *mut socklen_t) -> c_int {
    socket_state::refresh(fd);
    let destination = REGISTRY
        .borrow(fd, |record| record.connection().map(|connection| connection.destination))
        .flatten();
    match destination {
        // SAFETY: the caller's contract.
        Some(destination) => match unsafe { write(&destination, address, length) } {
            Ok(()) => 0,
            Err(errno) => errno::fail(errno),
        },
        None if concerns(fd) => errno::fail(Errno(libc::ENOTCONN)),
        // SAFETY: the caller's contract.
        None => unsafe { real::getpeername(fd, address, length) },
    }
}

/// Writes as many bytes as there is room for and the full length, as POSIX says.
///
/// # Safety
/// `address` is null or has `*length` bytes; `length` is null or valid.
unsafe fn write(
    destination: &SocketAddr,
    address: *mut sockaddr,
    length: *mut socklen_t,
) -> Result<(), Errno> {
    if address.is_null() || length.is_null() {
        return Err(Errno(libc::EFAULT));
    }
    let (bytes, full) = encode(destination);
    // SAFETY: not null, and the caller's contract.
    unsafe {
        let room = *length;
        if room > i32::MAX as socklen_t {
            return Err(Errno(libc::EINVAL));
        }
        core::ptr::copy_nonoverlapping(bytes.as_ptr(), address.cast(), full.min(room as usize));
        *length = full as socklen_t;
    }
    Ok(())
}
