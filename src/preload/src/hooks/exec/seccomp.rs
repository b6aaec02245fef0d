//! `prctl`, seccomp(2): a process puts itself under a filter, which may kill it for calls that it does not
//! make itself.

use core::ffi::{c_int, c_long, c_ulong};

use crate::hooks::sockets::tor_connect::always_waits;
use crate::{launch, real, runtime};

/// Runs `call`, which may put this process under a filter: from then on it does not ask the launch's
/// other processes. The program's file, which a connect may have to read, is read before.
pub fn filtered(call: impl FnOnce() -> c_long) -> c_long {
    always_waits(runtime::loaded());
    let result = call();
    if result >= 0 {
        launch::keep_to_oneself();
    }
    result
}

/// # Safety
/// As prctl(2).
pub unsafe fn prctl(option: c_int, b: c_ulong, c: c_ulong, d: c_ulong, e: c_ulong) -> c_int {
    // SAFETY: the caller's contract.
    let call = || unsafe { real::prctl(option, b, c, d, e) };
    match option {
        libc::PR_SET_SECCOMP => filtered(|| call().into()) as c_int,
        _ => call(),
    }
}
