//! `execve`: what is executed is protected like us, or not executed.

use core::ffi::{CStr, c_char, c_int};
use core::fmt;

use epochsocks::config::Environment;
use epochsocks::program::chain::{Blocked, Reason, judge_path};
use epochsocks::sys::{Errno, File};

use super::environment_for::with_environment;
use crate::log::log;
use crate::{errno, inheritance, real};

/// # Safety
/// As execve(2).
pub unsafe fn execve(
    path: *const c_char,
    arguments: *const *mut c_char,
    environment: *const *mut c_char,
) -> c_int {
    if path.is_null() {
        return errno::fail(Errno(libc::EFAULT));
    }
    // SAFETY: the caller's contract.
    let target = unsafe { CStr::from_ptr(path) };
    if let Err(errno) = permitted(target) {
        return errno::fail(errno);
    }
    // SAFETY: the caller's contract: null, or ends with a null pointer.
    let environment = unsafe { Environment::from_raw(environment.cast()) };
    with_environment(environment, |environment| {
        // SAFETY: the caller's contract; the environment is a null-terminated array.
        unsafe { real::execve(path, arguments, environment.cast()) }
    })
    .unwrap_or_else(errno::fail)
}

/// Whether `target` would run protected. What is unknown is refused, but the kernel's own errors
/// for a missing file and the like are told as they are.
fn permitted(target: &CStr) -> Result<(), Errno> {
    if let Err(blocked) = judge_path(libc::AT_FDCWD, target) {
        if let Reason::Refused(_) = blocked.reason {
            log!(Error, "not executed: {}", Line(target, &blocked));
        }
        return Err(blocked.errno());
    }
    let Some(library) = inheritance::library() else { return Ok(()) };
    // After a chroot or an unmount the dynamic linker would only warn, and run it unprotected.
    File::open_at(libc::AT_FDCWD, library).map(drop).map_err(|_| {
        log!(Error, "not executed: {}: {} can't be loaded from here", Text(target), Text(library));
        Errno(libc::EPERM)
    })
}

/// `PATH: REASON`, with the interpreter where that is to blame.
struct Line<'a>(&'a CStr, &'a Blocked);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Line(target, blocked) = self;
        write!(f, "{}: ", Text(target))?;
        if let Some(interpreter) = blocked.interpreter() {
            write!(f, "its interpreter {} ", Text(interpreter))?;
        }
        match &blocked.reason {
            Reason::Refused(refusal) => refusal.fmt(f),
            Reason::Unknown(Errno(errno)) => write!(f, "can't be inspected (errno {errno})"),
        }
    }
}

/// A path as text, whatever its bytes.
struct Text<'a>(&'a CStr);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.to_bytes().utf8_chunks().try_for_each(|chunk| {
            f.write_str(chunk.valid())?;
            if chunk.invalid().is_empty() { Ok(()) } else { f.write_str("?") }
        })
    }
}
