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

/// What uname(2) says of this machine.
pub fn uname() -> Option<libc::utsname> {
    let mut machine = core::mem::MaybeUninit::<libc::utsname>::zeroed();
    // SAFETY: the kernel fills the structure, whose layout is its own.
    Errno::check(unsafe {
        syscall6(libc::SYS_uname, machine.as_mut_ptr() as usize, 0, 0, 0, 0, 0)
    })
    .ok()?;
    // SAFETY: zeroed before, and any bytes are valid.
    Some(unsafe { machine.assume_init() })
}

/// The machine's own name, without the NUL.
pub fn node_name(machine: &libc::utsname) -> &[u8] {
    // SAFETY: a C char and a byte are the same to look at.
    let name = unsafe { &*(&raw const machine.nodename).cast::<[u8; 65]>() };
    core::ffi::CStr::from_bytes_until_nul(name).map_or(&[], core::ffi::CStr::to_bytes)
}
