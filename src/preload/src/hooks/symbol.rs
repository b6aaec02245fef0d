//! `dlsym`, `dlvsym`: a program that asks libc itself for a function gets the hook before it.

use core::ffi::{CStr, c_char, c_void};
use core::mem::{MaybeUninit, transmute};
use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, Ordering::Relaxed};

use epochsocks::linkage::{self, Symbol};

use crate::{real, unhooked};

type Function = unsafe extern "C" fn(*mut c_void, *const c_char) -> *mut c_void;

type Versioned = unsafe extern "C" fn(*mut c_void, *const c_char, *const c_char) -> *mut c_void;

/// libc's dlsym and dlvsym. Set to values that never change, and guard no other memory: Relaxed is
/// enough.
static NEXT: AtomicPtr<c_void> = AtomicPtr::new(null_mut());
static NEXT_VERSIONED: AtomicPtr<c_void> = AtomicPtr::new(null_mut());

/// libc's dlsym, which both hooks stand in front of: nobody else could be asked for it.
extern "C" fn resolve() -> *mut c_void {
    found(&NEXT, const { Symbol::new(c"dlsym") })
}

fn resolve_versioned() -> Versioned {
    // SAFETY: libc's dlvsym, or a stand-in that looks at no argument.
    unsafe {
        transmute::<*mut c_void, Versioned>(found(
            &NEXT_VERSIONED,
            const { Symbol::new(c"dlvsym") },
        ))
    }
}

fn found(place: &AtomicPtr<c_void>, symbol: Symbol) -> *mut c_void {
    let mut next = place.load(Relaxed);
    if next.is_null() {
        next = linkage::in_libc(symbol).unwrap_or(null_mut());
        if next.is_null() {
            return absent as extern "C" fn() -> *mut c_void as *mut c_void;
        }
        place.store(next, Relaxed);
    }
    next
}

extern "C" fn absent() -> *mut c_void {
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

/// See the hook table. As [`dlsym`], what libc is told by the return address stays so.
///
/// # Safety
/// As the C function's.
#[cfg(target_arch = "x86_64")]
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dlvsym() -> *mut c_void {
    core::arch::naked_asm!(
        "push rdi",
        "push rsi",
        "push rdx",
        "call {choose}",
        "pop rdx",
        "pop rsi",
        "pop rdi",
        "jmp rax",
        choose = sym choose,
    )
}

/// See the hook table. As [`dlsym`], what libc is told by the return address stays so.
///
/// # Safety
/// As the C function's.
#[cfg(target_arch = "aarch64")]
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dlvsym() -> *mut c_void {
    core::arch::naked_asm!(
        "stp x0, x1, [sp, #-32]!",
        "stp x2, x30, [sp, #16]",
        "bl {choose}",
        "mov x9, x0",
        "ldp x2, x30, [sp, #16]",
        "ldp x0, x1, [sp], #32",
        "br x9",
        choose = sym choose,
    )
}

/// Who answers a dlvsym with these arguments. The hooks have no versions, so that the dynamic linker
/// passes over them: a function that has one is asked for without.
///
/// # Safety
/// As dlvsym(3).
unsafe extern "C" fn choose(
    handle: *mut c_void,
    name: *const c_char,
    version: *const c_char,
) -> *mut c_void {
    if handle != libc::RTLD_DEFAULT && handle != libc::RTLD_NEXT {
        return by_versioned_handle as Versioned as *mut c_void;
    }
    let next = resolve_versioned();
    // SAFETY: the caller's contract; libc's dlvsym.
    let has_hook = unsafe {
        real::is_hooked(CStr::from_ptr(name)) && !next(libc::RTLD_DEFAULT, name, version).is_null()
    };
    if has_hook { resolve() } else { next as *mut c_void }
}

/// As [`by_handle`].
///
/// # Safety
/// As dlvsym(3).
unsafe extern "C" fn by_versioned_handle(
    handle: *mut c_void,
    name: *const c_char,
    version: *const c_char,
) -> *mut c_void {
    // SAFETY: libc's dlvsym; the caller's contract.
    unsafe { hook_before(resolve_versioned()(handle, name, version), name) }
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
        hook_before(next(handle, name), name)
    }
}

/// The hook for `found`, if that is libc's function `name` and has one.
///
/// # Safety
/// `name` is a C string if `found` is not null.
unsafe fn hook_before(found: *mut c_void, name: *const c_char) -> *mut c_void {
    // SAFETY: as in `by_handle`.
    unsafe {
        if found.is_null() || !real::is_hooked(CStr::from_ptr(name)) || !is_of_libc(found) {
            return found;
        }
        let next = transmute::<*mut c_void, Function>(resolve());
        let hook = next(libc::RTLD_DEFAULT, name);
        if hook.is_null() { found } else { hook }
    }
}

/// libc, or the part of it that programs of old have their resolver from.
fn is_of_libc(address: *const c_void) -> bool {
    let libc_itself = libc::__errno_location as *const c_void;
    let (Some(object), Some(libc)) = (object_of(address), object_of(libc_itself)) else {
        return false;
    };
    // SAFETY: the linker's name of a loaded object.
    let path = unsafe { CStr::from_ptr(object.dli_fname) }.to_bytes();
    object.dli_fbase == libc.dli_fbase
        || path.rsplit(|byte| *byte == b'/').next().is_some_and(|name| name.starts_with(RESOLVER))
}

const RESOLVER: &[u8] = b"libresolv.so";

/// The object that `address` lies in.
fn object_of(address: *const c_void) -> Option<libc::Dl_info> {
    let mut information = MaybeUninit::<libc::Dl_info>::uninit();
    // SAFETY: dladdr fills the structure when it answers non-zero.
    unsafe {
        (unhooked::dladdr(address, information.as_mut_ptr()) != 0)
            .then(|| information.assume_init())
    }
}
