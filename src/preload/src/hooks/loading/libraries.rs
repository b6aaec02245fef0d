//! `dlopen`, `dlmopen`: a library that a program loads calls the hooks as the program does.

use core::ffi::{CStr, c_char, c_int, c_long, c_void};

use epochsocks::linkage::{self, Symbol};
use epochsocks::policy::exec::{ExecRefusal, decide_library};
use epochsocks::program::{DirectCalls, Kind, elf};
use epochsocks::sys::{self, File};

use super::search;
use super::symbols::{absent, object_of};
use crate::log::refused;
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

/// The namespace of the program (dlfcn.h).
const BASE_NAMESPACE: c_long = 0;
/// One that never is: libc answers with an error.
const NO_NAMESPACE: c_long = c_long::MAX;

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
        "mov rsi, [rsp + 16]",
        "sub rsp, 8",
        "call {judge}",
        "add rsp, 8",
        "pop rdi",
        "pop rsi",
        "jmp rax",
        judge = sym permit_in_program,
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
        "mov x1, x30",
        "bl {judge}",
        "mov x9, x0",
        "ldr x30, [sp, #16]",
        "ldp x0, x1, [sp], #32",
        "br x9",
        judge = sym permit_in_program,
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
        "mov rsi, [rsp + 24]",
        "call {judge}",
        "pop rdi",
        "pop rsi",
        "pop rdx",
        "jmp rax",
        judge = sym permit_in_namespace,
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
        "mov x1, x30",
        "bl {judge}",
        "mov x9, x0",
        "ldp x2, x30, [sp, #16]",
        "ldp x0, x1, [sp], #32",
        "br x9",
        judge = sym permit_in_namespace,
    )
}

/// Makes dlopen's arguments what they may be, and answers the function that gets them.
///
/// # Safety
/// As dlopen(3).
unsafe extern "C" fn permit_in_program(load: &mut Load, caller: *const c_void) -> *mut c_void {
    // SAFETY: the caller's contract.
    unsafe { permit(load, caller) };
    static NEXT: Real = Real::new();
    next(&NEXT, const { Symbol::new(c"dlopen") })
}

/// As [`permit_in_program`], for dlmopen.
///
/// # Safety
/// As dlmopen(3).
unsafe extern "C" fn permit_in_namespace(
    arguments: &mut LoadInNamespace,
    caller: *const c_void,
) -> *mut c_void {
    if arguments.namespace != BASE_NAMESPACE {
        refused!(
            Error,
            Load,
            "dlmopen refused: what another namespace loads would call a libc without hooks"
        );
        arguments.namespace = NO_NAMESPACE;
    }
    // SAFETY: the caller's contract.
    unsafe { permit(&mut arguments.load, caller) };
    static NEXT: Real = Real::new();
    next(&NEXT, const { Symbol::new(c"dlmopen") })
}

fn next(real: &Real, symbol: Symbol) -> *mut c_void {
    let next = real.get_or_find(symbol);
    if next.is_null() { absent as extern "C" fn() -> *mut c_void as *mut c_void } else { next }
}

/// Takes the flag out that lets a library look for functions in those it needs first, and so in libc
/// before the hooks; and the file, if its calls would not meet the hooks.
///
/// # Safety
/// As dlopen(3).
unsafe fn permit(load: &mut Load, caller: *const c_void) {
    load.mode &= !libc::RTLD_DEEPBIND;
    if load.file.is_null() {
        return;
    }
    // SAFETY: the caller's contract.
    let file = unsafe { CStr::from_ptr(load.file) };
    if let Err(refusal) = judge(file, caller) {
        refused!(Error, Load, "not loaded: {} {refusal}", file.to_bytes().escape_ascii());
        load.file = not_loaded(refusal).as_ptr();
    }
}

/// A place where nothing is, whose name libc puts into the error.
fn not_loaded(refusal: ExecRefusal) -> &'static CStr {
    match refusal {
        ExecRefusal::Go => {
            c"/dev/null/epochsocks loads no Go library, as it bypasses the C library"
        }
        ExecRefusal::SecondLibc => {
            c"/dev/null/epochsocks loads no second C library, as its calls would go past Tor"
        }
        _ => c"/dev/null/epochsocks loads no library that connects by system calls of its own",
    }
}

/// Depth to which the libraries are looked for that a library needs, which need others.
const DEEPEST: u32 = 3;

