//! The settings: given by flags, resolved with environment and file, handed on to the program.

use std::ffi::OsString;

use lexopt::Arg;

use crate::environment::{Change, Changes, PRELOAD, without_library};
use crate::failure::Failure;

/// A flag that sets an option of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Switch {
    directive: &'static str,
    /// The value that the flag stands for; `None` if it takes one.
    pub fixed: Option<&'static str>,
}

/// A setting given by a flag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// Which option.
    pub switch: Switch,
    /// The flag as it was typed, for messages.
    pub flag: String,
    /// Its value.
    pub value: OsString,
}

impl Switch {
    /// The option that `argument` sets.
    pub fn find(argument: &Arg<'_>) -> Option<Switch> {
        let (directive, fixed) = match argument {
            Arg::Short('d') | Arg::Long("debug") => ("LogLevel", Some("5")),
            Arg::Short('q') | Arg::Long("quiet") => ("LogLevel", Some("1")),
            Arg::Short('i') | Arg::Long("isolate") => ("IsolatePID", Some("1")),
            Arg::Short('u') | Arg::Long("user") => ("SOCKS5Username", None),
            Arg::Short('p') | Arg::Long("pass") => ("SOCKS5Password", None),
            Arg::Short('a') | Arg::Long("address") => ("TorAddress", None),
            Arg::Short('P') | Arg::Long("port") => ("TorPort", None),
            _ => return None,
        };
        Some(Switch { directive, fixed })
    }

    /// The option's name in the configuration file.
    pub fn directive(&self) -> &'static str {
        self.directive
    }
}

/// What the program is told.
pub fn changes(_given: &[Given]) -> Result<Changes, Failure> {
    Ok(vec![("EPOCHSOCKS_CONF_FILE".into(), Change::Set("none".into()))])
}

/// What takes the library and the settings back.
pub fn withdrawal() -> Changes {
    let preload = without_library(std::env::var_os(PRELOAD).as_deref());
    vec![
        (PRELOAD.into(), preload.map_or(Change::Unset, Change::Set)),
        ("EPOCHSOCKS_CONF_FILE".into(), Change::Unset),
    ]
}
