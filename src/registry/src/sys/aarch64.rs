//! The AArch64 Linux system call instruction.

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
    // SAFETY: the kernel preserves every register but x0; the caller vouches for the arguments.
    unsafe {
        asm!(
            "svc 0",
            in("x8") number,
            inlateout("x0") a as isize => result,
            in("x1") b, in("x2") c, in("x3") d, in("x4") e, in("x5") f,
            options(nostack),
        );
    }
    result
}
