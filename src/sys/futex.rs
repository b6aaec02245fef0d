//! Sleeping until another thread of the process changes a word. Every function is
//! async-signal-safe.

use core::sync::atomic::AtomicU32;
use core::time::Duration;

use super::{Errno, syscall6};

/// Sleeps while `word` is `expected`, at most `limit`; may return without a reason. Errors:
/// `ETIMEDOUT`, `EINTR`; `EAGAIN` if the word is not `expected`.
pub fn wait(word: &AtomicU32, expected: u32, limit: Option<Duration>) -> Result<(), Errno> {
    let limit = limit.map(super::time::timespec);
    let limit = limit.as_ref().map_or(core::ptr::null(), core::ptr::from_ref);
    // SAFETY: the kernel reads the word and the limit, which outlive the call.
    unsafe { call(word, libc::FUTEX_WAIT, expected, limit) }
}

/// Wakes the threads that sleep on `word`.
pub fn wake_all(word: &AtomicU32) {
    // SAFETY: the kernel looks at no memory for it.
    let _ = unsafe { call(word, libc::FUTEX_WAKE, i32::MAX as u32, core::ptr::null()) };
}

/// # Safety
/// `limit` is null or a timespec.
unsafe fn call(
    word: &AtomicU32,
    operation: i32,
    value: u32,
    limit: *const libc::timespec,
) -> Result<(), Errno> {
    let operation = operation | libc::FUTEX_PRIVATE_FLAG;
    let word = core::ptr::from_ref(word) as usize;
    // SAFETY: the caller's contract.
    Errno::check(unsafe {
        syscall6(libc::SYS_futex, word, operation as usize, value as usize, limit as usize, 0, 0)
    })
    .map(drop)
}
