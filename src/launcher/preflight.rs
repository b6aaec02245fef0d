//! The checks before the program runs: ld.so fails open, so what it would leave unprotected is
//! refused here.

use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use epochsocks::backstop::presence;
use epochsocks::config::{Backstop, Settings};
use epochsocks::helper::{UNPROTECTED, is_helper_at};
use epochsocks::policy::exec::chain::{self, Blocked, Reason};
use epochsocks::policy::exec::domain::may_lose_library;
use epochsocks::policy::exec::{decide_process, decide_tunables, is_redirectable};
use epochsocks::policy::unprotected::is_excusable;
use epochsocks::program::Kind;
use epochsocks::sys::{Errno, File, has_changed_ids};

use crate::failure::{Failure, Status, describe, warn};
use crate::look::{Look, env_target};
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

/// The supervisor, which carries out what the library can't reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Supervisor {
    /// There is none, and there is to be none.
    Never,
    /// There will be one if something is out of reach.
    IfNeeded,
    /// There is one, or will be.
    Serves,
}

impl Supervisor {
    /// The supervisor of a launch that is asked for one, or for none, by `asked`.
    pub fn of(asked: Option<bool>) -> Supervisor {
        // A launch inside of a supervised one has its supervisor: there can't be a second one.
        match asked {
            _ if presence::is_supervised() => Supervisor::Serves,
            Some(true) => Supervisor::Serves,
            Some(false) => Supervisor::Never,
            None => Supervisor::IfNeeded,
        }
    }
}

/// A program that may run.
#[derive(Debug)]
pub struct Passed {
    /// The form in which its file is executed.
    pub form: Form,
    /// The library can't reach it, but a supervisor can.
    pub is_out_of_reach: bool,
    /// Neither can, and it is on the list.
    pub unprotected: Option<Unprotected>,
}

/// A program that runs without protection.
#[derive(Debug)]
pub struct Unprotected {
    /// The line about it.
    pub notice: String,
    /// The log level from which on it is said.
    level: u8,
}

impl Unprotected {
    /// Prints the line.
    pub fn say(&self, settings: &Settings) {
        if settings.log_level >= self.level {
            warn(&self.notice);
        }
    }
}

/// Conditions of a check.
pub struct Check<'a> {
    /// PATH, for `#!/usr/bin/env NAME`.
    pub path: Option<&'a OsStr>,
    /// The command line, the program's name first.
    pub command: &'a [OsString],
    /// They list the programs that may run unprotected.
    pub settings: &'a Settings,
    /// The supervisor that it would run under.
    pub supervisor: Supervisor,
    /// The preload library, where there is one.
    pub library: Option<&'a Path>,
}

impl Check<'_> {
    /// Checks the file of `look` and everything that runs with it.
    pub fn of(&self, look: &Look<'_>) -> Result<Passed, Failure> {
        let mut form = Form::Direct;
        let reach = match self.judge(look)? {
            Reach::Direct(Kind::Text) => {
                self.obstacle(&Look::at(Path::new(SHELL)))
                    .map_err(|obstacle| obstacle.failure())?;
                form = Form::ByShell;
                None
            }
            Reach::Direct(Kind::Script(script)) => match env_target(&script) {
                Some(target) => self.check_env_target(look.file, &target)?,
                None => None,
            },
            reach => Some(reach),
        };
        let is_out_of_reach = matches!(reach, Some(Reach::BySupervisor));
        let unprotected = match reach {
            Some(Reach::Unprotected(unprotected)) => Some(unprotected),
            _ => None,
        };
        Ok(Passed { form, is_out_of_reach, unprotected })
    }

    /// Judges the file of `look`; what is on the list passes.
    fn judge(&self, look: &Look<'_>) -> Result<Reach, Failure> {
        let obstacle = match self.obstacle(look) {
            Ok(kind) => return Ok(Reach::Direct(kind)),
            Err(obstacle) => obstacle,
        };
        if self.supervisor == Supervisor::Serves && obstacle.is_out_of_reach() {
            return Ok(Reach::BySupervisor);
        }
        match self.excuse(&obstacle) {
            Err(_) if self.supervisor == Supervisor::IfNeeded && obstacle.is_out_of_reach() => {
                Ok(Reach::BySupervisor)
            }
            excused => excused.map(Reach::Unprotected),
        }
    }

    /// Judges the file of `look`, its interpreters and this process.
    fn obstacle<'a>(&self, look: &Look<'a>) -> Result<Kind, Obstacle<'a>> {
        let file = look.file;
        let facts = chain::judge(&look.facts).map_err(|blocked| Obstacle::of(file, &blocked))?;
        let tunables = std::env::var_os("GLIBC_TUNABLES").unwrap_or_default();
        let name = |path: &Path| CString::new(path.as_os_str().as_bytes()).unwrap_or_default();
        let library = self.library.map(name);
        let open = || File::open_at(libc::AT_FDCWD, &name(file));
        let has_backstop = || self.settings.backstop == Backstop::Always;
        let may_lose_library = || may_lose_library(open, library.as_deref(), has_backstop);
        decide_tunables(tunables.as_bytes())
            .and_then(|()| decide_process(has_changed_ids(), may_lose_library))
            .map(|()| facts.kind)
            .map_err(|refusal| Obstacle {
                file,
                reason: Reason::Refused(refusal),
                interpreter: None,
            })
    }

    /// Lets what is on the list run all the same.
    fn excuse(&self, obstacle: &Obstacle<'_>) -> Result<Unprotected, Failure> {
        let name = CString::new(obstacle.file.as_os_str().as_bytes()).ok();
        let helper = name
            .filter(|_| obstacle.is_excusable())
            .and_then(|name| is_helper_at(libc::AT_FDCWD, &name, self.settings));
        let Some(helper) = helper else { return Err(obstacle.failure()) };
        let file = obstacle.file.display();
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
        Ok(Unprotected { notice: format!("{file} {UNPROTECTED}{more}"), level })
    }

    /// Looks one further than the kernel: what `env` executes is checked by the execve hook anyway,
    /// but here the message can name the script. What `env` won't find, it reports itself.
    fn check_env_target(&self, script: &Path, target: &OsStr) -> Result<Option<Reach>, Failure> {
        let Ok(file) = search(target, self.path) else { return Ok(None) };
        self.judge(&Look::at(&file)).map(Some).map_err(|failure| {
            let message = format!("{} runs {}", script.display(), failure.message);
            Failure { message, ..failure }
        })
    }
}

/// Means by which a program that may run is led through Tor.
#[allow(clippy::large_enum_variant, reason = "it lives for one call")]
enum Reach {
    /// The library, which reaches a file of this kind.
    Direct(Kind),
    /// The supervisor.
    BySupervisor,
    /// None: it is on the list.
    Unprotected(Unprotected),
}

/// Reason that a program is not run.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_not_run() {
        let settings = Settings::DEFAULT;
        let supervisor = Supervisor::Never;
        let check =
            Check { path: None, command: &[], settings: &settings, supervisor, library: None };
        let failure = check.of(&Look::at(Path::new("/"))).unwrap_err();
        assert_eq!(failure.status, Status::Refused);
        assert!(failure.message.starts_with("/ is not a regular file"), "{}", failure.message);
    }
}
