//! The time, for hooks that ask for it at every call: by libc's function, which enters no kernel.

use core::ffi::c_int;
use core::time::Duration;

use epochsocks::linkage::Symbol;
use epochsocks::sys::time;
use libc::{clockid_t, timespec};

use crate::real::Real;

/// No hook stands before it.
static CLOCK_GETTIME: Real = Real::new();
const SYMBOL: Symbol = Symbol::new(c"clock_gettime");

/// Time since boot, unmoved by clock changes. Async-signal-safe.
pub fn now() -> Duration {
    let mut next = CLOCK_GETTIME.get();
    if next.is_null() {
        next = CLOCK_GETTIME.find(SYMBOL);
    }
    if next.is_null() {
        return time::monotonic();
    }
    let mut now = timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: libc's function, which fills one timespec; this clock always exists.
    unsafe {
        core::mem::transmute::<
            *mut core::ffi::c_void,
            unsafe extern "C" fn(clockid_t, *mut timespec) -> c_int,
        >(next)(libc::CLOCK_MONOTONIC, &raw mut now)
    };
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}
