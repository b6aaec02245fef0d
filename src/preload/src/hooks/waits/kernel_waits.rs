//! `select`, `ppoll` and `pselect6` as syscall(2) reaches them: the kernel leaves what remains of the time,
//! which libc's functions keep to themselves.

use core::ffi::{c_int, c_long};

use epochsocks::sys::Errno;
use libc::{fd_set, nfds_t, pollfd, sigset_t, timespec};

use super::{poll, select};
use crate::hooks::arguments::{put_value, value_at};
use crate::{clock, errno};

/// The size of the kernel's signal mask in bytes.
const MASK: usize = 8;

/// Sixth argument of `pselect6`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct SizedMask {
    mask: *const sigset_t,
    size: usize,
}

/// Tells whether the kernel takes these for a signal mask and its size.
pub fn is_mask(mask: c_long, size: c_long) -> bool {
    mask == 0 || size == MASK as c_long
}

/// # Safety
/// As ppoll(2), with the right size of the mask.
pub unsafe fn ppoll(
    entries: *mut pollfd,
    count: nfds_t,
    timeout: *mut timespec,
    mask: *const sigset_t,
) -> c_int {
    // SAFETY: the caller's contract.
    unsafe { leaving_rest(timeout, |timeout| poll::ppoll(entries, count, timeout, mask)) }
}

/// # Safety
/// As select(2).
#[cfg(target_arch = "x86_64")]
pub unsafe fn select(
    count: c_int,
    readable: *mut fd_set,
    writable: *mut fd_set,
    exceptional: *mut fd_set,
    timeout: *mut libc::timeval,
) -> c_int {
    // SAFETY: the caller's contract. libc's function would write the rest of the time where it can't.
    let mut time = match unsafe { value_at(timeout) } {
        Ok(time) => time,
        Err(errno) => return errno::fail(errno),
    };
    let copy = time.as_mut().map_or(core::ptr::null_mut(), core::ptr::from_mut);
    // SAFETY: the caller's contract, and a time of ours.
    unsafe {
        let result = select::select(count, readable, writable, exceptional, copy);
        let _ = time.map(|rest| put_value(&rest, timeout));
        result
    }
}

/// # Safety
/// As pselect6 in select(2).
pub unsafe fn pselect6(
    count: c_int,
    readable: *mut fd_set,
    writable: *mut fd_set,
    exceptional: *mut fd_set,
    timeout: *mut timespec,
    mask: *const SizedMask,
) -> c_int {
    let none = SizedMask { mask: core::ptr::null(), size: 0 };
    // SAFETY: the caller's contract.
    let SizedMask { mask, size } = match unsafe { value_at(mask) } {
        Ok(sized) => sized.unwrap_or(none),
        Err(errno) => return errno::fail(errno),
    };
    if !is_mask(mask.addr() as c_long, size as c_long) {
        return errno::fail(Errno(libc::EINVAL));
    }
    let call = |timeout| {
        // SAFETY: the caller's contract.
        unsafe { select::pselect(count, readable, writable, exceptional, timeout, mask) }
    };
    // SAFETY: the caller's contract.
    unsafe { leaving_rest(timeout, call) }
}

/// Makes `call` with a copy of the time, and leaves what remains of it.
///
/// # Safety
/// `timeout` is null or what the kernel may write a timespec to.
unsafe fn leaving_rest(
    timeout: *mut timespec,
    call: impl FnOnce(*const timespec) -> c_int,
) -> c_int {
    // SAFETY: the caller's contract.
    let time: timespec = match unsafe { value_at(timeout) } {
        Ok(None) => return call(timeout),
        Ok(Some(time)) => time,
        Err(errno) => return errno::fail(errno),
    };
    let start = clock::now();
    let result = call(&raw const time);
    if let Some(limit) = poll::duration(&time) {
        let left = limit.saturating_sub(clock::now().saturating_sub(start));
        // As the kernel, not a word where it can't be written.
        // SAFETY: the caller's contract.
        let _ = unsafe { put_value(&epochsocks::sys::time::timespec(left), timeout) };
    }
    result
}
