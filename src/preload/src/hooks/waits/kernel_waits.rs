//! `ppoll` and `pselect6` as syscall(2) reaches them: the kernel leaves what remains of the time,
//! which libc's functions keep to themselves.

use core::ffi::{c_int, c_long};
use core::mem::MaybeUninit;

use epochsocks::sys::{Errno, copy_from_program};
use libc::{fd_set, nfds_t, pollfd, sigset_t, timespec};

use super::{poll, select};
use crate::{clock, errno};

/// The size of the kernel's signal mask in bytes.
const MASK: usize = 8;

/// What `pselect6` takes as its sixth argument.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct SizedMask {
    mask: *const sigset_t,
    size: usize,
}

/// Whether the kernel takes these for a signal mask and its size.
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
    let SizedMask { mask, size } = match unsafe { read(mask) }.transpose() {
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
    let time: timespec = match unsafe { read(timeout) } {
        None => return call(timeout),
        Some(Ok(time)) => time,
        Some(Err(errno)) => return errno::fail(errno),
    };
    let start = clock::now();
    let result = call(&raw const time);
    if let Some(limit) = poll::duration(&time) {
        let left = limit.saturating_sub(clock::now().saturating_sub(start));
        // SAFETY: the caller's contract; it was readable before.
        unsafe { timeout.write_unaligned(epochsocks::sys::time::timespec(left)) };
    }
    result
}

/// What `from` points to, `None` for null. Errors: `EFAULT`.
///
/// # Safety
/// `T` is plain data for which any bytes are valid.
unsafe fn read<T>(from: *const T) -> Option<Result<T, Errno>> {
    if from.is_null() {
        return None;
    }
    let mut value = MaybeUninit::<T>::zeroed();
    // SAFETY: as many zeroed bytes as a T has.
    let bytes =
        unsafe { core::slice::from_raw_parts_mut(value.as_mut_ptr().cast(), size_of::<T>()) };
    // SAFETY: what can't be read is an error; the caller's contract for the rest.
    Some(unsafe { copy_from_program(from.cast(), bytes).map(|()| value.assume_init()) })
}
