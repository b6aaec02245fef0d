//! `prctl`, seccomp(2): a process puts itself under a filter, which may kill it for calls that it does not
//! make itself.

use core::ffi::{c_int, c_long, c_ulong};

use epochsocks::sys::filter::SET_MODE_FILTER;

use crate::hooks::sockets::tor_connect::always_waits;
use crate::sockets::SOCKETS;
use crate::{launch, own_filter, real, runtime};

/// `SECCOMP_SET_MODE_STRICT`: read, write, exit and sigreturn are left.
const SET_MODE_STRICT: usize = 0;

/// Runs `call`, which puts this process under a filter that permits these questions: from then on it asks no
/// others, and the launch's other processes nothing. Before that the program's file, which a connect may have to
/// read, is read, and connects under way are prepared.
fn restricted(questions: u8, call: impl FnOnce() -> c_long) -> c_long {
    always_waits(runtime::loaded());
    SOCKETS.before_filter();
    let result = call();
    if result >= 0 {
        own_filter::restrict_to(questions);
        launch::keep_to_oneself();
    }
    result
}

/// # Safety
/// As seccomp(2) by syscall(2), with `call` for it.
pub unsafe fn seccomp(
    operation: c_long,
    arguments: c_long,
    call: impl FnOnce() -> c_long,
) -> c_long {
    match operation as u32 as usize {
        SET_MODE_STRICT => restricted(0, call),
        SET_MODE_FILTER => {
            let program = core::ptr::with_exposed_provenance(arguments as usize);
            // SAFETY: the caller's contract.
            restricted(unsafe { own_filter::permitted_by(program) }, call)
        }
        // Others ask what the kernel can do.
        _ => call(),
    }
}

/// # Safety
/// As prctl(2).
pub unsafe fn prctl(option: c_int, b: c_ulong, c: c_ulong, d: c_ulong, e: c_ulong) -> c_int {
    // SAFETY: the caller's contract.
    let call = || c_long::from(unsafe { real::prctl(option, b, c, d, e) });
    if option != libc::PR_SET_SECCOMP {
        return call() as c_int;
    }
    // The numbers of the modes differ from seccomp(2)'s.
    let operation = if b == MODE_FILTER { SET_MODE_FILTER } else { SET_MODE_STRICT };
    // SAFETY: as above.
    unsafe { seccomp(operation as c_long, c as c_long, call) as c_int }
}

/// `SECCOMP_MODE_FILTER` (linux/seccomp.h).
const MODE_FILTER: c_ulong = 2;
