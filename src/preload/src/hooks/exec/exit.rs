//! Ends of the process that no destructor is told of.

use core::ffi::c_int;

use epochsocks::sys;

use crate::{launch, real};

/// # Safety
/// As _exit(2).
pub unsafe fn _exit(status: c_int) {
    launch::leave();
    sys::exit_group(status)
}

/// # Safety
/// As quick_exit(3).
pub unsafe fn quick_exit(status: c_int) {
    launch::leave();
    // SAFETY: the caller's contract.
    unsafe { real::quick_exit(status) }
}
