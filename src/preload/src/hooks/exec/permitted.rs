//! Whether a program would run protected. Async-signal-safe.

use core::ffi::CStr;
use core::fmt;

use epochsocks::policy::exec::decide_ids;
use epochsocks::program::chain::{Blocked, Reason, judge_descriptor, judge_path};
use epochsocks::program::{Facts, Kind};
use epochsocks::sys::{self, Errno, File};

use super::search::search;
use crate::inheritance;
use crate::log::log;

/// The shell that libc starts.
pub const SHELL: &CStr = c"/bin/sh";

/// Whether what this process executes as `target` may run protected at all: `EPERM` where the dynamic
/// linker ignores LD_PRELOAD because of the process's ids.
pub fn process(target: &CStr) -> Result<(), Errno> {
    decide_ids(sys::acts_for_another()).map_err(|refusal| {
        log!(Error, "not executed: {} {refusal}", Text(target));
        refusal.errno()
    })
}

/// The program at `path`, relative to `directory`. What is unknown is refused; the kernel's own
/// errors for a missing file and the like are told as they are.
pub fn path(directory: i32, path: &CStr) -> Result<(), Errno> {
    verdict(path, judge_path(directory, path)).map(drop)
}

/// The program behind a descriptor.
pub fn descriptor(fd: i32) -> Result<(), Errno> {
    verdict(c"(a descriptor)", judge_descriptor(fd)).map(drop)
}

/// The program that `file` stands for: a path, or a name to be looked for in PATH. Text is run by the
/// shell, which libc executes inside.
pub fn file(directory: i32, file: &CStr) -> Result<(), Errno> {
    search(directory, file, |candidate| {
        match verdict(candidate, judge_path(directory, candidate))? {
            Kind::Text => path(libc::AT_FDCWD, SHELL),
            _ => Ok(()),
        }
    })
}

fn verdict(target: &CStr, judged: Result<Facts, Blocked>) -> Result<Kind, Errno> {
    let kind = judged.map(|facts| facts.kind).map_err(|blocked| {
        if let Reason::Refused(_) = blocked.reason {
            log!(Error, "not executed: {}", Refused(target, &blocked));
        }
        blocked.errno()
    })?;
    let Some(library) = inheritance::library() else { return Ok(kind) };
    // After a chroot, an unmount or a remount as noexec the dynamic linker would only warn, and run it
    // unprotected.
    let loaded = File::open_at(libc::AT_FDCWD, library).and_then(|file| file.map_as_code());
    loaded.map(|()| kind).map_err(|_| {
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
