//! `dlsym`, `dlvsym`: a program that asks libc itself for a function gets the hook before it.

use core::ffi::{CStr, c_char, c_int, c_void};
use core::mem::{MaybeUninit, transmute};
use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, Ordering::Relaxed};

use epochsocks::linkage::{self, Symbol};

use crate::hooks::sockets::connect::connect_behind;
use crate::{real, unhooked};

type Function = unsafe extern "C" fn(*mut c_void, *const c_char) -> *mut c_void;

type Versioned = unsafe extern "C" fn(*mut c_void, *const c_char, *const c_char) -> *mut c_void;

/// libc's dlsym and dlvsym. Set to values that never change, and guard no other memory: Relaxed is
/// enough.
static NEXT: AtomicPtr<c_void> = AtomicPtr::new(null_mut());
static NEXT_VERSIONED: AtomicPtr<c_void> = AtomicPtr::new(null_mut());

/// libc's dlsym, which both hooks stand in front of: no other function could be asked for it.
fn resolve() -> *mut c_void {
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

/// Stands in for a function that libc lacks, and answers null as that does.
pub(super) extern "C" fn absent() -> *mut c_void {
    null_mut()
}

/// See the hook table. libc knows by the return address who asks, which a jump leaves as it is.
///
/// # Safety
/// As the C function's.
#[cfg(target_arch = "x86_64")]
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dlsym() -> *mut c_void {
    core::arch::naked_asm!(
        "push rdi",
        "push rsi",
        "mov rdx, [rsp + 16]",
        "sub rsp, 8",
        "call {choose}",
        "add rsp, 8",
        "pop rsi",
        "pop rdi",
        "jmp rax",
        choose = sym choose,
    )
}

/// See the hook table. libc knows by the return address who asks, which a jump leaves as it is.
///
/// # Safety
/// As the C function's.
#[cfg(target_arch = "aarch64")]
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dlsym() -> *mut c_void {
    core::arch::naked_asm!(
        "stp x0, x1, [sp, #-32]!",
        "str x30, [sp, #16]",
        "mov x2, x30",
        "bl {choose}",
        "mov x9, x0",
        "ldr x30, [sp, #16]",
        "ldp x0, x1, [sp], #32",
        "br x9",
        choose = sym choose,
    )
}

/// See the hook table. A jump, as [`dlsym`].
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
        "mov rcx, [rsp + 24]",
        "call {choose}",
        "pop rdx",
        "pop rsi",
        "pop rdi",
        "jmp rax",
        choose = sym choose_versioned,
    )
}

/// See the hook table. A jump, as [`dlsym`].
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
        "mov x3, x30",
        "bl {choose}",
        "mov x9, x0",
        "ldp x2, x30, [sp, #16]",
        "ldp x0, x1, [sp], #32",
        "br x9",
        choose = sym choose_versioned,
    )
}

/// Finds who answers a dlsym with these arguments that returns to `caller`.
///
/// # Safety
/// As dlsym(3).
unsafe extern "C" fn choose(
    handle: *mut c_void,
    name: *const c_char,
    caller: *const c_void,
) -> *mut c_void {
    // SAFETY: the caller's contract.
    let name = unsafe { CStr::from_ptr(name) };
    if handle == libc::RTLD_DEFAULT || !real::is_hooked(name) {
        return resolve();
    }
    match (Asker::of(caller, name), handle == libc::RTLD_NEXT) {
        (Asker::LastWrapper, true) if stand_in(name).is_some() => behind as Function as *mut c_void,
        (Asker::LastWrapper | Asker::Wrapper | Asker::InFront, true) => resolve(),
        (Asker::Other, true) => hook as Function as *mut c_void,
        (Asker::LastWrapper | Asker::Wrapper, false) if stand_in(name).is_none() => resolve(),
        (Asker::LastWrapper | Asker::Wrapper, false) => behind_handle as Function as *mut c_void,
        (_, false) => by_handle as Function as *mut c_void,
    }
}

/// Finds who answers a dlvsym with these arguments that returns to `caller`. The hooks have no
/// versions, so that the dynamic linker passes over them: a function that has one is asked for
/// without.
///
/// # Safety
/// As dlvsym(3).
unsafe extern "C" fn choose_versioned(
    handle: *mut c_void,
    name: *const c_char,
    version: *const c_char,
    caller: *const c_void,
) -> *mut c_void {
    let next = resolve_versioned();
    // SAFETY: the caller's contract.
    let symbol = unsafe { CStr::from_ptr(name) };
    // SAFETY: libc's dlvsym; the caller's contract.
    let exists = || unsafe { !next(libc::RTLD_DEFAULT, name, version).is_null() };
    if !real::is_hooked(symbol) {
        return next as *mut c_void;
    }
    match Asker::of(caller, symbol) {
        Asker::LastWrapper | Asker::Wrapper if stand_in(symbol).is_some() && exists() => {
            behind as Function as *mut c_void
        }
        Asker::LastWrapper | Asker::Wrapper => next as *mut c_void,
        _ if handle != libc::RTLD_DEFAULT && handle != libc::RTLD_NEXT => {
            by_versioned_handle as Versioned as *mut c_void
        }
        _ if !exists() => next as *mut c_void,
        // Without a version, an object that stands in front would find itself.
        Asker::Other | Asker::InFront => hook as Function as *mut c_void,
    }
}

