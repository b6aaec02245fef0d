//! The checks before the program runs: ld.so fails open, so what it would leave unprotected is
//! refused here.

use std::ffi::{CString, OsStr, OsString};
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use epochsocks::bytes::Bytes;
use epochsocks::config::{Backstop, Settings};
use epochsocks::helper::{UNPROTECTED, is_helper_at};
use epochsocks::policy::exec::chain::{self, Blocked, Reason, judge_path};
use epochsocks::policy::exec::{decide_process, decide_tunables, is_redirectable};
use epochsocks::policy::unprotected::{has, is_excusable};
use epochsocks::program::{Kind, Script};
use epochsocks::sys::{Errno, File, has_changed_ids, has_requested_exec_domain};

use crate::failure::{Failure, Status, describe, warn};
use crate::search::search;
use crate::settings::WARNINGS;

/// The log level from which on notices are shown.
const NOTICES: u8 = 4;

/// The shell that `execvp` hands text without a `#!` to.
pub const SHELL: &str = "/bin/sh";

/// Form in which the file is executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// The file itself.
    Direct,
    /// [`SHELL`] with the file as its script.
    ByShell,
}

/// Conditions of a check.
pub struct Check<'a> {
    /// PATH, for `#!/usr/bin/env NAME`.
    pub path: Option<&'a OsStr>,
    /// The command line, the program's name first.
    pub command: &'a [OsString],
    /// They list the programs that may run unprotected.
    pub settings: &'a Settings,
    /// A supervisor carries out what the library can't reach.
    pub is_supervised: bool,
}

impl Check<'_> {
    /// Checks `file` and everything that runs with it.
    pub fn of(&self, file: &Path) -> Result<Form, Failure> {
        match self.judge(file)? {
            Kind::Text => {
                judge(Path::new(SHELL)).map_err(|obstacle| obstacle.failure())?;
                Ok(Form::ByShell)
            }
            Kind::Script(script) => {
                if let Some(target) = env_target(&script) {
                    self.check_env_target(file, &target)?;
                }
                Ok(Form::Direct)
            }
            _ => Ok(Form::Direct),
        }
    }

    /// Judges `file`; what is on the list passes.
    fn judge(&self, file: &Path) -> Result<Kind, Failure> {
        let obstacle = match judge(file) {
            Ok(kind) => return Ok(kind),
            Err(obstacle) if self.is_supervised && obstacle.is_out_of_reach() => {
                return Ok(Kind::Other);
            }
            Err(obstacle) => obstacle,
        };
        let name = CString::new(file.as_os_str().as_bytes()).ok();
        let helper = name
            .filter(|_| obstacle.is_excusable())
            .and_then(|name| is_helper_at(libc::AT_FDCWD, &name, self.settings));
        let Some(helper) = helper else { return Err(obstacle.failure()) };
        let file = file.display();
        if helper.starts_another(self.command.iter().map(|word| word.as_bytes())) {
            let message = format!(
                "{file} would start another program without the preload library: start it alone first"
            );
            return Err(Failure::new(Status::Refused, message));
        }
        // The backstop is not up yet.
        let bare = helper.without_privileges();
        let bare = bare.filter(|_| self.settings.backstop != Backstop::Never);
        let (more, level) = match bare {
            None => (String::new(), NOTICES),
            Some(bare) => (format!(", and {bare}"), if bare.fails { WARNINGS } else { NOTICES }),
        };
        if self.settings.log_level >= level {
            warn(format!("{file} {UNPROTECTED}{more}"));
        }
        Ok(Kind::Other)
    }

    /// Looks one further than the kernel: what `env` executes is checked by the execve hook anyway,
    /// but here the message can name the script. What `env` won't find, it reports itself.
    fn check_env_target(&self, script: &Path, target: &OsStr) -> Result<(), Failure> {
        let Ok(file) = search(target, self.path) else { return Ok(()) };
        self.judge(&file).map(drop).map_err(|failure| {
            let message = format!("{} runs {}", script.display(), failure.message);
            Failure { message, ..failure }
        })
    }
}

/// Tells whether the library may stay in the environment of `file`.
pub fn may_load(file: &Path) -> bool {
    let name = CString::new(file.as_os_str().as_bytes()).map_err(|_| Errno(libc::ENOENT));
    let file = name.and_then(|name| File::open_at(libc::AT_FDCWD, &name));
    file.map_or(true, chain::may_load)
}

