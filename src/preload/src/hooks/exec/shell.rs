//! system, popen and wordexp: libc starts the shell with the process's own environment, so what a program
//! took out of it is put back there. The shell's own execs then come through our hooks.

use core::ffi::{CStr, c_char, c_int};

use epochsocks::sys::Errno;
use libc::FILE;

use super::child_environment::{is_loaded, preload_entry};
use super::connecting::without_half_spoken;
use super::permitted::{self, SHELL};
use crate::environment::current;
use crate::hooks::c_types::wordexp_t;
use crate::inheritance::{self, LD_AUDIT, LD_PRELOAD};
use crate::{errno, label, real, unhooked};

/// [`LD_PRELOAD`] for C.
const LD_PRELOAD_NAME: &CStr = c"LD_PRELOAD";

/// # Safety
/// As system(3).
pub unsafe fn system(command: *const c_char) -> c_int {
    if let Err(errno) = prepare() {
        return errno::fail(errno);
    }
    // SAFETY: the caller's contract.
    labelled(|| unsafe { real::system(command) }).unwrap_or_else(errno::fail)
}

/// # Safety
/// As popen(3).
pub unsafe fn popen(command: *const c_char, mode: *const c_char) -> *mut FILE {
    if let Err(errno) = prepare() {
        return errno::fail(errno);
    }
    // SAFETY: the caller's contract.
    labelled(|| unsafe { real::popen(command, mode) }).unwrap_or_else(errno::fail)
}

/// glibc, wordexp.h: no command substitution.
const WRDE_NOCMD: c_int = 1 << 2;

/// # Safety
/// As wordexp(3).
pub unsafe fn wordexp(words: *const c_char, expanded: *mut wordexp_t, flags: c_int) -> c_int {
    // Few of them want a shell at all.
    let flags = if prepare().is_ok() { flags } else { flags | WRDE_NOCMD };
    label::write_inheritable();
    // SAFETY: the caller's contract.
    unsafe { real::wordexp(words, expanded, flags) }
}

/// Calls `call` when the handshakes in flight have ended, with every connection labelled.
fn labelled<R>(call: impl FnOnce() -> R) -> Result<R, Errno> {
    without_half_spoken(|| {
        label::write_inheritable();
        call()
    })
}

/// Makes sure that the shell can be protected and that the environment has what protects it.
fn prepare() -> Result<(), Errno> {
    permitted::process(SHELL)?;
    permitted::path(libc::AT_FDCWD, SHELL)?;
    let Some(library) = inheritance::library() else { return Ok(()) };
    // SAFETY: a C string; as for setenv in `put`.
    unsafe { unhooked::unsetenv(LD_AUDIT.as_ptr()) };
    if !is_loaded(current(), library) {
        let entry = preload_entry(library, current().last(LD_PRELOAD))?;
        // SAFETY: a C string; as for setenv in `put`. It takes every one out, setenv changes the first.
        unsafe { unhooked::unsetenv(LD_PRELOAD_NAME.as_ptr()) };
        put(entry.as_slice())?;
    }
    // Each one is looked for in the environment as it then is.
    for entry in inheritance::entries() {
        if current().entries().all(|other| !same_name(other, entry)) {
            put(entry.to_bytes_with_nul())?;
        }
    }
    Ok(())
}

fn same_name(one: &CStr, other: &CStr) -> bool {
    let name =
        |entry: &'_ CStr| entry.to_bytes().split(|byte| *byte == b'=').next().map(<[u8]>::len);
    let (length, other_length) = (name(one), name(other));
    length == other_length
        && length.is_some_and(|length| one.to_bytes()[..length] == other.to_bytes()[..length])
}

/// setenv(3) of `entry`, `NAME=value` with its NUL.
fn put(entry: &[u8]) -> Result<(), Errno> {
    let mut copy = epochsocks::bytes::Bytes::<8_192>::EMPTY;
    let equals = entry.iter().position(|byte| *byte == b'=').ok_or(Errno(libc::EINVAL))?;
    let (name, value) = entry.split_at(equals);
    if !(copy.extend(name) && copy.extend(b"\0")) {
        return Err(Errno(libc::E2BIG));
    }
    // SAFETY: two C strings; setenv copies them. system and popen read the environment without a
    // lock themselves, so a program may not change it in another thread meanwhile.
    match unsafe {
        unhooked::setenv(copy.as_slice().as_ptr().cast(), value[1..].as_ptr().cast(), 1)
    } {
        0 => Ok(()),
        _ => Err(Errno(errno::get())),
    }
}
