//! The system calls that the library makes for itself.

use super::{Errno, getpid, syscall6};

/// The process that this one is a child of.
pub fn parent() -> i32 {
    // SAFETY: getppid takes no argument and can't fail.
    unsafe { syscall6(libc::SYS_getppid, 0, 0, 0, 0, 0, 0) as i32 }
}

/// Closes `fd`.
pub fn close(fd: i32) -> Result<(), Errno> {
    // SAFETY: close takes an integer; the caller owns the descriptor.
    Errno::check(unsafe { syscall6(libc::SYS_close, fd as usize, 0, 0, 0, 0, 0) }).map(drop)
}

/// A pipe that is closed on exec: the end to read from, and the end to write to. Errors: `EMFILE`,
/// `ENFILE`.
pub fn pipe() -> Result<[i32; 2], Errno> {
    let mut ends = [-1; 2];
    let (place, flags) = (&raw mut ends as usize, libc::O_CLOEXEC as usize);
    // SAFETY: the kernel writes two numbers.
    Errno::check(unsafe { syscall6(libc::SYS_pipe2, place, flags, 0, 0, 0, 0) })?;
    Ok(ends)
}

/// Waits for the end of the child `id`, whatever signals come; gives its status. No cancellation
/// point. Errors: `ECHILD`.
pub fn wait_for(id: i32) -> Result<i32, Errno> {
    let mut status = 0;
    loop {
        // SAFETY: the kernel writes one number.
        let result = Errno::check(unsafe {
            syscall6(libc::SYS_wait4, id as usize, &raw mut status as usize, 0, 0, 0, 0)
        });
        match result {
            Err(Errno(libc::EINTR)) => {}
            result => return result.map(|_| status),
        }
    }
}

/// Ends the child `id`.
pub fn kill_child(id: i32) {
    // SAFETY: takes integers.
    unsafe { syscall6(libc::SYS_kill, id as usize, libc::SIGKILL as usize, 0, 0, 0, 0) };
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

/// Calls uname(2).
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
