//! `dlsym`: a program that asks libc itself for a function gets the hook before it.

use core::ffi::{CStr, c_char, c_void};
use core::mem::{MaybeUninit, transmute};
use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, Ordering::Relaxed};

use crate::real;

/// libc's oldest version of dlsym, which is the same function as the newest.
#[cfg(target_arch = "x86_64")]
const OLDEST: &CStr = c"GLIBC_2.2.5";
#[cfg(target_arch = "aarch64")]
const OLDEST: &CStr = c"GLIBC_2.17";

type Function = unsafe extern "C" fn(*mut c_void, *const c_char) -> *mut c_void;

/// libc's dlsym. Set to a value that never changes, and guards no other memory: Relaxed is enough.
static NEXT: AtomicPtr<c_void> = AtomicPtr::new(null_mut());

/// libc's dlsym, asked for by dlvsym, which is no hook.
extern "C" fn resolve() -> *mut c_void {
    let mut next = NEXT.load(Relaxed);
    if next.is_null() {
        // SAFETY: two C strings; RTLD_NEXT is resolved from this library's position.
        next = unsafe { libc::dlvsym(libc::RTLD_NEXT, c"dlsym".as_ptr(), OLDEST.as_ptr()) };
        if next.is_null() {
            return absent as Function as *mut c_void;
        }
        NEXT.store(next, Relaxed);
    }
    next
}

unsafe extern "C" fn absent(_: *mut c_void, _: *const c_char) -> *mut c_void {
    null_mut()
}

/// See the hook table. `RTLD_NEXT` and `RTLD_DEFAULT` mean what they mean to the caller, whom libc
/// knows by the return address: for them this is a jump, and no call.
///
/// # Safety
/// As the C function's.
#[cfg(target_arch = "x86_64")]
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dlsym() -> *mut c_void {
    core::arch::naked_asm!(
        "lea rax, [rdi + 1]",
        "cmp rax, 1",
        "ja 3f",
        "mov rax, [rip + {next}]",
        "test rax, rax",
        "jz 2f",
        "jmp rax",
        "2:",
        "push rdi",
        "push rsi",
        "sub rsp, 8",
        "call {resolve}",
        "add rsp, 8",
        "pop rsi",
        "pop rdi",
        "jmp rax",
        "3:",
        "jmp {by_handle}",
        next = sym NEXT,
        resolve = sym resolve,
        by_handle = sym by_handle,
    )
}

/// See the hook table. `RTLD_NEXT` and `RTLD_DEFAULT` mean what they mean to the caller, whom libc
/// knows by the return address: for them this is a jump, and no call.
///
/// # Safety
/// As the C function's.
#[cfg(target_arch = "aarch64")]
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dlsym() -> *mut c_void {
    core::arch::naked_asm!(
        "add x9, x0, #1",
        "cmp x9, #1",
        "b.hi 3f",
        "adrp x9, {next}",
        "ldr x9, [x9, :lo12:{next}]",
        "cbz x9, 2f",
        "br x9",
        "2:",
        "stp x0, x1, [sp, #-32]!",
        "str x30, [sp, #16]",
        "bl {resolve}",
        "mov x9, x0",
        "ldr x30, [sp, #16]",
        "ldp x0, x1, [sp], #32",
        "br x9",
        "3:",
        "b {by_handle}",
        next = sym NEXT,
        resolve = sym resolve,
        by_handle = sym by_handle,
    )
}

/// What `handle` has, or the hook if that is libc's function behind one: then what the program
/// would get without a handle.
///
/// # Safety
/// As dlsym(3).
unsafe extern "C" fn by_handle(handle: *mut c_void, name: *const c_char) -> *mut c_void {
    // SAFETY: libc's dlsym, or a stand-in of its type; the caller's contract.
    unsafe {
        let next = transmute::<*mut c_void, Function>(resolve());
        let found = next(handle, name);
        if found.is_null() || !real::is_hooked(CStr::from_ptr(name)) || !is_of_libc(found) {
            return found;
        }
        let hook = next(libc::RTLD_DEFAULT, name);
        if hook.is_null() { found } else { hook }
    }
}

fn is_of_libc(address: *const c_void) -> bool {
    let libc_itself = libc::__errno_location as *const c_void;
    object_of(address).is_some_and(|object| object_of(libc_itself) == Some(object))
}

/// Where the object that `address` lies in is loaded.
fn object_of(address: *const c_void) -> Option<*mut c_void> {
    let mut information = MaybeUninit::<libc::Dl_info>::uninit();
    // SAFETY: dladdr fills the structure when it answers non-zero.
    unsafe {
        (libc::dladdr(address, information.as_mut_ptr()) != 0)
            .then(|| information.assume_init().dli_fbase)
    }
}
