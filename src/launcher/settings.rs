//! The settings: given by flags, resolved with environment and file, handed on to the program.
//!
//! The result is handed on as `EPOCHSOCKS_*` variables, and the program reads no file. So a bad
//! value ends the launcher; it can't end a program's protection unseen.

use std::ffi::{CString, OsStr, OsString};
use std::fmt::Display;
use std::net::{IpAddr, ToSocketAddrs};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use epochsocks::bytes::Bytes;
use epochsocks::config::{
    Assignment, CONF_FILE_VARIABLES, ConfigError, FlagSpec, NO_FILE, OPTIONS, OptionSpec, Origin,
    SYSTEM_FILES, Sources, configuration_file, load,
};
use epochsocks::log::file::{self, Unfit};
use epochsocks::sys::Errno;
use lexopt::Arg;

pub use epochsocks::config::Settings;

use crate::environment::{Change, Changes};
use crate::failure::{Failure, Status, describe, warn};

/// The log level from which on warnings are shown.
pub const WARNINGS: u8 = 3;

/// A setting given by a flag.
#[derive(Clone, Debug)]
pub struct Given {
    /// The option that it sets.
    pub option: &'static OptionSpec,
    /// The flag.
    pub flag: &'static FlagSpec,
    /// The value.
    pub value: OsString,
}

/// The option that a flag on the command line sets.
pub fn find(argument: &Arg<'_>) -> Option<(&'static OptionSpec, &'static FlagSpec)> {
    let is_meant = |flag: &FlagSpec| match argument {
        Arg::Short(letter) => flag.short == Some(*letter),
        Arg::Long(name) => !flag.attached && flag.long.strip_prefix("--") == Some(name),
        Arg::Value(_) => false,
    };
    let flags =
        OPTIONS.iter().flat_map(|option| option.flags().iter().map(move |flag| (option, flag)));
    flags.into_iter().find(|(_, flag)| is_meant(flag))
}

/// The flag that stands for `name=VALUE` where `name` alone is another one.
pub fn find_attached(name: &str) -> Option<(&'static OptionSpec, &'static FlagSpec)> {
    let mut flags =
        OPTIONS.iter().flat_map(|option| option.flags().iter().map(move |flag| (option, flag)));
    flags.find(|(_, flag)| flag.attached && flag.long.strip_prefix("--") == Some(name))
}

/// The path of the configuration file that is read, if any.
pub fn file() -> Option<String> {
    let environment: Vec<_> = std::env::vars_os().collect();
    let variable = |name: &str| {
        let found = environment.iter().find(|(variable, _)| variable == name);
        found.map(|(_, value)| value.as_bytes())
    };
    let sources = Sources {
        environment: &variable,
        is_secure: false,
        flags: &[],
        system_files: SYSTEM_FILES,
    };
    configuration_file(&sources).map(|path| path.to_string())
}

/// The settings that flags, environment and file add up to. Warnings go to standard error.
pub fn resolve(given: &[Given]) -> Result<Settings, Failure> {
    let environment: Vec<_> = std::env::vars_os().collect();
    let variable = |name: &str| {
        let found = environment.iter().find(|(variable, _)| variable == name);
        found.map(|(_, value)| value.as_bytes())
    };
    let flags: Vec<_> = given
        .iter()
        .map(|given| Assignment {
            option: given.option,
            flag: given.flag,
            value: given.value.as_bytes(),
        })
        .collect();
    // SAFETY: getauxval takes an integer.
    let is_secure = unsafe { libc::getauxval(libc::AT_SECURE) } != 0;
    let sources =
        Sources { environment: &variable, is_secure, flags: &flags, system_files: SYSTEM_FILES };
    let mut warnings = Vec::new();
    let mut settings = load(&sources, &mut |warning| warnings.push(warning.to_string()))
        .map_err(|error| Failure::new(status_of(&error), error))?;
    if let Some(named) = settings.log_file
        && named.as_slice() != file::JOURNAL
    {
        settings.log_file = Some(log_file(Path::new(OsStr::from_bytes(named.as_slice())))?);
    }
    if settings.log_level >= WARNINGS {
        warnings.iter().for_each(warn);
    }
    if let Some(host) = settings.tor_host.take() {
        settings.tor_address = address_of(&host.to_string(), settings.tor_port)?;
        settings.check().map_err(|error| Failure::new(status_of(&error), error))?;
    }
    Ok(settings)
}

/// The address of the host `name`, an IPv4 one if it has both kinds: sockets of both reach that.
fn address_of(name: &str, port: u16) -> Result<IpAddr, Failure> {
    let refuse = |why: &dyn Display| {
        let message = format!("TorAddress {name}: its address is not known: {why}; name it");
        Failure::new(Status::Own, message)
    };
    let found: Vec<_> = (name, port).to_socket_addrs().map_err(|error| refuse(&error))?.collect();
    let v4 = found.iter().find(|address| address.ip().to_canonical().is_ipv4());
    let address = v4.or(found.first()).ok_or_else(|| refuse(&"it has none"))?;
    Ok(address.ip().to_canonical())
}

/// A bad value of a flag is a wrong command line.
fn status_of(error: &ConfigError<'_>) -> Status {
    match error {
        ConfigError::BadValue { origin: Origin::Flag(_), .. }
        | ConfigError::SocketFile(Origin::Flag(_), _) => Status::Usage,
        _ => Status::Own,
    }
}

/// The log file by its absolute path: the program may change its directory before it logs. One that
/// can't be written is refused, as the program would lose every message without a word.
fn log_file(named: &Path) -> Result<epochsocks::config::Path, Failure> {
    let refuse = |unfit| {
        let file = named.display();
        let why = match unfit {
            Unfit::Closed(errno) => format!("{}; name another", describe(errno)),
            unfit => unfit.to_string(),
        };
        Failure::new(Status::Own, format!("the log file {file} can't be written: {why}"))
    };
    let closed = |errno| refuse(Unfit::Closed(Errno(errno)));
    let path = std::path::absolute(named)
        .map_err(|error| closed(error.raw_os_error().unwrap_or(libc::ENOENT)))?;
    let path = path.as_os_str().as_bytes();
    let name = CString::new(path).map_err(|_| closed(libc::ENOENT))?;
    file::open(&name).map_err(refuse)?;
    Bytes::new(path).ok_or_else(|| closed(libc::ENAMETOOLONG))
}

/// Changes to the environment that hand `settings` on. torsocks' own variables stay as they are:
/// ours win over them.
pub fn changes(settings: &Settings) -> Changes {
    let mut changes = vec![(CONF_FILE_VARIABLES[0].into(), Change::Set(NO_FILE.into()))];
    let is_set = |name: &str| std::env::var_os(name).is_some();
    for option in &OPTIONS {
        let value = option.value(settings);
        let overridden = option.torsocks_variable.is_some_and(is_set);
        if overridden || value.as_slice() != option.default().as_bytes() {
            let value = OsString::from_vec(value.as_slice().to_vec());
            changes.push((option.variable.into(), Change::Set(value)));
        } else if is_set(option.variable) {
            changes.push((option.variable.into(), Change::Unset));
        }
    }
    changes
}
