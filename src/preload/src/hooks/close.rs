//! `close`: the entry goes first, so that whoever gets the number next finds none.

use core::ffi::c_int;

use epochsocks::registry::Registry;

use crate::real;
use crate::registry::REGISTRY;

/// # Safety
/// As close(2).
pub unsafe fn close(fd: c_int) -> c_int {
    REGISTRY.remove(fd);
    // SAFETY: the caller's contract. Linux frees the number whatever close returns, but for EBADF,
    // where there was nothing to keep an entry for.
    unsafe { real::close(fd) }
}