/// Judges the library that the code at `caller` gets for `name`, and those that come with it. A C library that is found by
/// a bare name has the hooks before its functions all the same.
fn judge(name: &CStr, caller: *const c_void) -> Result<(), ExecRefusal> {
    const OTHER_LIBCS: [&[u8]; 2] = [b"libc.musl-", b"ld-musl-"];
    let bytes = name.to_bytes();
    if bytes.contains(&b'/') {
        let Ok(file) = File::open_at(libc::AT_FDCWD, name) else { return Ok(()) };
        return judge_file(&file, Named::ByPath).and_then(|()| judge_needs(&file, bytes, DEEPEST));
    }
    if OTHER_LIBCS.iter().any(|start| bytes.starts_with(start)) {
        return Err(ExecRefusal::SecondLibc);
    }
    match found_by_caller(name, caller).or_else(|| search::find_in_cache(name)) {
        Some((file, path)) => judge_file(&file, Named::ByName)
            .and_then(|()| judge_needs(&file, path.as_slice(), DEEPEST)),
        None => Ok(()),
    }
}

/// The library that the object at `caller`, or else the program, finds by `name`.
#[inline(never)]
fn found_by_caller(name: &CStr, caller: *const c_void) -> Option<(File, search::Path)> {
    let object = object_of(caller);
    // SAFETY: the dynamic linker's name of an object that has just called.
    let path = object.map(|object| unsafe { CStr::from_ptr(object.dli_fname) });
    [path, Some(c"/proc/self/exe")].into_iter().flatten().find_map(|path| {
        let file = File::open_at(libc::AT_FDCWD, path).ok()?;
        let directories = elf::needed(&file, |_| {}).ok()?;
        let directories = text(&directories);
        search::find(name, search::Asker { directories, path: path.to_bytes() })
    })
}

/// A text up to its NULs.
fn text(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// Judges the libraries that `file`, at `path`, needs.
#[inline(never)]
fn judge_needs(file: &File, path: &[u8], deepest: u32) -> Result<(), ExecRefusal> {
    if deepest == 0 || !matches!(Kind::of(file), Ok(Kind::Elf(elf)) if elf.is_native()) {
        return Ok(());
    }
    let Ok(directories) = elf::needed(file, |_| {}) else { return Ok(()) };
    let asker = search::Asker { directories: text(&directories), path };
    let mut judged = Ok(());
    let _ = elf::needed(file, |name| {
        if judged.is_ok() {
            judged = judge_need(name, asker, deepest);
        }
    });
    judged
}

#[inline(never)]
fn judge_need(name: &CStr, asker: search::Asker<'_>, deepest: u32) -> Result<(), ExecRefusal> {
    match search::find(name, asker).or_else(|| search::find_in_cache(name)) {
        Some((file, path)) => judge_file(&file, Named::ByName)
            .and_then(|()| judge_needs(&file, path.as_slice(), deepest - 1)),
        None => Ok(()),
    }
}

/// Way in which the dynamic linker comes to a library.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Named {
    /// By a path: it loads that file.
    ByPath,
    /// By a name, of which it may have the library already.
    ByName,
}

/// Judges a library by its file.
fn judge_file(file: &File, named: Named) -> Result<(), ExecRefusal> {
    let Ok(Kind::Elf(elf)) = Kind::of(file) else { return Ok(()) };
    // What can't be read is taken for the worst.
    let unknown = DirectCalls { network: true, epoll_waits: true };
    let Ok(library) = elf::Library::of(file) else { return Ok(()) };
    let calls = || elf::direct_calls(file).unwrap_or(unknown);
    decide_library(&elf, library, || named == Named::ByName || is_loaded(file), calls)
}

/// The exit status of a program that is not run: the launcher's.
const NOT_RUN: i32 = 126;

/// Ends the program if it has come with a library whose calls do not meet the hooks: it is linked to it, or
/// it is preloaded. The dynamic linker has found them; those in the system's directories are not looked at.
/// Called once, by the constructor.
pub fn judge_loaded() {
    let others = linkage::paths().filter(|path| Some(*path) != linkage::path());
    for path in others.filter(|path| !search::is_systems(path)) {
        let Ok(file) = File::open_at(libc::AT_FDCWD, path) else { continue };
        if let Err(refusal) = judge_file(&file, Named::ByName) {
            refused!(
                Error,
                Load,
                "not run: it is linked to {}, which {refusal}: {}",
                path.to_bytes().escape_ascii(),
                refusal.remedy()
            );
            sys::exit_group(NOT_RUN);
        }
    }
}

/// Tells whether `file` is the process's own libc or dynamic linker.
fn is_loaded(file: &File) -> bool {
    let own = [libc::__errno_location as *const c_void, linkage::in_dynamic_linker()];
    own.into_iter().filter_map(object_of).any(|object| {
        // SAFETY: the dynamic linker's name of an object that stays loaded.
        let path = unsafe { CStr::from_ptr(object.dli_fname) };
        let loaded = File::open_at(libc::AT_FDCWD, path).and_then(|it| sys::identity(it.fd()));
        loaded.is_ok_and(|loaded| sys::identity(file.fd()) == Ok(loaded))
    })
}
