//! `dprintf` and its kin: libc writes inside, past `write`.

use core::ffi::{c_char, c_int, c_void};

use epochsocks::linkage::Symbol;
use epochsocks::sys::Errno;

use super::outgoing;
use crate::errno;
use crate::hooks::c_types::va_list;
use crate::real::{self, Real};

/// Defines the exported `$name`, which takes any number of arguments and hands them on as they are: a
/// jump to what `$choose` answers for its first one.
macro_rules! variadic {
    ($name:ident, $choose:ident) => {
        /// See the hook table.
        ///
        /// # Safety
        /// As the C function's.
        #[cfg(target_arch = "x86_64")]
        #[unsafe(naked)]
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name() -> c_int {
            // All that carries an argument, and al, which says how many are in vector registers.
            core::arch::naked_asm!(
                "push rdi",
                "push rsi",
                "push rdx",
                "push rcx",
                "push r8",
                "push r9",
                "push rax",
                "sub rsp, 128",
                "movups [rsp], xmm0",
                "movups [rsp + 16], xmm1",
                "movups [rsp + 32], xmm2",
                "movups [rsp + 48], xmm3",
                "movups [rsp + 64], xmm4",
                "movups [rsp + 80], xmm5",
                "movups [rsp + 96], xmm6",
                "movups [rsp + 112], xmm7",
                "call {choose}",
                "mov r11, rax",
                "movups xmm0, [rsp]",
                "movups xmm1, [rsp + 16]",
                "movups xmm2, [rsp + 32]",
                "movups xmm3, [rsp + 48]",
                "movups xmm4, [rsp + 64]",
                "movups xmm5, [rsp + 80]",
                "movups xmm6, [rsp + 96]",
                "movups xmm7, [rsp + 112]",
                "add rsp, 128",
                "pop rax",
                "pop r9",
                "pop r8",
                "pop rcx",
                "pop rdx",
                "pop rsi",
                "pop rdi",
                "jmp r11",
                choose = sym $choose,
            )
        }

        /// See the hook table.
        ///
        /// # Safety
        /// As the C function's.
        #[cfg(target_arch = "aarch64")]
        #[unsafe(naked)]
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name() -> c_int {
            core::arch::naked_asm!(
                "stp x29, x30, [sp, #-208]!",
                "mov x29, sp",
                "stp x0, x1, [sp, #16]",
                "stp x2, x3, [sp, #32]",
                "stp x4, x5, [sp, #48]",
                "stp x6, x7, [sp, #64]",
                "stp q0, q1, [sp, #80]",
                "stp q2, q3, [sp, #112]",
                "stp q4, q5, [sp, #144]",
                "stp q6, q7, [sp, #176]",
                "bl {choose}",
                "mov x16, x0",
                "ldp x0, x1, [sp, #16]",
                "ldp x2, x3, [sp, #32]",
                "ldp x4, x5, [sp, #48]",
                "ldp x6, x7, [sp, #64]",
                "ldp q0, q1, [sp, #80]",
                "ldp q2, q3, [sp, #112]",
                "ldp q4, q5, [sp, #144]",
                "ldp q6, q7, [sp, #176]",
                "ldp x29, x30, [sp], #208",
                "br x16",
                choose = sym $choose,
            )
        }
    };
}

variadic!(dprintf, choose);
variadic!(__dprintf_chk, choose_checked);

extern "C" fn choose(fd: c_int) -> *mut c_void {
    static NEXT: Real = Real::new();
    chosen(fd, &NEXT, const { Symbol::new(c"dprintf") })
}

extern "C" fn choose_checked(fd: c_int) -> *mut c_void {
    static NEXT: Real = Real::new();
    chosen(fd, &NEXT, const { Symbol::new(c"__dprintf_chk") })
}

/// The next function once `fd` may be written to, or what answers for it that it may not.
fn chosen(fd: c_int, real: &Real, symbol: Symbol) -> *mut c_void {
    let next = real.get_or_find(symbol);
    let ready = if next.is_null() { Err(Errno(libc::ENOSYS)) } else { outgoing::ready(fd) };
    match ready {
        Ok(()) => next,
        Err(why) => {
            errno::set(why.0);
            failed as extern "C" fn() -> c_int as *mut c_void
        }
    }
}

/// Stands in for a function that must not be called; errno is set.
extern "C" fn failed() -> c_int {
    -1
}

/// # Safety
/// As vdprintf(3).
pub unsafe fn vdprintf(fd: c_int, format: *const c_char, arguments: va_list) -> c_int {
    match outgoing::ready(fd) {
        // SAFETY: the caller's contract.
        Ok(()) => unsafe { real::vdprintf(fd, format, arguments) },
        Err(why) => errno::fail(why),
    }
}

/// # Safety
/// As vdprintf(3).
pub unsafe fn __vdprintf_chk(
    fd: c_int,
    flag: c_int,
    format: *const c_char,
    arguments: va_list,
) -> c_int {
    match outgoing::ready(fd) {
        // SAFETY: the caller's contract.
        Ok(()) => unsafe { real::__vdprintf_chk(fd, flag, format, arguments) },
        Err(why) => errno::fail(why),
    }
}
