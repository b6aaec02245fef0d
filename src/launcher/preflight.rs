//! The checks before the program runs: ld.so fails open, so what it would leave unprotected is
//! refused here.

use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use epochsocks::policy::exec::{Refusal, decide_ids};
use epochsocks::program::chain::{Blocked, Reason, judge_path};
use epochsocks::program::{Kind, Script};
use epochsocks::sys::{Errno, acts_for_another};

use crate::failure::{Failure, Status, describe};
use crate::search::search;

/// The shell that `execvp` hands text without a `#!` to.
pub const SHELL: &str = "/bin/sh";

/// What to execute so that the file runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// The file itself.
    Direct,
    /// [`SHELL`] with the file as its script.
    ByShell,
}

/// Checks `file` and everything that runs with it. `path` is PATH, for `#!/usr/bin/env NAME`.
pub fn check(file: &Path, path: Option<&OsStr>) -> Result<Form, Failure> {
    match judge(file)? {
        Kind::Text => {
            judge(Path::new(SHELL))?;
            Ok(Form::ByShell)
        }
        Kind::Script(script) => {
            if let Some(target) = env_target(&script) {
                check_env_target(file, &target, path)?;
            }
            Ok(Form::Direct)
        }
        _ => Ok(Form::Direct),
    }
}

/// Judges `file` and its interpreters.
fn judge(file: &Path) -> Result<Kind, Failure> {
    let name = CString::new(file.as_os_str().as_bytes()).map_err(|_| {
        Failure::new(Status::NotFound, format!("{}: a NUL in the path", file.display()))
    })?;
    let facts = judge_path(libc::AT_FDCWD, &name).map_err(|blocked| refuse(file, &blocked))?;
    decide_ids(acts_for_another())
        .map(|()| facts.kind)
        .map_err(|refusal| not_run(&file.display().to_string(), refusal))
}

fn not_run(who: &str, refusal: Refusal) -> Failure {
    let message = format!("{who} {refusal}; it was not run, as it would not go through Tor");
    Failure::new(Status::Refused, message)
}

fn refuse(file: &Path, blocked: &Blocked) -> Failure {
    let file = file.display();
    let who = match blocked.interpreter() {
        Some(interpreter) => {
            format!("{file}: its interpreter {}", interpreter.to_string_lossy())
        }
        None => file.to_string(),
    };
    let message = match blocked.reason {
        Reason::Refused(refusal) => return not_run(&who, refusal),
        Reason::Unknown(Errno(libc::EACCES)) => {
            format!("{who} can't be read, so nobody can tell whether it would go through Tor")
        }
        Reason::Unknown(errno) => format!("{who} can't be inspected: {}", describe(errno)),
    };
    Failure::new(Status::Refused, message)
}

/// The name that `env` would look for: its first word that is neither an option nor an
/// assignment. `None` when the script does not run `env`, or with an option that takes a value.
fn env_target(script: &Script) -> Option<OsString> {
    let interpreter = script.interpreter().to_bytes();
    if interpreter.rsplit(|&byte| byte == b'/').next() != Some(b"env") {
        return None;
    }
    let argument = script.argument().to_bytes();
    // Without -S the kernel's one argument is one word, blanks and all.
    let words = match argument.strip_prefix(b"-S") {
        Some(words) => words,
        None if argument.starts_with(b"-") => return None,
        None => return Some(OsString::from_vec(argument.to_vec())).filter(|name| !name.is_empty()),
    };
    let mut words = words.split(|byte| byte.is_ascii_whitespace()).filter(|word| !word.is_empty());
    let word = words.find(|word| !word.contains(&b'='))?;
    (!word.starts_with(b"-")).then(|| OsString::from_vec(word.to_vec()))
}

/// Looks one further than the kernel: what `env` executes is checked by the execve hook anyway,
/// but here the message can name the script. What `env` won't find, it reports itself.
fn check_env_target(script: &Path, target: &OsStr, path: Option<&OsStr>) -> Result<(), Failure> {
    let Ok(file) = search(target, path) else { return Ok(()) };
    judge(&file).map(drop).map_err(|failure| {
        let message = format!("{} runs {}", script.display(), failure.message);
        Failure { message, ..failure }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(line: &[u8]) -> Option<String> {
        let script = Script::parse(line).unwrap();
        env_target(&script).map(|name| name.into_string().unwrap())
    }

    #[test]
    fn the_program_behind_env_is_found() {
        assert_eq!(target(b"#!/usr/bin/env python3\n"), Some("python3".into()));
        assert_eq!(target(b"#!/usr/bin/env -S A=1 python3 -u\n"), Some("python3".into()));
        assert_eq!(target(b"#!/usr/bin/env -Sperl -w\n"), Some("perl".into()));
    }

    #[test]
    fn what_is_not_plain_env_is_left_to_the_hook() {
        assert_eq!(target(b"#!/bin/sh\n"), None);
        assert_eq!(target(b"#!/usr/bin/env\n"), None);
        assert_eq!(target(b"#!/usr/bin/env -i\n"), None);
        assert_eq!(target(b"#!/usr/bin/env -S -i sh\n"), None);
    }

    #[test]
    fn an_interpreter_is_named_with_the_script() {
        let failure = check(Path::new("/"), None).unwrap_err();
        assert_eq!(failure.status, Status::Refused);
        assert!(failure.message.starts_with("/ is not a regular file"), "{}", failure.message);
    }
}