/// Whose call it is that asks for a function which has a hook.
enum Asker {
    /// Of an object that is searched before the hooks, or of this library: the next function is a
    /// hook or what this library asks for.
    InFront,
    /// Of an object behind the hooks that has a function of this name itself. A hook calls that in
    /// place of libc's, and it goes on to libc's, or to that of another such object.
    Wrapper,
    /// Of the last one of these, behind which is libc.
    LastWrapper,
    /// Of another object.
    Other,
}

impl Asker {
    fn of(caller: *const c_void, name: &CStr) -> Asker {
        let Some(object) = object_of(caller) else { return Asker::Other };
        let is_it =
            |address| object_of(address).is_some_and(|other| other.dli_fbase == object.dli_fbase);
        if linkage::up_to_this_object().any(is_it) {
            Asker::InFront
        } else if linkage::wrappers(name).last().is_some_and(is_it) {
            Asker::LastWrapper
        } else if linkage::wrappers(name).any(is_it) {
            Asker::Wrapper
        } else {
            Asker::Other
        }
    }
}

/// The hook of this name.
///
/// # Safety
/// `name` is a C string.
unsafe extern "C" fn hook(_: *mut c_void, name: *const c_char) -> *mut c_void {
    // SAFETY: the caller's contract.
    linkage::in_this_object(unsafe { CStr::from_ptr(name) }).unwrap_or(null_mut())
}

/// Finds the function for an object behind the hooks that asks for a libc function which it defines
/// itself. A hook may call that object, so it can't be just any hook. `None` where it has to be
/// libc's own.
fn stand_in(name: &CStr) -> Option<*mut c_void> {
    if name == c"connect" {
        return Some(connect_behind as *mut c_void);
    }
    (!real::is_called(name)).then(|| linkage::in_this_object(name)).flatten()
}

/// The stand-in of this name.
///
/// # Safety
/// `name` is a C string.
unsafe extern "C" fn behind(_: *mut c_void, name: *const c_char) -> *mut c_void {
    // SAFETY: the caller's contract.
    stand_in(unsafe { CStr::from_ptr(name) }).unwrap_or(null_mut())
}

/// Finds the symbol in `handle`, or the stand-in if that is libc's.
///
/// # Safety
/// As dlsym(3).
unsafe extern "C" fn behind_handle(handle: *mut c_void, name: *const c_char) -> *mut c_void {
    // SAFETY: as in `by_handle`.
    unsafe {
        let found = transmute::<*mut c_void, Function>(resolve())(handle, name);
        if found.is_null() || !is_of_hooked_library(found) {
            return found;
        }
        behind(null_mut(), name)
    }
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

/// Finds the symbol in `handle`, or the hook if that is a C library's function behind one. The
/// answer without a handle would be wrong: it may be an object in front that asks for its own sake.
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

/// The hook for `found`, if that is function `name`, which has one, of a C library or of another one
/// that the hooks stand for.
///
/// # Safety
/// `name` is a C string if `found` is not null.
unsafe fn hook_before(found: *mut c_void, name: *const c_char) -> *mut c_void {
    if found.is_null() || !is_of_hooked_library(found) {
        return found;
    }
    // SAFETY: the caller's contract.
    unsafe { hook(null_mut(), name) }
}

/// Tells whether `address` lies in libc or a part of it, in a second C library that the program has
/// loaded, or in another library whose functions have hooks.
fn is_of_hooked_library(address: *const c_void) -> bool {
    /// For the object's entry in the dynamic linker's list (dlfcn.h).
    const RTLD_DL_LINKMAP: c_int = 2;
    let (mut object, mut map) = (MaybeUninit::<libc::Dl_info>::uninit(), null_mut());
    // SAFETY: both are written if it answers non-zero. The object is the program's by a handle, and stays
    // loaded while it asks.
    unsafe {
        unhooked::dladdr1(address, object.as_mut_ptr(), &raw mut map, RTLD_DL_LINKMAP) != 0
            && linkage::is_hooked_library(map)
    }
}

/// The object that `address` lies in.
pub(super) fn object_of(address: *const c_void) -> Option<libc::Dl_info> {
    let mut information = MaybeUninit::<libc::Dl_info>::uninit();
    // SAFETY: dladdr fills the structure when it answers non-zero.
    unsafe {
        (unhooked::dladdr(address, information.as_mut_ptr()) != 0)
            .then(|| information.assume_init())
    }
}
