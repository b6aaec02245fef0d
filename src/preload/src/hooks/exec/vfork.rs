//! `vfork`: the registry is told that a child will share its memory. While none can, no change of the registry asks the
//! kernel for the process id.
//!
//! A child that shares the memory is made by `vfork`, by `clone` or by syscall(2), whose hooks tell the registry of
//! it, or by the library's own posix_spawn. libc's functions that make such a child by themselves let it run nothing of
//! the program. So the process is presumed alone where the hooks are what every call of these functions meets.

use core::ffi::c_void;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use epochsocks::linkage::{self, Symbol};
use epochsocks::sys::Errno;
use libc::pid_t;

use crate::errno;
use crate::real::Real;
use crate::sockets::SOCKETS;

/// Makes the hook `$name`, which lets `$choose` find libc's function. That comes back twice, the first time while its
/// child goes on in the caller's stack: a frame of ours would be overwritten.
macro_rules! jump {
    ($name:ident by $choose:ident) => {
        /// See the hook table. A jump: libc's comes back twice to the caller's frame.
        ///
        /// # Safety
        /// As the C function's.
        #[cfg(target_arch = "x86_64")]
        #[unsafe(naked)]
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name() -> pid_t {
            core::arch::naked_asm!(
                "sub rsp, 8",
                "call {choose}",
                "add rsp, 8",
                "jmp rax",
                choose = sym $choose,
            )
        }

        /// See the hook table. A jump: libc's comes back twice to the caller's frame.
        ///
        /// # Safety
        /// As the C function's.
        #[cfg(target_arch = "aarch64")]
        #[unsafe(naked)]
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name() -> pid_t {
            core::arch::naked_asm!(
                "str x30, [sp, #-16]!",
                "bl {choose}",
                "mov x9, x0",
                "ldr x30, [sp], #16",
                "br x9",
                choose = sym $choose,
            )
        }
    };
}
jump!(vfork by choose);
jump!(__vfork by choose_alias);

/// Tells the registry of the child; finds the function that makes it.
extern "C" fn choose() -> *mut c_void {
    static NEXT: Real = Real::new();
    told(&NEXT, const { Symbol::new(c"vfork") })
}

/// As [`choose`], for `__vfork`.
extern "C" fn choose_alias() -> *mut c_void {
    static NEXT: Real = Real::new();
    told(&NEXT, const { Symbol::new(c"__vfork") })
}

fn told(next: &Real, symbol: Symbol) -> *mut c_void {
    SOCKETS.registry().note_sharing();
    let saved = errno::get();
    let found = next.get_or_find(symbol);
    errno::set(saved);
    if found.is_null() { absent as extern "C" fn() -> pid_t as *mut c_void } else { found }
}

/// Stands in for a `vfork` that libc lacks.
extern "C" fn absent() -> pid_t {
    errno::fail(Errno(libc::ENOSYS))
}

/// Set once it has been looked whether the process may be presumed alone. A forked child has its parent's answer, which
/// holds for it, too. Guards nothing else, and two callers find the same: Relaxed.
static IS_JUDGED: AtomicBool = AtomicBool::new(false);

/// Lets the registry presume that no other process has its memory, if each one will be told of. At the first socket, as
/// most programs make none. Async-signal-safe.
#[inline(always)]
pub fn presume_alone_if_told() {
    if !IS_JUDGED.load(Relaxed) {
        judge();
    }
}

/// A program, or a library that stands in front, may have a function of these names itself, which makes the system
/// call: AddressSanitizer's `vfork` does. What is loaded later is searched last, and RTLD_DEEPBIND has no effect.
#[cold]
#[inline(never)]
fn judge() {
    let makers = [
        const { Symbol::new(c"vfork") },
        const { Symbol::new(c"__vfork") },
        const { Symbol::new(c"clone") },
        const { Symbol::new(c"__clone") },
        const { Symbol::new(c"syscall") },
    ];
    if linkage::come_first(&makers) {
        SOCKETS.registry().presume_alone();
    }
    IS_JUDGED.store(true, Relaxed);
}