/// Judges `file`, its interpreters and this process.
fn judge(file: &Path) -> Result<Kind, Obstacle<'_>> {
    let Ok(name) = CString::new(file.as_os_str().as_bytes()) else {
        return Err(Obstacle {
            file,
            reason: Reason::Unknown(Errno(libc::ENOENT)),
            interpreter: None,
        });
    };
    let facts =
        judge_path(libc::AT_FDCWD, &name).map_err(|blocked| Obstacle::of(file, &blocked))?;
    let tunables = std::env::var_os("GLIBC_TUNABLES").unwrap_or_default();
    decide_tunables(tunables.as_bytes())
        .and_then(|()| decide_process(has_changed_ids(), has_requested_exec_domain()))
        .map(|()| facts.kind)
        .map_err(|refusal| Obstacle { file, reason: Reason::Refused(refusal), interpreter: None })
}

/// Tells whether `file` is a program that a supervisor is chosen for, by its name or by that of the interpreter
/// of the script that it is.
pub fn starts_what_it_likes(file: &Path, settings: &Settings) -> bool {
    let mut head = [0; 256];
    let length = std::fs::File::open(file).and_then(|mut file| file.read(&mut head)).unwrap_or(0);
    let script = Script::parse(&head[..length]);
    let interpreter = script.as_ref().map(|script| match env_target(script) {
        Some(target) => PathBuf::from(target),
        None => PathBuf::from(OsStr::from_bytes(script.interpreter().to_bytes())),
    });
    let real = std::fs::canonicalize(file).ok();
    let files = [Some(file), interpreter.as_deref(), real.as_deref()];
    let default = Settings::SUPERVISED.as_bytes();
    let list = settings.supervised_programs.as_ref().map_or(default, Bytes::as_slice);
    has(list, default, |word| {
        let means = |file: &Path| {
            let (path, name) = (file.as_os_str(), file.file_name().unwrap_or_default());
            let name = name.as_bytes();
            let is_version = |byte: &u8| byte.is_ascii_digit() || b".-".contains(byte);
            let plain = name.iter().rposition(|byte| !is_version(byte)).map_or(0, |end| end + 1);
            word == path.as_bytes() || word == name || !word.is_empty() && word == &name[..plain]
        };
        files.into_iter().flatten().any(means)
    })
}

/// Why a program is not run.
struct Obstacle<'a> {
    file: &'a Path,
    reason: Reason,
    /// The interpreter that is to blame.
    interpreter: Option<String>,
}

impl<'a> Obstacle<'a> {
    fn of(file: &'a Path, blocked: &Blocked) -> Obstacle<'a> {
        let interpreter = blocked.interpreter().map(|path| path.to_string_lossy().into_owned());
        Obstacle { file, reason: blocked.reason, interpreter }
    }

    /// Tells whether the refusal lies in the program itself, and is one that a helper is excused
    /// from. A file that may be executed but not read, as some set-ID programs, counts as well.
    fn is_excusable(&self) -> bool {
        self.interpreter.is_none()
            && match self.reason {
                Reason::Refused(refusal) => is_excusable(refusal),
                Reason::Unknown(errno) => errno == Errno(libc::EACCES),
            }
    }

    /// Tells whether a supervisor can do what the library can't.
    fn is_out_of_reach(&self) -> bool {
        matches!(self.reason, Reason::Refused(refusal) if is_redirectable(refusal))
    }

    fn failure(&self) -> Failure {
        let file = self.file.display();
        let who = match &self.interpreter {
            Some(interpreter) => format!("{file}: its interpreter {interpreter}"),
            None => file.to_string(),
        };
        let message = match self.reason {
            Reason::Refused(refusal) => format!(
                "{who} {refusal}; it was not run, as it would not go through Tor: {}",
                refusal.remedy()
            ),
            Reason::Unknown(Errno(libc::EACCES)) => {
                format!("{who} can't be read, so it can't be known whether it would go through Tor")
            }
            Reason::Unknown(errno) => format!("{who} can't be inspected: {}", describe(errno)),
        };
        Failure::new(Status::Refused, message)
    }
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
    fn a_directory_is_not_run() {
        let settings = Settings::DEFAULT;
        let check = Check { path: None, command: &[], settings: &settings, is_supervised: false };
        let failure = check.of(Path::new("/")).unwrap_err();
        assert_eq!(failure.status, Status::Refused);
        assert!(failure.message.starts_with("/ is not a regular file"), "{}", failure.message);
    }
}
