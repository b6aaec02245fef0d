//! `fork`: what parent and child share is there before, and the child is told that it is one.
//!
//! libc would call handlers (pthread_atfork), whose registration every exec would pay for. A child
//! that comes past every hook notices by itself: see the registry.

use core::ffi::c_int;

use epochsocks::sys;
use libc::pid_t;

use crate::sockets::SOCKETS;
use crate::{launch, nameserver, real};

/// # Safety
/// As fork(2).
pub unsafe fn fork() -> pid_t {
    // SAFETY: the caller's contract.
    around(|| unsafe { real::fork() })
}

/// # Safety
/// As _Fork(3).
pub unsafe fn fork_without_handlers() -> pid_t {
    // SAFETY: the caller's contract.
    around(|| unsafe { real::_Fork() })
}

/// Runs `call`, which forks inside and answers 0 in the child.
pub fn around(call: impl FnOnce() -> pid_t) -> pid_t {
    prepare();
    let child = call();
    if child == 0 {
        in_child();
    }
    child
}

/// Runs `call`, which forks inside and ends the parent.
pub fn leaving_the_parent(call: impl FnOnce() -> c_int) -> c_int {
    prepare();
    let parent = sys::getpid();
    let result = call();
    if sys::getpid() != parent {
        in_child();
    }
    result
}

/// Tells the launch what the child may ask for, and shares the handshakes in flight with it.
fn prepare() {
    launch::share();
    SOCKETS.before_fork();
}

fn in_child() {
    SOCKETS.after_fork_in_child();
    sys::close_owned_sockets();
    nameserver::after_fork_in_child();
}
