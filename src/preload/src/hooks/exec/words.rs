//! wordexp: libc starts the shell inside, where no hook is, with the process's own environment, so what a
//! program took out of it is put back there.

use core::ffi::{CStr, c_char, c_int};
use core::mem::zeroed;

use epochsocks::config::Environment;
use epochsocks::sys::{self, Errno, File};

use super::call::{By, Call, Target};
use super::child_environment::{is_loaded, preload_entry};
use super::fork::fork;
use super::half_connected::withhold_in_child;
use super::permitted::{SHELL, check};
use crate::environment::current;
use crate::hooks::c_types::wordexp_t;
use crate::inheritance::{self, LD_AUDIT, LD_PRELOAD};
use crate::sockets::none_in_flight;
use crate::{destination_tag, errno, real, unhooked};

/// [`LD_PRELOAD`] for C.
const LD_PRELOAD_NAME: &CStr = c"LD_PRELOAD";

// glibc, wordexp.h.
/// `wordexp_t`.
#[repr(C)]
struct Expanded {
    count: usize,
    words: *mut *mut c_char,
    offset: usize,
}

/// The structure has words already, or room for more is to be left in it.
const INTO_EXISTING: c_int = 1 << 0 | 1 << 1 | 1 << 3;
/// No command substitution.
const WRDE_NOCMD: c_int = 1 << 2;
/// Out of memory.
const WRDE_NOSPACE: c_int = 1;

/// # Safety
/// As wordexp(3).
pub unsafe fn wordexp(words: *const c_char, expanded: *mut wordexp_t, flags: c_int) -> c_int {
    // SAFETY: the caller's contract, here and below.
    unsafe {
        let words = CStr::from_ptr(words);
        if flags & WRDE_NOCMD != 0 || !may_start_a_shell(words) {
            return real::wordexp(words.as_ptr(), expanded, flags);
        }
        if prepare().is_err() {
            return real::wordexp(words.as_ptr(), expanded, flags | WRDE_NOCMD);
        }
        destination_tag::tell_inheritable();
        match none_in_flight() {
            true => real::wordexp(words.as_ptr(), expanded, flags),
            false => in_child(words, expanded, flags).unwrap_or(WRDE_NOSPACE),
        }
    }
}

/// Tells whether there is a command substitution, or text that looks like one.
fn may_start_a_shell(words: &CStr) -> bool {
    words.to_bytes().contains(&b'`') || words.to_bytes().windows(2).any(|pair| pair == b"$(")
}

/// Expands `words` in a forked child, whose shells do not get half-connected sockets, and then what came
/// of it, in quotes, here.
///
/// # Safety
/// As wordexp(3).
#[cold]
#[inline(never)]
unsafe fn in_child(words: &CStr, expanded: *mut wordexp_t, flags: c_int) -> Result<c_int, Errno> {
    let result = File::in_memory()?;
    // SAFETY: what the child calls is what this thread was about to call.
    match unsafe { fork() } {
        0 => {
            withhold_in_child();
            // SAFETY: as above.
            let error = unsafe { expand_quoted(words, flags & !INTO_EXISTING, &result) };
            sys::exit_group(error)
        }
        child if child < 0 => return Err(Errno(errno::get())),
        child => match sys::wait_for(child)? {
            0 => {}
            status if libc::WIFEXITED(status) => return Ok(libc::WEXITSTATUS(status)),
            _ => return Ok(WRDE_NOSPACE),
        },
    }
    let size = result.length()? + 1;
    let memory = sys::map_zeroed(size)?;
    // SAFETY: a fresh mapping of zeroes.
    let text = unsafe { core::slice::from_raw_parts_mut(memory.as_ptr(), size) };
    let read = result.read_at(text.split_last_mut().map_or(&mut [], |(_, text)| text), 0);
    drop(result);
    // SAFETY: the text ends with a NUL; the caller's contract.
    let error = read.map(|_| unsafe { real::wordexp(memory.as_ptr().cast(), expanded, flags) });
    // SAFETY: the text is not used any more.
    unsafe { sys::unmap(memory, size) };
    error
}

/// Writes the expansion of `words` into `file`, each word in quotes. Gives wordexp's error.
///
/// # Safety
/// As wordexp(3).
unsafe fn expand_quoted(words: &CStr, flags: c_int, file: &File) -> c_int {
    // SAFETY: integers and a pointer, which wordexp fills.
    let mut expanded: Expanded = unsafe { zeroed() };
    // SAFETY: the caller's contract.
    let error = unsafe { real::wordexp(words.as_ptr(), (&raw mut expanded).cast(), flags) };
    if error != 0 {
        return error;
    }
    // SAFETY: as many words as it says, with a null pointer behind them.
    let found = unsafe { Environment::from_raw(expanded.words.cast_const().cast()) };
    let written = found.entries().try_for_each(|word| {
        put_text(file, b"'")?;
        for part in word.to_bytes().split_inclusive(|byte| *byte == b'\'') {
            match part.strip_suffix(b"'") {
                Some(part) => put_text(file, part).and_then(|()| put_text(file, b"'\\''"))?,
                None => put_text(file, part)?,
            }
        }
        put_text(file, b"' ")
    });
    if written.is_ok() { 0 } else { WRDE_NOSPACE }
}

fn put_text(file: &File, mut text: &[u8]) -> Result<(), Errno> {
    while !text.is_empty() {
        let count = sys::write(file.fd(), text)?;
        text = text.get(count..).unwrap_or_default();
    }
    Ok(())
}

/// Makes sure that the shell can be protected and that the environment has what protects it.
fn prepare() -> Result<(), Errno> {
    // SAFETY: an empty block.
    let none = unsafe { Environment::from_raw(core::ptr::null()) };
    let call = Call { arguments: none, environment: current(), by: By::Caller };
    check(Target::Path(libc::AT_FDCWD, SHELL), &call)?;
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
    // SAFETY: two C strings; setenv copies them. wordexp reads the environment without a lock
    // itself, so a program may not change it in another thread meanwhile.
    match unsafe {
        unhooked::setenv(copy.as_slice().as_ptr().cast(), value[1..].as_ptr().cast(), 1)
    } {
        0 => Ok(()),
        _ => Err(Errno(errno::get())),
    }
}
