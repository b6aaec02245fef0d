//! Uses of the AArch64 Linux system call instruction that need more than a call.

use core::arch::asm;

/// As [`syscall6`](super::syscall6) with `secret` for the last argument, which is in no register afterwards: a call of the
/// program's own that sets fewer would hand it on.
///
/// # Safety
/// As for [`syscall6`](super::syscall6).
#[inline(always)]
pub unsafe fn syscall_with_secret(number: i64, [a, b, c, d, e]: [usize; 5], secret: u64) -> isize {
    let result: isize;
    // SAFETY: as in `syscall6`.
    unsafe {
        asm!(
            "svc 0",
            "mov x5, xzr",
            in("x8") number,
            inlateout("x0") a as isize => result,
            in("x1") b, in("x2") c, in("x3") d, in("x4") e,
            inlateout("x5") secret => _,
            options(nostack),
        );
    }
    result
}

/// Takes what a system call has for its last argument out of its register.
#[inline(always)]
pub fn forget_last_argument() {
    // SAFETY: writes one register.
    unsafe { asm!("mov x5, xzr", out("x5") _, options(nomem, nostack)) };
}

/// Makes a child by clone(2) with `flags`, among them `CLONE_VM` and `CLONE_VFORK`, which runs `function`
/// deeper in the caller's stack while the caller sleeps; gives clone's raw result in the parent.
/// `parent_tid` is what clone takes there. Async-signal-safe.
///
/// # Safety
/// The flags are as said, and `argument` is what `function` asks for.
pub unsafe fn clone_and_run(
    flags: usize,
    parent_tid: usize,
    function: extern "C" fn(usize) -> !,
    argument: usize,
) -> isize {
    let result: isize;
    // SAFETY: the kernel preserves every register but x0, in both processes. The child never comes back
    // to this frame, and writes below it only; the caller vouches for the arguments.
    unsafe {
        asm!(
            "svc 0",
            "cbnz x0, 2f",
            // The outermost frame.
            "mov x29, xzr",
            "mov x30, xzr",
            "mov x0, x20",
            "blr x21",
            "brk 1",
            "2:",
            in("x8") libc::SYS_clone,
            inlateout("x0") flags as isize => result,
            in("x1") 0usize, in("x2") parent_tid, in("x3") 0usize, in("x4") 0usize,
            in("x20") argument, in("x21") function,
            out("x30") _,
        );
    }
    result
}
