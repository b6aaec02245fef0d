//! Whether a program would run protected. Async-signal-safe.

use core::ffi::CStr;
use core::fmt;

use epochsocks::program::Facts;
use epochsocks::program::chain::{Blocked, Reason, judge_descriptor, judge_path};
use epochsocks::sys::{Errno, File};

use super::search::search;
use crate::inheritance;
use crate::log::log;

/// The program at `path`, relative to `directory`. What is unknown is refused; the kernel's own
/// errors for a missing file and the like are told as they are.
pub fn path(directory: i32, path: &CStr) -> Result<(), Errno> {
    verdict(path, judge_path(directory, path))
}

/// The program behind a descriptor.
pub fn descriptor(fd: i32) -> Result<(), Errno> {
    verdict(c"(a descriptor)", judge_descriptor(fd))
}

/// The program that `file` stands for: a path, or a name to be looked for in PATH.
pub fn file(directory: i32, file: &CStr) -> Result<(), Errno> {
    search(file, |candidate| path(directory, candidate))
}

fn verdict(target: &CStr, judged: Result<Facts, Blocked>) -> Result<(), Errno> {
    if let Err(blocked) = judged {
        if let Reason::Refused(_) = blocked.reason {
            log!(Error, "not executed: {}", Refused(target, &blocked));
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

/// The path and the reason, with the interpreter where that is to blame.
struct Refused<'a>(&'a CStr, &'a Blocked);

impl fmt::Display for Refused<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Refused(target, blocked) = self;
        write!(f, "{}", Text(target))?;
        if let Some(interpreter) = blocked.interpreter() {
            write!(f, ": its interpreter {}", Text(interpreter))?;
        }
        match &blocked.reason {
            Reason::Refused(refusal) => write!(f, " {refusal}"),
            Reason::Unknown(errno) => write!(f, " can't be inspected: {errno}"),
        }
    }
}

/// A path as text, whatever its bytes.
struct Text<'a>(&'a CStr);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.to_bytes().escape_ascii().fmt(f)
    }
}
