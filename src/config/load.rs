//! Settings from all sources, and back into an environment.

use core::ffi::CStr;

use super::{
    ConfigError, Dialect, FilePath, FlagSpec, OPTIONS, OptionSpec, Origin, Path, Settings, Warning,
    file,
};
use crate::sys::{Errno, File};

/// The variables that name the configuration file, ours and torsocks'; the first wins.
pub const CONF_FILE_VARIABLES: [&str; 2] = ["EPOCHSOCKS_CONF_FILE", "TORSOCKS_CONF_FILE"];

/// The value of such a variable that means: read no file.
pub const NO_FILE: &str = "none";

/// The files for all users, of which the first that exists is read.
pub const SYSTEM_FILES: &[SystemFile] =
    &[("/etc/epochsocks.conf", Dialect::Ours), ("/etc/tor/torsocks.conf", Dialect::Torsocks)];

/// A file for all users, and the program that it is for.
pub type SystemFile = (&'static str, Dialect);

/// Value that a flag of the launcher sets.
#[derive(Clone, Copy, Debug)]
pub struct Assignment<'a> {
    /// The option.
    pub option: &'static OptionSpec,
    /// The flag, one of the option's.
    pub flag: &'static FlagSpec,
    /// The value: the flag's own, or its argument.
    pub value: &'a [u8],
}

/// Origins of the settings.
#[derive(Clone, Copy)]
pub struct Sources<'a> {
    /// The value of an environment variable, such as [`Environment::get`](super::Environment::get).
    pub environment: &'a dyn Fn(&str) -> Option<&'a [u8]>,
    /// The process is setuid or the like (`AT_SECURE`): the environment, with the home directory
    /// that it names, is ignored.
    pub is_secure: bool,
    /// The launcher's flags, in their order; they win over everything else.
    pub flags: &'a [Assignment<'a>],
    /// The files for all users: [`SYSTEM_FILES`].
    pub system_files: &'static [SystemFile],
}

impl<'a> Sources<'a> {
    fn variable(&self, name: &str) -> Option<&'a [u8]> {
        if self.is_secure { None } else { (self.environment)(name) }
    }
}

/// The settings that `sources` add up to; `warn` hears of what is odd. A variable that is set and
/// empty is a bad value like any other.
///
/// The file is the one that [`CONF_FILE_VARIABLES`] name, or else the first that exists of
/// `$XDG_CONFIG_HOME/epochsocks/epochsocks.conf` (`$HOME/.config` without that variable) and the
/// system files; there may be none.
#[inline(never)] // It stays beside the functions that it calls, in their pages.
pub fn load<'a>(
    sources: &Sources<'a>,
    warn: &mut dyn FnMut(Warning<'a>),
) -> Result<Settings, ConfigError<'a>> {
    let mut settings = Settings::DEFAULT;
    load_file(sources, &mut settings, warn)?;
    load_variables(sources, &mut settings)?;
    for Assignment { option, flag, value } in sources.flags {
        option.set(&mut settings, value, Origin::Flag(flag.long))?;
    }
    settings.check()?;
    Ok(settings)
}

/// The path of the file that [`load`] reads, if any.
pub fn configuration_file<'a>(sources: &Sources<'a>) -> Option<FilePath<'a>> {
    let found = find_file(sources, &mut |_| ()).ok()?;
    found.map(|(_, (path, _))| path)
}

fn load_variables<'a>(
    sources: &Sources<'a>,
    settings: &mut Settings,
) -> Result<(), ConfigError<'a>> {
    for option in &OPTIONS {
        for name in option.torsocks_variable.into_iter().chain([option.variable]) {
            if let Some(value) = sources.variable(name) {
                option.set(settings, value, Origin::Variable(name))?;
            }
        }
    }
    Ok(())
}

fn load_file<'a>(
    sources: &Sources<'a>,
    settings: &mut Settings,
    warn: &mut dyn FnMut(Warning<'a>),
) -> Result<(), ConfigError<'a>> {
    let Some((file, named)) = find_file(sources, warn)? else { return Ok(()) };
    file::read(&file, named, settings, warn)
}

