//! Uses of the x86-64 Linux system call instruction that need more than a call.

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
            "syscall",
            "xor r9d, r9d",
            inlateout("rax") number as isize => result,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e,
            inlateout("r9") secret => _,
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    result
}

/// Takes what a system call has for its last argument out of its register.
#[inline(always)]
pub fn forget_last_argument() {
    // SAFETY: writes one register.
    unsafe { asm!("xor r9d, r9d", out("r9") _, options(nomem, nostack)) };
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
    // SAFETY: the kernel preserves every register but rax, rcx and r11, in both processes. The child
    // never comes back to this frame, and writes below it only; the caller vouches for the arguments.
    unsafe {
        asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            // The outermost frame.
            "xor ebp, ebp",
            "and rsp, -16",
            "mov rdi, r12",
            "call r13",
            "ud2",
            "2:",
            inlateout("rax") libc::SYS_clone as isize => result,
            in("rdi") flags, in("rsi") 0usize, in("rdx") parent_tid, in("r10") 0usize, in("r8") 0usize,
            in("r12") argument, in("r13") function,
            out("rcx") _, out("r11") _,
        );
    }
    result
}
