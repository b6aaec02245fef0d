//! The environment for a program that is executed: the caller's, with our variables put back where
//! the caller left them out. On the stack, because a vfork child shares its parent's heap.

use core::ffi::{CStr, c_char};
use core::ptr::null;

use epochsocks::config::{Environment, value_of};
use epochsocks::sys::Errno;

use crate::inheritance::{self, LD_PRELOAD};

/// The most entries of a rebuilt environment; more is `E2BIG`.
const MOST_ENTRIES: usize = 1_024;
/// The longest rebuilt `LD_PRELOAD` entry, in bytes; longer is `E2BIG`.
const LONGEST_PRELOAD: usize = 8_192;

/// Calls `call` with `environment`, completed if something of ours is missing.
pub fn with_environment<R>(
    environment: Environment<'_>,
    call: impl FnOnce(*const *const c_char) -> R,
) -> Result<R, Errno> {
    let Some(library) = inheritance::library() else { return Ok(call(environment.as_ptr())) };
    let preload = environment.get(LD_PRELOAD);
    let loaded = preload.is_some_and(|value| inheritance::loads(value, library));
    if loaded && inheritance::missing_from(environment).next().is_none() {
        return Ok(call(environment.as_ptr()));
    }
    completed(environment, if loaded { None } else { Some((library, preload)) }, call)
}

#[inline(never)]
fn completed<R>(
    environment: Environment<'_>,
    preload: Option<(&CStr, Option<&[u8]>)>,
    call: impl FnOnce(*const *const c_char) -> R,
) -> Result<R, Errno> {
    let mut line = PreloadLine::new();
    let mut array = Array::new();
    for entry in environment.entries() {
        let replaced =
            preload.is_some() && value_of(entry.to_bytes(), LD_PRELOAD.as_bytes()).is_some();
        if !replaced {
            array.push(entry.as_ptr())?;
        }
    }
    if let Some((library, rest)) = preload {
        array.push(line.write(library, rest)?)?;
    }
    for entry in inheritance::missing_from(environment) {
        array.push(entry.as_ptr())?;
    }
    Ok(call(array.entries.as_ptr()))
}

struct Array {
    entries: [*const c_char; MOST_ENTRIES],
    count: usize,
}

impl Array {
    fn new() -> Self {
        Array { entries: [null(); MOST_ENTRIES], count: 0 }
    }

    fn push(&mut self, entry: *const c_char) -> Result<(), Errno> {
        // The last place stays null.
        match self.entries[..MOST_ENTRIES - 1].get_mut(self.count) {
            Some(place) => *place = entry,
            None => return Err(Errno(libc::E2BIG)),
        }
        self.count += 1;
        Ok(())
    }
}

struct PreloadLine {
    bytes: [u8; LONGEST_PRELOAD],
    length: usize,
}

impl PreloadLine {
    fn new() -> Self {
        PreloadLine { bytes: [0; LONGEST_PRELOAD], length: 0 }
    }

    /// `LD_PRELOAD=`, ours first, then what the caller wanted.
    fn write(&mut self, library: &CStr, rest: Option<&[u8]>) -> Result<*const c_char, Errno> {
        for part in [LD_PRELOAD.as_bytes(), b"=", library.to_bytes()] {
            self.push(part)?;
        }
        if let Some(rest) = rest.filter(|rest| !rest.is_empty()) {
            self.push(b":")?;
            self.push(rest)?;
        }
        self.push(b"\0")?;
        Ok(self.bytes.as_ptr().cast())
    }

    fn push(&mut self, part: &[u8]) -> Result<(), Errno> {
        let end = self.length + part.len();
        let place = self.bytes.get_mut(self.length..end).ok_or(Errno(libc::E2BIG))?;
        place.copy_from_slice(part);
        self.length = end;
        Ok(())
    }
}
