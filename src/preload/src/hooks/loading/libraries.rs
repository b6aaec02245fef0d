//! `dlopen`, `dlmopen`: a library that a program loads calls the hooks as the program does.

use core::ffi::{CStr, c_char, c_int, c_long, c_void};

use epochsocks::linkage::Symbol;
use epochsocks::policy::exec::Refusal;
use epochsocks::program::{Kind, elf};
use epochsocks::sys::File;

use super::symbols::absent;
use crate::log::log;
use crate::real::Real;

/// dlopen's arguments.
#[repr(C)]
struct Load {
    file: *const c_char,
    mode: c_int,
}

/// dlmopen's arguments.
#[repr(C)]
struct LoadInNamespace {
    namespace: c_long,
    load: Load,
}

/// For a namespace with objects of its own, libc's among them (dlfcn.h).
const NEW_NAMESPACE: c_long = -1;
/// One that never is: libc answers with an error.
const NO_NAMESPACE: c_long = c_long::MAX;
/// The place of a library that is not loaded: nothing has this name, which libc puts into the error.
const NOT_LOADED: &CStr = c"/dev/null/epochsocks loads no Go library, as it bypasses the C library";

/// See the hook table. libc knows by the return address whose search path and namespace are meant,
/// which a jump leaves as it is.
///
/// # Safety
/// As the C function's.
#[cfg(target_arch = "x86_64")]
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dlopen() -> *mut c_void {
    core::arch::naked_asm!(
        "push rsi",
        "push rdi",
        "mov rdi, rsp",
        "sub rsp, 8",
        "call {judge}",
        "add rsp, 8",
        "pop rdi",
        "pop rsi",
        "jmp rax",
        judge = sym judge,
    )
}

/// See the hook table. libc knows by the return address whose search path and namespace are meant,
/// which a jump leaves as it is.
///
/// # Safety
/// As the C function's.
#[cfg(target_arch = "aarch64")]
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dlopen() -> *mut c_void {
    core::arch::naked_asm!(
        "stp x0, x1, [sp, #-32]!",
        "str x30, [sp, #16]",
        "mov x0, sp",
        "bl {judge}",
        "mov x9, x0",
        "ldr x30, [sp, #16]",
        "ldp x0, x1, [sp], #32",
        "br x9",
        judge = sym judge,
    )
}

/// See the hook table. A jump, as [`dlopen`].
///
/// # Safety
/// As the C function's.
#[cfg(target_arch = "x86_64")]
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dlmopen() -> *mut c_void {
    core::arch::naked_asm!(
        "push rdx",
        "push rsi",
        "push rdi",
        "mov rdi, rsp",
        "call {judge}",
        "pop rdi",
        "pop rsi",
        "pop rdx",
        "jmp rax",
        judge = sym judge_in_namespace,
    )
}

/// See the hook table. A jump, as [`dlopen`].
///
/// # Safety
/// As the C function's.
#[cfg(target_arch = "aarch64")]
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dlmopen() -> *mut c_void {
    core::arch::naked_asm!(
        "stp x0, x1, [sp, #-32]!",
        "stp x2, x30, [sp, #16]",
        "mov x0, sp",
        "bl {judge}",
        "mov x9, x0",
        "ldp x2, x30, [sp, #16]",
        "ldp x0, x1, [sp], #32",
        "br x9",
        judge = sym judge_in_namespace,
    )
}

/// Makes dlopen's arguments what they may be, and answers the function that gets them.
///
/// # Safety
/// As dlopen(3).
unsafe extern "C" fn judge(load: &mut Load) -> *mut c_void {
    // SAFETY: the caller's contract.
    unsafe { permit(load) };
    static NEXT: Real = Real::new();
    next(&NEXT, const { Symbol::new(c"dlopen") })
}

/// As [`judge`], for dlmopen.
///
/// # Safety
/// As dlmopen(3).
unsafe extern "C" fn judge_in_namespace(arguments: &mut LoadInNamespace) -> *mut c_void {
    if arguments.namespace == NEW_NAMESPACE {
        log!(Error, "dlmopen refused: what a new namespace loads would call a libc without hooks");
        arguments.namespace = NO_NAMESPACE;
    }
    // SAFETY: the caller's contract.
    unsafe { permit(&mut arguments.load) };
    static NEXT: Real = Real::new();
    next(&NEXT, const { Symbol::new(c"dlmopen") })
}

fn next(real: &Real, symbol: Symbol) -> *mut c_void {
    let next = real.get_or_find(symbol);
    if next.is_null() { absent as extern "C" fn() -> *mut c_void as *mut c_void } else { next }
}

/// Takes the flag out that lets a library look for functions in those it needs first, and so in libc
/// before the hooks; and the file, if it is one of Go's.
///
/// # Safety
/// As dlopen(3).
unsafe fn permit(load: &mut Load) {
    load.mode &= !libc::RTLD_DEEPBIND;
    if load.file.is_null() {
        return;
    }
    // SAFETY: the caller's contract.
    let file = unsafe { CStr::from_ptr(load.file) };
    if is_go(file) {
        log!(Error, "not loaded: {}: {}", file.to_bytes().escape_ascii(), Refusal::Go);
        load.file = NOT_LOADED.as_ptr();
    }
}

/// Whether `path` is a library made by Go; `false` for a name that is looked for elsewhere.
fn is_go(path: &CStr) -> bool {
    path.to_bytes().contains(&b'/')
        && File::open_at(libc::AT_FDCWD, path)
            .is_ok_and(|file| matches!(Kind::of(&file), Ok(Kind::Elf(elf::Elf { go: true, .. }))))
}
