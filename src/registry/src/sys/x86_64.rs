//! The x86-64 Linux system call instruction.

use core::arch::asm;

/// Enters the kernel with system call `number` and returns its raw result (`-4095..=-1` is a
/// negated errno). Async-signal-safe.
///
/// # Safety
/// The arguments must be what the numbered system call asks for.
#[inline(always)]
pub unsafe fn syscall6(
    number: i64,
    a: usize,
    b: usize,
    c: usize,
    d: usize,
    e: usize,
    f: usize,
) -> isize {
    let result: isize;
    // SAFETY: the kernel preserves every register but rax, rcx and r11; the caller vouches for the
    // arguments.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e, in("r9") f,
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    result
}
