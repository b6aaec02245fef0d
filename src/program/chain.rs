//! A script, its interpreter, the interpreter's interpreter: all that one exec runs.
#![allow(clippy::result_large_err)] // The reason names a path, and there is no allocator.

use core::ffi::CStr;
use core::fmt;

use super::script::LINE;
use super::{Facts, Kind};
use crate::policy::exec::{Refusal, decide};
use crate::sys::Errno;

/// How many interpreters Linux follows before it answers `ELOOP`.
const MOST_INTERPRETERS: usize = 5;

/// Why a program must not be run, and which file is the reason.
#[derive(Clone, Copy)]
pub struct Blocked {
    /// The refusal, or the error that kept the file from being inspected.
    pub reason: Reason,
    interpreter: [u8; LINE],
}

/// What a [`Blocked`] rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The file can't be protected.
    Refused(Refusal),
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

/// Inspects and judges the file at `path` (relative to `directory`, or [`libc::AT_FDCWD`]) and,
/// for scripts, each interpreter behind it. Gives the facts of the first file.
/// Async-signal-safe.
pub fn judge_path(directory: i32, path: &CStr) -> Result<Facts, Blocked> {
    judge(Facts::of_path(directory, path))
}

/// The same for the file behind a descriptor (`fexecve`, `execveat` with an empty path).
pub fn judge_descriptor(fd: i32) -> Result<Facts, Blocked> {
    judge(Facts::of_descriptor(fd))
}

fn judge(first: Result<Facts, Errno>) -> Result<Facts, Blocked> {
    let mut interpreter = [0; LINE];
    let first = judge_one(first).map_err(|reason| Blocked { reason, interpreter })?;
    let mut kind = first.kind;
    for _ in 0..MOST_INTERPRETERS {
        let Kind::Script(script) = kind else { return Ok(first) };
        interpreter = *script.interpreter_bytes();
        let facts = judge_one(Facts::of_path(libc::AT_FDCWD, script.interpreter()));
        kind = facts.map_err(|reason| Blocked { reason, interpreter })?.kind;
        if let Kind::Text = kind {
            // Only execvp hands text to a shell; the kernel wants a format it can load.
            return Err(Blocked { reason: Reason::Refused(Refusal::UnknownFormat), interpreter });
        }
    }
    match kind {
        Kind::Script(_) => {
            Err(Blocked { reason: Reason::Refused(Refusal::TooManyInterpreters), interpreter })
        }
        _ => Ok(first),
    }
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
            std::fs::write(self.0.join(name), content).unwrap();
            self.0.join(name)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn judged(path: &Path) -> Result<Facts, Blocked> {
        let path = CString::new(path.to_str().unwrap()).unwrap();
        judge_path(libc::AT_FDCWD, &path)
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
                Err(Reason::Refused(Refusal::TooManyInterpreters))
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
        assert_eq!(blocked.reason, Reason::Refused(Refusal::NotRegular));
        assert_eq!(blocked.interpreter(), None);
    }

    #[test]
    fn text_may_be_run_but_not_be_an_interpreter() {
        let scratch = Scratch::new("text");
        let text = scratch.file("text", "exit 3\n");
        assert!(judged(&text).is_ok());
        let script = scratch.file("script", &format!("#!{}\n", text.display()));
        let blocked = judged(&script).unwrap_err();
        assert_eq!(blocked.reason, Reason::Refused(Refusal::UnknownFormat));
    }
}
