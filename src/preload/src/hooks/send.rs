//! `sendto`: a destination that rides on data is judged like connect's.

use core::ffi::{c_int, c_void};

use epochsocks::policy::connect::datagram;
use epochsocks::policy::{Address, Refusal};
use epochsocks::sys::Errno;
use libc::{size_t, sockaddr, socklen_t, ssize_t};

use super::arguments::{AddressArgument, socket_kind};
use super::connect::connect;
use crate::log::log;
use crate::{errno, real, runtime};

/// # Safety
/// As sendto(2).
pub unsafe fn sendto(
    fd: c_int,
    data: *const c_void,
    size: size_t,
    flags: c_int,
    address: *const sockaddr,
    length: socklen_t,
) -> ssize_t {
    if address.is_null() || length == 0 {
        // Fast Open needs an address; without one the kernel refuses it.
        // SAFETY: the caller's contract.
        return unsafe { real::sendto(fd, data, size, flags, address, length) };
    }
    // SAFETY: the caller's contract.
    match unsafe { judge(fd, flags, address, length) } {
        Err(errno) => errno::fail(errno),
        // SAFETY: the caller's contract; the address is a whole copy.
        Ok(Way::Plain(copy)) => unsafe {
            real::sendto(fd, data, size, flags, copy.as_ptr(), copy.length())
        },
        // SAFETY: the caller's contract.
        Ok(Way::ConnectFirst(copy)) => unsafe {
            if connect(fd, copy.as_ptr(), copy.length()) != 0 {
                return -1;
            }
            let flags = flags & !libc::MSG_FASTOPEN;
            real::sendto(fd, data, size, flags, core::ptr::null(), 0)
        },
    }
}

enum Way {
    /// The kernel ignores the address, or it may be reached.
    Plain(AddressArgument),
    /// Fast Open on TCP: connect through Tor, then send.
    ConnectFirst(AddressArgument),
}

/// # Safety
/// `address` has `length` bytes.
unsafe fn judge(
    fd: c_int,
    flags: c_int,
    address: *const sockaddr,
    length: socklen_t,
) -> Result<Way, Errno> {
    let kind = socket_kind(fd)?;
    // SAFETY: the caller's contract.
    let copy = unsafe { AddressArgument::copy(address, length)? };
    if !kind.is_inet() || kind.is_tcp() && flags & libc::MSG_FASTOPEN == 0 {
        return Ok(Way::Plain(copy));
    }
    if kind.is_tcp() {
        return Ok(Way::ConnectFirst(copy));
    }
    let refusal = match copy.parse() {
        Address::Inet(destination) => datagram(destination, runtime::loaded()),
        _ => Some(Refusal::NotAStream),
    };
    match refusal {
        None => Ok(Way::Plain(copy)),
        Some(refusal) => {
            log!(Warning, "sendto refused: {refusal}");
            Err(refusal.errno())
        }
    }
}
