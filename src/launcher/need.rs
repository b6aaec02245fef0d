//! The reason for a supervisor.

use std::io::{IsTerminal, stderr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use epochsocks::bytes::Bytes;
use epochsocks::config::{Backstop, Settings};
use epochsocks::policy::unprotected::has;

use crate::failure::{Failure, Status, warn};
use crate::look::Look;
use crate::supervisor::pieces::Lack;
use crate::{backstop, settings};

/// Reason for a supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// There is none.
    Nothing,
    /// The program starts what it likes.
    Chosen,
    /// The library can't reach the program.
    OutOfReach,
    /// The user asks for it.
    Asked,
}

impl Need {
    /// The reason that there is for the program of `look`, which may be out of the library's reach; `asked`
    /// is the user's word, if there is one.
    pub fn of(
        look: &Look<'_>,
        is_out_of_reach: bool,
        asked: Option<bool>,
        settings: &Settings,
    ) -> Need {
        let may_choose = || {
            settings.backstop != Backstop::Never
                && starts_what_it_likes(look, settings)
                && !backstop::surrounds()
        };
        match asked {
            Some(true) => Need::Asked,
            None if is_out_of_reach => Need::OutOfReach,
            None if may_choose() => Need::Chosen,
            _ => Need::Nothing,
        }
    }

    /// Says that a supervisor was chosen. Of a program that goes through Tor without one it is said to people.
    pub fn say(self, file: &Path, settings: &Settings) {
        let file = file.display();
        let line = match self {
            Need::OutOfReach => {
                format!("{file} is out of the library's reach: a supervisor leads it through Tor")
            }
            Need::Chosen if stderr().is_terminal() || settings.log_level > settings::WARNINGS => {
                format!(
                    "a supervisor leads through Tor what {file} starts out of the library's reach"
                )
            }
            _ => return,
        };
        if settings.log_level >= settings::WARNINGS {
            warn(line);
        }
    }

    /// Says how `file` runs without the supervisor that can't be had. Errors: it does not run.
    pub fn do_without(self, lack: Lack, file: &Path, settings: &Settings) -> Result<(), Failure> {
        let file = file.display();
        let what = match self {
            Need::OutOfReach => format!("{file} gets no socket but UNIX ones"),
            _ => format!("what {file} starts out of the library's reach is refused"),
        };
        let is_optional = self == Need::Chosen || settings.backstop == Backstop::BestEffort;
        if !is_optional {
            let message = format!(
                "{file} was not run, as there can't be a supervisor here: {lack}; --backstop best-effort \
                 runs it without: {what}"
            );
            return Err(Failure::new(Status::Refused, message));
        }
        if settings.log_level >= settings::WARNINGS {
            warn(format!("there can't be a supervisor here: {lack}; {what}"));
        }
        Ok(())
    }
}

/// Tells whether a supervisor is chosen for the program, by its name or by that of the interpreter of the
/// script that it is.
fn starts_what_it_likes(look: &Look<'_>, settings: &Settings) -> bool {
    let interpreter = look.interpreter();
    let real = std::fs::canonicalize(look.file).ok();
    let files = [Some(look.file), interpreter.as_deref(), real.as_deref()];
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
