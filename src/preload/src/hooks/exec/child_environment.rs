//! The environment for a program that is executed: the caller's, with our variables put back where
//! the caller left them out, and without audit libraries. Async-signal-safe.

use core::ffi::CStr;

use epochsocks::bytes::Bytes;
use epochsocks::config::{Environment, value_of};
use epochsocks::sys::Errno;

use super::pointers::with_strings;
use crate::inheritance::{self, LD_AUDIT, LD_PRELOAD};
use crate::log::log;

/// The longest rebuilt `LD_PRELOAD` entry, in bytes; longer is `E2BIG`.
const LONGEST_PRELOAD: usize = 8_192;

/// Calls `call` with `environment`, completed if something of ours is missing. Errors: `E2BIG`,
/// `ENOMEM`.
pub fn with_environment<R>(
    environment: Environment<'_>,
    call: impl FnOnce(Environment<'_>) -> R,
) -> Result<R, Errno> {
    let Some(library) = inheritance::library() else { return Ok(call(environment)) };
    let is_loaded = is_loaded(environment, library);
    let has_audit = environment.entries().any(is_audit);
    if has_audit {
        log!(Warning, Exec, "LD_AUDIT left out: audit libraries call a C library without hooks");
    }
    if is_loaded && !has_audit && inheritance::missing_from(environment).next().is_none() {
        return Ok(call(environment));
    }
    let wanted = environment.last(LD_PRELOAD);
    let preload = if is_loaded { None } else { Some(preload_entry(library, wanted)?) };
    completed(environment, preload.as_ref(), call)
}

fn is_audit(entry: &CStr) -> bool {
    value_of(entry.to_bytes(), LD_AUDIT.to_bytes()).is_some()
}

/// Tells whether `environment` makes the dynamic linker load `library`: it takes the last
/// LD_PRELOAD of several, other readers the first.
pub fn is_loaded(environment: Environment<'_>, library: &CStr) -> bool {
    let mut values = environment.values(LD_PRELOAD).peekable();
    values.peek().is_some() && values.all(|value| inheritance::loads(value, library))
}

#[inline(never)]
fn completed<'e, R>(
    environment: Environment<'e>,
    preload: Option<&'e PreloadEntry>,
    call: impl FnOnce(Environment<'_>) -> R,
) -> Result<R, Errno> {
    let missing = inheritance::missing_from(environment).map(|entry| -> &'e CStr { entry });
    let kept = environment.entries().filter(|entry| {
        let is_replaced = value_of(entry.to_bytes(), LD_PRELOAD.as_bytes()).is_some();
        !(is_audit(entry) || preload.is_some() && is_replaced)
    });
    let preload = preload.and_then(|entry| CStr::from_bytes_until_nul(entry.as_slice()).ok());
    let room = environment.entries().count() + inheritance::entries().count() + 1;
    with_strings(room, preload.into_iter().chain(kept).chain(missing), call)
}

type PreloadEntry = Bytes<LONGEST_PRELOAD>;

/// `LD_PRELOAD=`, ours first, then what the caller wanted.
pub fn preload_entry(library: &CStr, rest: Option<&[u8]>) -> Result<PreloadEntry, Errno> {
    let rest = rest.unwrap_or_default();
    let separator: &[u8] = if rest.is_empty() { b"" } else { b":" };
    let mut entry = PreloadEntry::EMPTY;
    let parts = [LD_PRELOAD.as_bytes(), b"=", library.to_bytes(), separator, rest, b"\0"];
    if parts.iter().all(|part| entry.extend(part)) { Ok(entry) } else { Err(Errno(libc::E2BIG)) }
}
