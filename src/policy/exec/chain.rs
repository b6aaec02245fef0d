//! A script, its interpreter, the interpreter's interpreter: all that one exec runs.
#![allow(clippy::result_large_err)] // The reason names a path, and there is no allocator.

use core::ffi::CStr;
use core::fmt;

use super::{ExecRefusal, decide};
use crate::program::elf::Interpreter;
use crate::program::script::LINE;
use crate::program::{Elf, Facts, Kind, linker};
use crate::sys::{Errno, File, may_execute};

/// Number of interpreters that Linux follows before it answers `ELOOP`.
const MOST_INTERPRETERS: usize = 5;

/// Reason that a program must not be run, and the file that it is about.
#[derive(Clone, Copy)]
pub struct Blocked {
    /// The refusal, or the error that kept the file from being inspected.
    pub reason: Reason,
    interpreter: [u8; LINE],
}

/// Reason of a [`Blocked`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The file can't be protected.
    Refused(ExecRefusal),
    /// The file can't be inspected (`ENOENT`, `EACCES`…): what is unknown is not run.
    Unknown(Errno),
}

impl Blocked {
    /// The interpreter that is to blame; `None` if it is the program itself.
    pub fn interpreter(&self) -> Option<&CStr> {
        CStr::from_bytes_until_nul(&self.interpreter).ok().filter(|path| !path.is_empty())
    }

    /// The errno that an exec call answers.
    pub fn errno(&self) -> Errno {
        match self.reason {
            Reason::Refused(refusal) => refusal.errno(),
            Reason::Unknown(errno) => errno,
        }
    }
}

impl fmt::Debug for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blocked({:?}, {:?})", self.reason, self.interpreter())
    }
}

/// Inspects the file at `path`, relative to `directory` (or [`libc::AT_FDCWD`]), that is to be executed.
/// Errors: the kernel's own first, as it does not execute a file that must not be, whatever it is; those of
/// [`Facts::of_path`]. Async-signal-safe.
pub fn inspect(directory: i32, path: &CStr) -> Result<Facts, Errno> {
    may_execute(directory, path)?;
    Facts::of_path(directory, path)
}

/// Judges the file that was inspected first and, for scripts, each interpreter behind it. Gives the facts of
/// the first file. Async-signal-safe.
pub fn judge(first: &Result<Facts, Errno>) -> Result<Facts, Blocked> {
    let mut interpreter = [0; LINE];
    let first = judge_one(*first).map_err(|reason| Blocked { reason, interpreter })?;
    let mut kind = first.kind;
    for _ in 0..MOST_INTERPRETERS {
        let script = match kind {
            Kind::Script(script) => script,
            Kind::Elf(elf) => return judge_linker(&elf, interpreter).map(|()| first),
            Kind::Text | Kind::Other => return Ok(first),
        };
        interpreter = *script.interpreter_bytes();
        let facts = judge_one(inspect(libc::AT_FDCWD, script.interpreter()));
        kind = facts.map_err(|reason| Blocked { reason, interpreter })?.kind;
        if let Kind::Text = kind {
            // Only execvp hands text to a shell; the kernel wants a format it can load.
            return Err(Blocked {
                reason: Reason::Refused(ExecRefusal::UnknownFormat),
                interpreter,
            });
        }
    }
    match kind {
        Kind::Script(_) => {
            Err(Blocked { reason: Reason::Refused(ExecRefusal::TooManyInterpreters), interpreter })
        }
        Kind::Elf(elf) => judge_linker(&elf, interpreter).map(|()| first),
        Kind::Text | Kind::Other => Ok(first),
    }
}

/// The kernel starts the file that an ELF program names as its interpreter, whatever it is: only
/// glibc's linker loads the library. `interpreter` is the script's that `elf` is, if it is one's.
fn judge_linker(elf: &Elf, interpreter: [u8; LINE]) -> Result<(), Blocked> {
    const { assert!(Interpreter::LONGEST == LINE) };
    let refuse = |interpreter, reason| Err(Blocked { reason, interpreter });
    let Some(path) = elf.interpreter else {
        return refuse(interpreter, Reason::Refused(ExecRefusal::Static));
    };
    if path.path().is_empty() {
        return refuse(interpreter, Reason::Refused(ExecRefusal::OtherLoader));
    }
    match linker::is_glibc_at(libc::AT_FDCWD, path.path()) {
        Ok(true) => Ok(()),
        Ok(false) => refuse(interpreter, Reason::Refused(ExecRefusal::OtherLoader)),
        // Not there, and by its name another C library's: that tells the user more.
        Err(Errno(libc::ENOENT)) if !path.is_named_as_glibcs() => {
            refuse(interpreter, Reason::Refused(ExecRefusal::OtherLoader))
        }
        Err(errno) => refuse(*path.bytes(), Reason::Unknown(errno)),
    }
}

