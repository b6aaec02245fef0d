//! execl, execlp, execle: the arguments one by one, and no other way to take them than where the
//! calling convention puts them.

use core::ffi::{c_char, c_int};

use super::pointers::with_pointers;
use super::{execv, execve, execvp};
use crate::errno;

/// Number of arguments after the first named one that the convention passes in registers.
#[cfg(target_arch = "x86_64")]
const IN_REGISTERS: usize = 5;
#[cfg(target_arch = "aarch64")]
const IN_REGISTERS: usize = 7;

/// Defines the exported `$name`, which calls `$handler` with its first argument, where the others
/// were saved from their registers, and where they go on on the stack.
macro_rules! trampoline {
    ($name:ident, $handler:ident) => {
        /// See the hook table.
        ///
        /// # Safety
        /// As the C function's.
        #[cfg(target_arch = "x86_64")]
        #[unsafe(naked)]
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name() -> c_int {
            core::arch::naked_asm!(
                "push rbp",
                "mov rbp, rsp",
                "sub rsp, 48",
                "mov [rsp], rsi",
                "mov [rsp + 8], rdx",
                "mov [rsp + 16], rcx",
                "mov [rsp + 24], r8",
                "mov [rsp + 32], r9",
                "mov rsi, rsp",
                "lea rdx, [rbp + 16]",
                "call {handler}",
                "leave",
                "ret",
                handler = sym $handler,
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
                "stp x29, x30, [sp, #-16]!",
                "mov x29, sp",
                "sub sp, sp, #64",
                "stp x1, x2, [sp]",
                "stp x3, x4, [sp, #16]",
                "stp x5, x6, [sp, #32]",
                "str x7, [sp, #48]",
                "mov x1, sp",
                "add x2, x29, #16",
                "bl {handler}",
                "mov sp, x29",
                "ldp x29, x30, [sp], #16",
                "ret",
                handler = sym $handler,
            )
        }
    };
}

trampoline!(execl, execl_with);
trampoline!(execlp, execlp_with);
trampoline!(execle, execle_with);

unsafe extern "C" fn execl_with(
    path: *const c_char,
    registers: *const *const c_char,
    stack: *const *const c_char,
) -> c_int {
    let list = List { registers, stack };
    // SAFETY: the caller's contract.
    unsafe { list.with_array(|arguments, _| execv(path, arguments.cast())) }
}

unsafe extern "C" fn execlp_with(
    file: *const c_char,
    registers: *const *const c_char,
    stack: *const *const c_char,
) -> c_int {
    let list = List { registers, stack };
    // SAFETY: the caller's contract.
    unsafe { list.with_array(|arguments, _| execvp(file, arguments.cast())) }
}

unsafe extern "C" fn execle_with(
    path: *const c_char,
    registers: *const *const c_char,
    stack: *const *const c_char,
) -> c_int {
    let list = List { registers, stack };
    // SAFETY: the caller's contract: the environment follows the null pointer.
    unsafe {
        list.with_array(|arguments, end| execve(path, arguments.cast(), list.get(end + 1).cast()))
    }
}

/// Variadic arguments, where the trampoline found them.
#[derive(Clone, Copy)]
struct List {
    registers: *const *const c_char,
    stack: *const *const c_char,
}

impl List {
    /// # Safety
    /// The caller passed more than `index` arguments.
    unsafe fn get(self, index: usize) -> *const c_char {
        // SAFETY: as the caller vouches.
        unsafe {
            match index.checked_sub(IN_REGISTERS) {
                None => *self.registers.add(index),
                Some(behind) => *self.stack.add(behind),
            }
        }
    }

    /// Calls `call` with the arguments as an array, and the index of the null pointer behind them.
    ///
    /// # Safety
    /// The arguments end with a null pointer.
    unsafe fn with_array(self, call: impl FnOnce(*const *const c_char, usize) -> c_int) -> c_int {
        let mut end = 0;
        // SAFETY: up to the null pointer.
        while !unsafe { self.get(end) }.is_null() {
            end += 1;
        }
        let called = with_pointers(end, |pointers| {
            for index in 0..end {
                // SAFETY: before the null pointer.
                pointers.push(unsafe { self.get(index) })?;
            }
            // SAFETY: the caller's C strings.
            Ok(call(unsafe { pointers.block() }.as_ptr(), end))
        });
        called.and_then(|called| called).unwrap_or_else(errno::fail)
    }
}
