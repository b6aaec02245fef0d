//! An option and its flags: the parts of a row of the table of options.

use super::{ConfigError, Excerpt, Kind, Origin, Settings};
use crate::bytes::Bytes;

/// A value as text; the longest is a path.
pub type Text = Bytes<1023>;

/// One option.
#[derive(Debug)]
pub struct OptionSpec {
    /// Its name in the configuration file, where case does not matter.
    pub directive: &'static str,
    /// Its environment variable, `EPOCHSOCKS_…`.
    pub variable: &'static str,
    /// The variable that torsocks reads, where it has one.
    pub torsocks_variable: Option<&'static str>,
    /// Kind of its value.
    pub kind: Kind,
    pub(super) set: fn(&mut Settings, &[u8]) -> Option<()>,
}

/// One flag of the launcher.
#[derive(Debug)]
pub struct FlagSpec {
    /// The long form, with its dashes.
    pub long: &'static str,
    /// The letter of the short form.
    pub short: Option<char>,
    /// The value that a flag without argument sets; `None`: the flag takes the value as argument.
    pub sets: Option<&'static str>,
    /// The argument stands behind `=` in the same word; without one, the long form is the flag of
    /// another option.
    pub attached: bool,
}

impl OptionSpec {
    /// Sets the option in `settings` to `value`, which came from `origin`. The rules between
    /// options are for [`Settings::check`].
    pub fn set<'a>(
        &self,
        settings: &mut Settings,
        value: &[u8],
        origin: Origin<'a>,
    ) -> Result<(), ConfigError<'a>> {
        if self.kind == Kind::Port && value.starts_with(b"unix:") {
            return Err(ConfigError::SocketFile(origin, self.directive));
        }
        (self.set)(settings, value).ok_or_else(|| ConfigError::BadValue {
            origin,
            directive: self.directive,
            kind: self.kind,
            value: Excerpt::new(value),
        })
    }
}

/// A flag that takes the value as its argument.
pub(super) const fn takes(long: &'static str, short: Option<char>) -> FlagSpec {
    FlagSpec { long, short, sets: None, attached: false }
}

/// A flag that takes the value behind `=`.
pub(super) const fn attaches(long: &'static str) -> FlagSpec {
    FlagSpec { long, short: None, sets: None, attached: true }
}

/// A flag that stands for a value.
pub(super) const fn sets(long: &'static str, short: Option<char>, value: &'static str) -> FlagSpec {
    FlagSpec { long, short, sets: Some(value), attached: false }
}

/// The part of an option's row that the launcher alone reads.
#[derive(Debug)]
pub(super) struct Description {
    pub(super) flags: &'static [FlagSpec],
    pub(super) default: &'static str,
    pub(super) help: &'static str,
    /// Appends the value to an empty text, which is long enough for any.
    pub(super) show: fn(&Settings, &mut Text),
}
