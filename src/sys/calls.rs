//! The system calls that the library makes for itself.

use super::{Errno, syscall6};

/// The calling process's id, asked of the kernel each time (a cached one is wrong after `vfork`);
/// negative where a filter refuses to tell.
#[inline(always)]
pub fn getpid() -> i32 {
    // SAFETY: getpid takes no argument.
    unsafe { syscall6(libc::SYS_getpid, 0, 0, 0, 0, 0, 0) as i32 }
}

/// Whether the effective user or group id is not the real one. Async-signal-safe.
pub fn acts_for_another() -> bool {
    let differ = |number| {
        let (mut real, mut effective, mut saved) = (0u32, 0u32, 0u32);
        let ids = [&raw mut real, &raw mut effective, &raw mut saved].map(|id| id as usize);
        // SAFETY: the kernel writes three numbers; the call can't fail.
        unsafe { syscall6(number, ids[0], ids[1], ids[2], 0, 0, 0) };
        real != effective
    };
    differ(libc::SYS_getresuid) || differ(libc::SYS_getresgid)
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

/// Sends this process `signal` with a value, as sigqueue(3) does, but with the origin `code`
/// (`si_code`).
pub fn queue_signal(signal: i32, code: i32, value: *mut core::ffi::c_void) {
    /// The kernel's `siginfo_t` of a queued signal.
    #[repr(C)]
    struct Information {
        signal: i32,
        errno: i32,
        code: i32,
        _padding: i32,
        process: i32,
        user: u32,
        value: *mut core::ffi::c_void,
        _rest: [u64; 12],
    }
    const _: () = assert!(size_of::<Information>() == size_of::<libc::siginfo_t>());
    let process = getpid();
    // SAFETY: getuid takes no argument and can't fail.
    let user = unsafe { syscall6(libc::SYS_getuid, 0, 0, 0, 0, 0, 0) as u32 };
    let information =
        Information { signal, errno: 0, code, _padding: 0, process, user, value, _rest: [0; 12] };
    let information = core::ptr::from_ref(&information) as usize;
    let number = libc::SYS_rt_sigqueueinfo;
    // SAFETY: the kernel reads the structure.
    unsafe { syscall6(number, process as usize, signal as usize, information, 0, 0, 0) };
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
