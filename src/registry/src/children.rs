//! Uses of a registry, and children, that several tests have.

use super::{Registry, SocketId};

/// Opens and closes `fd` repeatedly.
pub fn churn(registry: &impl Registry, fd: i32, times: u64) {
    for cookie in 0..times {
        registry.insert(fd, SocketId(cookie)).expect("a vacant descriptor");
        assert!(registry.remove(fd));
    }
}

/// Runs `work` in a child made by `make`, and says whether it came to its end.
pub fn child_succeeds(make: impl FnOnce() -> i32, work: impl FnOnce()) -> bool {
    match make() {
        0 => {
            work();
            // SAFETY: ends the child without the parent's exit handlers.
            unsafe { libc::_exit(0) }
        }
        child => {
            assert!(child > 0, "no child");
            let mut status = 0;
            // SAFETY: waits for the child that was just made.
            let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
            waited == child && libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0
        }
    }
}

/// fork(2), which is not told to any registry.
pub fn fork() -> i32 {
    // SAFETY: the child makes raw system calls and touches mmapped memory only.
    unsafe { libc::fork() }
}