/// Tells whether the preload library may stay in the environment of the file that was inspected `first`: the
/// dynamic linker that starts it, or its script's interpreter, can load it, or nothing looks for it. Another
/// linker than glibc's ends the program, and so does glibc's where no libc comes with it. Async-signal-safe.
pub fn may_load(first: &Result<Facts, Errno>) -> bool {
    let mut kind = first.map(|first| first.kind);
    for _ in 0..=MOST_INTERPRETERS {
        match kind {
            Ok(Kind::Script(script)) => {
                kind = File::open_at(libc::AT_FDCWD, script.interpreter())
                    .and_then(|interpreter| Kind::of(&interpreter));
            }
            Ok(Kind::Elf(Elf { interpreter: Some(path), needs, .. })) => {
                return needs && linker::is_glibc_at(libc::AT_FDCWD, path.path()) == Ok(true);
            }
            _ => return true,
        }
    }
    true
}

fn judge_one(facts: Result<Facts, Errno>) -> Result<Facts, Reason> {
    let facts = facts.map_err(Reason::Unknown)?;
    decide(&facts).map_err(Reason::Refused)?;
    Ok(facts)
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;
    use std::path::{Path, PathBuf};

    use super::*;

    /// A directory of the test's own, gone at its end.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Scratch {
            let path = std::env::temp_dir().join(format!("chain-{}-{name}", std::process::id()));
            std::fs::create_dir_all(&path).unwrap();
            Scratch(path)
        }

        fn file(&self, name: &str, content: &str) -> PathBuf {
            let path = self.0.join(name);
            std::fs::write(&path, content).unwrap();
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            std::fs::set_permissions(&path, mode).unwrap();
            path
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn judged(path: &Path) -> Result<Facts, Blocked> {
        let path = CString::new(path.to_str().unwrap()).unwrap();
        judge(&inspect(libc::AT_FDCWD, &path))
    }

    #[test]
    fn as_many_interpreters_as_linux_follows_pass_and_one_more_does_not() {
        let scratch = Scratch::new("depth");
        let mut last = PathBuf::from("/bin/sh");
        for depth in 0..=MOST_INTERPRETERS {
            let line = format!("#!{}\n", last.display());
            last = scratch.file(&depth.to_string(), &line);
            let outcome = judged(&last).map(drop).map_err(|blocked| blocked.reason);
            let expected = if depth < MOST_INTERPRETERS {
                Ok(())
            } else {
                Err(Reason::Refused(ExecRefusal::TooManyInterpreters))
            };
            assert_eq!(outcome, expected, "depth {depth}");
        }
    }

    #[test]
    fn the_interpreter_to_blame_is_named() {
        let scratch = Scratch::new("blame");
        let script = scratch.file("script", "#!/nonexistent/interpreter -x\n");
        let blocked = judged(&script).unwrap_err();
        assert_eq!(blocked.reason, Reason::Unknown(Errno(libc::ENOENT)));
        assert_eq!(blocked.interpreter(), Some(c"/nonexistent/interpreter"));
        let blocked = judged(Path::new("/")).unwrap_err();
        assert_eq!(blocked.reason, Reason::Refused(ExecRefusal::NotRegular));
        assert_eq!(blocked.interpreter(), None);
    }

    #[test]
    fn text_may_be_run_but_not_be_an_interpreter() {
        let scratch = Scratch::new("text");
        let text = scratch.file("text", "exit 3\n");
        assert!(judged(&text).is_ok());
        let script = scratch.file("script", &format!("#!{}\n", text.display()));
        let blocked = judged(&script).unwrap_err();
        assert_eq!(blocked.reason, Reason::Refused(ExecRefusal::UnknownFormat));
    }
}