/// A file that is open, its path, and the program that it was written for.
type Found<'a> = (File, (FilePath<'a>, Dialect));

/// Opens the file to read, if there is one.
fn find_file<'a>(
    sources: &Sources<'a>,
    warn: &mut dyn FnMut(Warning<'a>),
) -> Result<Option<Found<'a>>, ConfigError<'a>> {
    let dialects = [Dialect::Ours, Dialect::Torsocks];
    for (name, dialect) in CONF_FILE_VARIABLES.into_iter().zip(dialects) {
        match sources.variable(name) {
            Some(value) if value == NO_FILE.as_bytes() => return Ok(None),
            Some(value) => {
                return open_named(value).map(|(file, path)| Some((file, (path, dialect))));
            }
            None => {}
        }
    }
    if let Some(path) = home_file(sources) {
        match open_if_present(path) {
            Ok(Some(file)) => return Ok(Some((file, (path, Dialect::Ours)))),
            Ok(None) => {}
            // HOME is another user's, as after `sudo -u`: nothing was configured for this one.
            Err(errno @ Errno(libc::EACCES)) if !exists(path) => {
                warn(Warning::Skipped(path, errno));
            }
            Err(errno) => return Err(ConfigError::Unreadable(path, errno)),
        }
    }
    for (rest, dialect) in sources.system_files {
        let path = FilePath { directory: b"", rest };
        match open_if_present(path) {
            Ok(Some(file)) => return Ok(Some((file, (path, *dialect)))),
            Ok(None) => {}
            Err(errno) => return Err(ConfigError::Unreadable(path, errno)),
        }
    }
    Ok(None)
}

/// Opens the file that a variable names, which must exist.
fn open_named(name: &[u8]) -> Result<(File, FilePath<'_>), ConfigError<'_>> {
    let path = FilePath { directory: name, rest: "" };
    match open(path) {
        Ok(file) => Ok((file, path)),
        Err(errno) => Err(ConfigError::Unreadable(path, errno)),
    }
}

/// The user's own file. The XDG base directory specification has a relative or empty
/// `XDG_CONFIG_HOME` ignored.
fn home_file<'a>(sources: &Sources<'a>) -> Option<FilePath<'a>> {
    let absolute = |name| sources.variable(name).filter(|path| path.starts_with(b"/"));
    if let Some(directory) = absolute("XDG_CONFIG_HOME") {
        return Some(FilePath { directory, rest: "/epochsocks/epochsocks.conf" });
    }
    let directory = absolute("HOME")?;
    Some(FilePath { directory, rest: "/.config/epochsocks/epochsocks.conf" })
}

/// Errors: those of openat(2), `ENAMETOOLONG` beyond 1,022 bytes.
fn open(path: FilePath<'_>) -> Result<File, Errno> {
    with_name(path, |name| File::open_at(libc::AT_FDCWD, name))
}

/// Tells whether the file exists, readable or not; false if its directory can't be searched.
fn exists(path: FilePath<'_>) -> bool {
    with_name(path, |name| crate::sys::is_there(libc::AT_FDCWD, name)).is_ok()
}

/// `ENAMETOOLONG` beyond 1,022 bytes.
fn with_name<T>(
    path: FilePath<'_>,
    then: impl FnOnce(&CStr) -> Result<T, Errno>,
) -> Result<T, Errno> {
    let mut name = Path::EMPTY;
    let fits =
        name.extend(path.directory) && name.extend(path.rest.as_bytes()) && name.extend(b"\0");
    match CStr::from_bytes_until_nul(name.as_slice()) {
        Ok(name) if fits => then(name),
        _ => Err(Errno(libc::ENAMETOOLONG)),
    }
}

fn open_if_present(path: FilePath<'_>) -> Result<Option<File>, Errno> {
    match open(path) {
        Ok(file) => Ok(Some(file)),
        Err(Errno(libc::ENOENT | libc::ENOTDIR)) => Ok(None),
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
mod tests;
