//! The name that the command is called by: its own, or torsocks', whose scripts it then serves.

use std::ffi::{OsStr, OsString, c_int};
use std::path::Path;

use crate::failure::{Failure, Status};
use crate::flags::Action;

/// The first argument by which the script `torsocks` says that it is one.
const FLAG: &str = "--as-torsocks";

/// Whose manners the command has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persona {
    /// Its own.
    Epochsocks,
    /// Those of torsocks: its exit statuses, and `on` and `off` for a script that a shell sources.
    Torsocks,
}

impl Persona {
    /// The persona of a command line, whose own sign is taken out.
    pub fn of(name: Option<&OsStr>, arguments: &mut Vec<OsString>) -> Persona {
        let by_flag = arguments.first().is_some_and(|first| first == FLAG);
        if by_flag {
            arguments.remove(0);
        }
        let by_name =
            name.and_then(|name| Path::new(name).file_name()) == Some("torsocks".as_ref());
        if by_flag || by_name { Persona::Torsocks } else { Persona::Epochsocks }
    }

    /// The exit status. torsocks tells a program that can't be executed from all else.
    pub fn code(self, status: Status) -> c_int {
        match (self, status) {
            (Persona::Torsocks, Status::NotRun) => 126,
            (Persona::Torsocks, _) => 1,
            (_, Status::Usage) => 2,
            (_, Status::Own) => 125,
            (_, Status::NotRun | Status::Refused) => 126,
            (_, Status::NotFound) => 127,
        }
    }

    /// Refuses what torsocks can do only in the shell itself, which its script asks for by naming the
    /// shell's language.
    pub fn check(self, action: &Action) -> Result<(), Failure> {
        let (Persona::Torsocks, Action::On(None) | Action::Off(None)) = (self, action) else {
            return Ok(());
        };
        let word = if matches!(action, Action::On(_)) { "on" } else { "off" };
        let message = format!("nothing has changed: it must be sourced,  . torsocks {word}");
        Err(Failure::new(Status::Usage, message))
    }

    /// Message of torsocks after a switch, if this persona prints one.
    pub fn switched(self, action: &Action) -> Option<&'static str> {
        match (self, action) {
            (Persona::Torsocks, Action::On(_)) => {
                Some("Tor mode is on: what this shell starts goes through Tor")
            }
            (Persona::Torsocks, Action::Off(_)) => {
                Some("Tor mode is off: commands do NOT go through Tor any more")
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn torsocks_is_told_by_name_or_flag_and_the_command_is_left_alone() {
        let of = |name: &str, line: &str| {
            let mut arguments: Vec<_> = line.split_whitespace().map(OsString::from).collect();
            let persona = Persona::of(Some(name.as_ref()), &mut arguments);
            (persona, arguments.join(" ".as_ref()))
        };
        assert_eq!(of("/usr/bin/torsocks", "curl"), (Persona::Torsocks, "curl".into()));
        assert_eq!(of("epochsocks", "--as-torsocks curl"), (Persona::Torsocks, "curl".into()));
        assert_eq!(
            of("epochsocks", "curl torsocks"),
            (Persona::Epochsocks, "curl torsocks".into())
        );
    }
}
