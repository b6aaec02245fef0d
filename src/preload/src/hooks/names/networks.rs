//! getnetbyname(3) and its relatives: where nsswitch.conf says `networks: dns`, libc would ask a
//! name server, and nothing tells beforehand whether it would. They know no network.

use core::ffi::{c_char, c_int};
use core::ptr::null_mut;

use libc::{netent, size_t};

use super::set_h_errno;

/// <netdb.h>
const HOST_NOT_FOUND: c_int = 1;

/// # Safety
/// As getnetbyname(3).
pub unsafe fn getnetbyname(_name: *const c_char) -> *mut netent {
    set_h_errno(HOST_NOT_FOUND);
    null_mut()
}

/// # Safety
/// As getnetbyaddr(3).
pub unsafe fn getnetbyaddr(_network: u32, _family: c_int) -> *mut netent {
    set_h_errno(HOST_NOT_FOUND);
    null_mut()
}

/// # Safety
/// As getnetbyname_r(3).
pub unsafe fn getnetbyname_r(
    _name: *const c_char,
    _network: *mut netent,
    _buffer: *mut c_char,
    _length: size_t,
    result: *mut *mut netent,
    error: *mut c_int,
) -> c_int {
    // SAFETY: the caller's contract.
    unsafe { not_found(result, error) }
}

/// # Safety
/// As getnetbyaddr_r(3).
pub unsafe fn getnetbyaddr_r(
    _number: u32,
    _family: c_int,
    _network: *mut netent,
    _buffer: *mut c_char,
    _length: size_t,
    result: *mut *mut netent,
    error: *mut c_int,
) -> c_int {
    // SAFETY: the caller's contract.
    unsafe { not_found(result, error) }
}

/// # Safety
/// Both pointers are valid.
unsafe fn not_found(result: *mut *mut netent, error: *mut c_int) -> c_int {
    set_h_errno(HOST_NOT_FOUND);
    // SAFETY: the caller's.
    unsafe {
        *result = null_mut();
        *error = HOST_NOT_FOUND;
    }
    0
}
