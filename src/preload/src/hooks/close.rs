//! `close`, `close_range`, `closefrom`: the entries go first, so that whoever gets a number next
//! finds none.

use core::ffi::c_int;

use epochsocks::registry::Registry;
use libc::c_uint;

use crate::registry::{REGISTRY, any_in, forget_range};
use crate::{errno, real};

unsafe extern "C" {
    safe fn pthread_testcancel();
}

/// # Safety
/// As close(2).
pub unsafe fn close(fd: c_int) -> c_int {
    if REGISTRY.contains(fd) {
        return close_tracked(fd);
    }
    // SAFETY: the caller's contract.
    unsafe { real::close(fd) }
}

/// A thread that is cancelled in close has not closed: it goes before the entry does, or not at
/// all. Linux frees the number whatever close returns, but for EBADF, where there was nothing to
/// keep an entry for.
#[cold]
fn close_tracked(fd: c_int) -> c_int {
    pthread_testcancel();
    REGISTRY.remove(fd);
    // SAFETY: close takes an integer.
    unsafe { errno::system_call!(libc::SYS_close, fd) as c_int }
}

/// # Safety
/// As close_range(2).
pub unsafe fn close_range(first: c_uint, last: c_uint, flags: c_int) -> c_int {
    let closes = flags & libc::CLOSE_RANGE_CLOEXEC as c_int == 0;
    if closes && first <= last && any_in(first, last) {
        // What fails for the number that no descriptor has would fail for these as well, and then
        // their entries stay; what doesn't can't fail.
        // SAFETY: closes nothing.
        let result = unsafe { real::close_range(c_uint::MAX, c_uint::MAX, flags) };
        if result != 0 {
            return result;
        }
        forget_range(first, last);
    }
    // SAFETY: the caller's contract.
    unsafe { real::close_range(first, last, flags) }
}

/// # Safety
/// As closefrom(3).
pub unsafe fn closefrom(first: c_int) {
    forget_range(first.max(0) as c_uint, c_uint::MAX);
    // SAFETY: the caller's contract. It closes all, or ends the process.
    unsafe { real::closefrom(first) }
}
