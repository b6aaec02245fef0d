//! `daemon`, `login_tty`, `forkpty`: libc gives the standard descriptors another meaning inside,
//! past our `dup2`.

use core::ffi::{c_char, c_int};
use core::ops::RangeInclusive;

use libc::{termios, winsize};

use super::dup_over::replaced;
use crate::hooks::exec::fork;
use crate::sockets::SOCKETS;
use crate::{harmless, real};

const STANDARD: RangeInclusive<c_int> = libc::STDIN_FILENO..=libc::STDERR_FILENO;

/// # Safety
/// As daemon(3).
pub unsafe fn daemon(keeps_directory: c_int, keeps_standard: c_int) -> c_int {
    // SAFETY: the caller's contract.
    let daemon = || unsafe { real::daemon(keeps_directory, keeps_standard) };
    let call = || fork::leaving_the_parent(daemon);
    if keeps_standard != 0 { call() } else { replaced([0, 1, 2], call) }
}

/// # Safety
/// As login_tty(3).
pub unsafe fn login_tty(terminal: c_int) -> c_int {
    // SAFETY: the caller's contract.
    let call = || unsafe { real::login_tty(terminal) };
    // One of the standard descriptors is not closed, but it is a terminal: no entry either.
    replaced([0, 1, 2, terminal], call)
}

/// # Safety
/// As forkpty(3).
pub unsafe fn forkpty(
    terminal: *mut c_int,
    name: *mut c_char,
    attributes: *const termios,
    size: *const winsize,
) -> c_int {
    // SAFETY: the caller's contract.
    let child = fork::around(|| unsafe { real::forkpty(terminal, name, attributes, size) });
    if child == 0 {
        for fd in STANDARD {
            harmless::remove(fd);
            SOCKETS.forget(fd);
        }
    }
    child
}
