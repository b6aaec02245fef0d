//! Putting the calling thread, and all that it starts, under a seccomp filter (seccomp(2)). What is done
//! here is never undone. Raw system calls; every function is async-signal-safe.

use libc::{sock_filter, sock_fprog};

use super::{Errno, syscall6};

/// `SECCOMP_SET_MODE_FILTER`.
pub const SET_MODE_FILTER: usize = 1;

/// `SECCOMP_FILTER_FLAG_SPEC_ALLOW`: the processor may speculate in what runs under the filter as it may
/// elsewhere. Older kernels slow such programs down otherwise.
pub const SPECULATION_ALLOWED: usize = 1 << 2;

/// Gives up what an exec of a setuid program or of one with capabilities would give (prctl(2),
/// `PR_SET_NO_NEW_PRIVS`); a filter needs it. Errors: `EINVAL` before Linux 3.5.
pub fn give_up_new_privileges() -> Result<(), Errno> {
    no_new_privileges(libc::PR_SET_NO_NEW_PRIVS, 1).map(drop)
}

/// Tells whether an exec gives this thread no privileges.
pub fn gets_no_new_privileges() -> bool {
    no_new_privileges(libc::PR_GET_NO_NEW_PRIVS, 0) == Ok(1)
}

fn no_new_privileges(option: i32, value: usize) -> Result<usize, Errno> {
    // SAFETY: both options take integers, of which the last three must be 0.
    Errno::check(unsafe { syscall6(libc::SYS_prctl, option as usize, value, 0, 0, 0, 0) })
}

/// Tells whether this thread runs under a filter. Where the kernel does not tell it counts as one without.
pub fn is_filtered() -> bool {
    let option = libc::PR_GET_SECCOMP as usize;
    // SAFETY: takes no further argument.
    unsafe { syscall6(libc::SYS_prctl, option, 0, 0, 0, 0, 0) == 2 }
}

/// Puts this thread under the filter `instructions` with `SECCOMP_FILTER_FLAG_…` flags; gives what the call
/// answers, a descriptor where a flag asks for one. Errors: `EINVAL` where the kernel knows no filters or not
/// the flags, `EACCES` with privileges to be had, `EPERM` where another filter forbids it, `EBUSY` for a
/// second listener, `ENOMEM`.
pub fn install(instructions: &[sock_filter], flags: usize) -> Result<usize, Errno> {
    let program = sock_fprog {
        len: instructions.len() as u16,
        // Not written.
        filter: instructions.as_ptr().cast_mut(),
    };
    let program = &raw const program as usize;
    // SAFETY: the kernel reads that number of instructions, and checks them.
    Errno::check(unsafe { syscall6(libc::SYS_seccomp, SET_MODE_FILTER, flags, program, 0, 0, 0) })
}
