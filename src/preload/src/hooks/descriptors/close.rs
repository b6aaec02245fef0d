//! `close`, `close_range`, `closefrom`: the entries go first, so that a thread that gets a number next
//! finds none.

use core::ffi::c_int;

use epochsocks::registry::Registry;
use epochsocks::sys::{Errno, own_descriptors};
use libc::c_uint;

use super::tables;

use crate::cancellation::pthread_testcancel;
use crate::sockets::SOCKETS;
use crate::{datagrams, errno, harmless, real};

/// # Safety
/// As close(2).
pub unsafe fn close(fd: c_int) -> c_int {
    harmless::remove(fd);
    if SOCKETS.registry().contains(fd) {
        return close_tracked(fd);
    }
    if own_descriptors::contains(fd) {
        // The program has no such descriptor; it closes all that there might be.
        return errno::fail(Errno(libc::EBADF));
    }
    datagrams::forget(fd);
    SOCKETS.note_close();
    // SAFETY: the caller's contract.
    unsafe { real::close(fd) }
}

/// A thread that is cancelled in close has not closed: it goes before the entry does, or not at
/// all. Linux frees the number whatever close returns, but for EBADF, where there was nothing to
/// keep an entry for.
#[cold]
fn close_tracked(fd: c_int) -> c_int {
    pthread_testcancel();
    SOCKETS.forget(fd);
    // SAFETY: close takes an integer.
    unsafe { errno::system_call!(libc::SYS_close, fd) as c_int }
}

/// # Safety
/// As close_range(2).
pub unsafe fn close_range(first: c_uint, last: c_uint, flags: c_int) -> c_int {
    if flags & libc::CLOSE_RANGE_UNSHARE as c_int != 0 {
        tables::leave();
    }
    let closes = flags & libc::CLOSE_RANGE_CLOEXEC as c_int == 0;
    if closes {
        harmless::remove_range(first, last);
        SOCKETS.note_close();
    }
    if !closes || first > last || !SOCKETS.any_in(first, last) && next_owned(first, last).is_none()
    {
        // SAFETY: the caller's contract.
        return unsafe { real::close_range(first, last, flags) };
    }
    // What fails for the number that no descriptor has would fail for these as well, and then their
    // entries stay; what doesn't can't fail.
    // SAFETY: closes nothing.
    let result = unsafe { real::close_range(c_uint::MAX, c_uint::MAX, flags) };
    if result != 0 {
        return result;
    }
    SOCKETS.forget_range(first, last);
    close_but_owned(first, last, flags)
}

/// Closes a range, but not the library's own descriptors in it.
fn close_but_owned(mut first: c_uint, last: c_uint, flags: c_int) -> c_int {
    while let Some(owned) = next_owned(first, last) {
        if owned > first {
            // SAFETY: the caller of the hook wants these closed.
            unsafe { real::close_range(first, owned - 1, flags) };
        }
        first = owned + 1;
    }
    if first > last {
        return 0;
    }
    // SAFETY: as above.
    unsafe { real::close_range(first, last, flags) }
}

/// The lowest of the library's own descriptors in a range.
fn next_owned(first: c_uint, last: c_uint) -> Option<c_uint> {
    own_descriptors::all().map(|fd| fd as c_uint).filter(|fd| (first..=last).contains(fd)).min()
}

/// # Safety
/// As closefrom(3).
pub unsafe fn closefrom(first: c_int) {
    let lowest = first.max(0) as c_uint;
    // SAFETY: the caller's contract. libc's closes all, or ends the process.
    unsafe {
        if next_owned(0, c_uint::MAX).is_none() || close_range(lowest, c_uint::MAX, 0) != 0 {
            harmless::remove_range(lowest, c_uint::MAX);
            SOCKETS.forget_range(lowest, c_uint::MAX);
            real::closefrom(first);
        }
    }
}
