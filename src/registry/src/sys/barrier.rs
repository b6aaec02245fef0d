//! A memory barrier in every thread that has this process's memory: membarrier(2).

use super::{Errno, syscall6};

// <linux/membarrier.h>, Linux 4.14.
const PRIVATE_EXPEDITED: usize = 1 << 3;
const REGISTER_PRIVATE_EXPEDITED: usize = 1 << 4;

/// Tells the kernel that this process will call [`pass_barrier`]; forked children inherit that. `EINVAL`
/// and `ENOSYS` of kernels that can't, or what a filter says. Async-signal-safe.
pub fn register_barrier() -> Result<(), Errno> {
    membarrier(REGISTER_PRIVATE_EXPEDITED)
}

/// Lets every thread that has this memory pass a full memory barrier, between the call and its return.
/// `EPERM` without [`register_barrier`], or what a filter says. Async-signal-safe.
pub fn pass_barrier() -> Result<(), Errno> {
    membarrier(PRIVATE_EXPEDITED)
}

fn membarrier(command: usize) -> Result<(), Errno> {
    // SAFETY: touches no memory.
    Errno::check(unsafe { syscall6(libc::SYS_membarrier, command, 0, 0, 0, 0, 0) }).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forked_child_inherits_the_registration() {
        if register_barrier().is_err() {
            return;
        }
        // SAFETY: the child makes system calls only.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let status = i32::from(pass_barrier().is_err());
            // SAFETY: ends the child.
            unsafe { libc::_exit(status) };
        }
        let mut status = -1;
        // SAFETY: waits for the child that was just made.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        assert_eq!(status, 0);
    }
}
