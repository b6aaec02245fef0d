//! The system calls that the library makes for itself.

use super::{Errno, syscall6};

/// The calling process's id, asked of the kernel each time (a cached one is wrong after `vfork`).
#[inline(always)]
pub fn getpid() -> i32 {
    // SAFETY: getpid takes no argument and can't fail.
    unsafe { syscall6(libc::SYS_getpid, 0, 0, 0, 0, 0, 0) as i32 }
}

/// Closes `fd`.
pub fn close(fd: i32) -> Result<(), Errno> {
    // SAFETY: close takes an integer; the caller owns the descriptor.
    Errno::check(unsafe { syscall6(libc::SYS_close, fd as usize, 0, 0, 0, 0, 0) }).map(drop)
}

/// Ends the process at once, with all its threads.
pub fn exit_group(status: i32) -> ! {
    loop {
        // SAFETY: exit_group takes an integer and does not come back.
        unsafe { syscall6(libc::SYS_exit_group, status as usize, 0, 0, 0, 0, 0) };
    }
}
