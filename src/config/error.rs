//! Errors in a configuration, each reported in one line.

use core::fmt;
use core::net::IpAddr;

use super::{Kind, Network};
use crate::bytes::Bytes;
use crate::sys::Errno;

/// A file's path in two parts: a directory that the environment names, and what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FilePath<'a> {
    /// The first part, without a slash at its end; empty for an absolute `rest`.
    pub directory: &'a [u8],
    /// Text after the first part, unquoted.
    pub rest: &'static str,
}

impl fmt::Display for FilePath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.directory.is_empty() && self.rest.is_empty() {
            return f.write_str("\"\"");
        }
        write!(f, "{}{}", self.directory.escape_ascii(), self.rest)
    }
}

/// Origin of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin<'a> {
    /// A line of a file, counted from 1.
    File(FilePath<'a>, u32),
    /// An environment variable.
    Variable(&'static str),
    /// A flag of the launcher, in its long form.
    Flag(&'static str),
}

/// The start of a bad text, as much of it as a message shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Excerpt {
    start: Bytes<40>,
    is_cut: bool,
}

impl Excerpt {
    /// The start of `text`.
    pub fn new(text: &[u8]) -> Excerpt {
        let start = Bytes::truncated(text);
        Excerpt { start, is_cut: start.len() < text.len() }
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}{}\"", self.start, if self.is_cut { "..." } else { "" })
    }
}

/// Reason that there are no settings. `Display` is one line that says what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigError<'a> {
    /// A value that its option does not take.
    BadValue {
        /// Its place.
        origin: Origin<'a>,
        /// The option's directive.
        directive: &'static str,
        /// Kind of value that the option takes.
        kind: Kind,
        /// The value.
        value: Excerpt,
    },
    /// The file that a variable names, or one that exists in a usual place, can't be read.
    Unreadable(FilePath<'a>, Errno),
    /// The file is a FIFO: its end depends on the process that writes to it.
    Fifo(FilePath<'a>),
    /// A line of the file is longer than 2,048 bytes.
    LineTooLong(FilePath<'a>, u32),
    /// The file is longer than 64 KiB.
    FileTooLong(FilePath<'a>),
    /// A user name without a password.
    PasswordMissing,
    /// A password without a user name.
    UsernameMissing,
    /// A line of a file of ours names no option.
    UnknownDirective(FilePath<'a>, u32, Excerpt),
    /// More than one of `IsolatePID`, `IsolationKey`, and user name and password.
    IsolatedTwice,
    /// A socket file in place of the port in this directive.
    SocketFile(Origin<'a>, &'static str),
    /// `TorAddress` is the name of a host, and the library does not look it up.
    HostName(Excerpt),
    /// The network for onion names contains this address, which is needed for itself.
    OnionRangeTaken(Network, IpAddr),
}

/// Place of a bad value, before what is wrong with it.
fn write_place(f: &mut fmt::Formatter<'_>, origin: &Origin<'_>, directive: &str) -> fmt::Result {
    match origin {
        Origin::File(path, line) => write!(f, "{path}:{line}: {directive}: "),
        Origin::Variable(name) | Origin::Flag(name) => write!(f, "{name}: "),
    }
}

impl fmt::Display for ConfigError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigError::BadValue { origin, directive, kind, value } => {
                write_place(f, origin, directive)?;
                match kind {
                    Kind::Password => f.write_str("the value")?,
                    _ => write!(f, "{value}")?,
                }
                write!(f, " is not {}", kind.expected())
            }
            ConfigError::Unreadable(path, errno) => write!(
                f,
                "{path}: {errno}: make the file readable, or name another in \
                 EPOCHSOCKS_CONF_FILE (\"none\" for no file)"
            ),
            ConfigError::Fifo(path) => write!(
                f,
                "{path}: a FIFO is not read: name a file in EPOCHSOCKS_CONF_FILE (\"none\" for no \
                 file)"
            ),
            ConfigError::LineTooLong(path, line) => {
                write!(f, "{path}:{line}: the line is longer than 2048 bytes: shorten it")
            }
            ConfigError::FileTooLong(path) => {
                write!(f, "{path}: the file is longer than 65536 bytes: shorten it")
            }
            ConfigError::PasswordMissing => {
                f.write_str("SOCKS5Username is set without SOCKS5Password: set both, or neither")
            }
            ConfigError::UsernameMissing => {
                f.write_str("SOCKS5Password is set without SOCKS5Username: set both, or neither")
            }
            ConfigError::UnknownDirective(path, line, directive) => write!(
                f,
                "{path}:{line}: {directive} is not a directive: correct the line, which is a \
                 directive, a space and a value, or take it out"
            ),
            ConfigError::IsolatedTwice => f.write_str(
                "IsolatePID, IsolationKey, and SOCKS5Username with SOCKS5Password exclude each other, \
                 and the last excludes IsolateDestination: set one",
            ),
            ConfigError::SocketFile(origin, directive) => {
                write_place(f, origin, directive)?;
                f.write_str(
                    "a socket file can't stand in for each TCP socket of a program: run \
                     `socat TCP-LISTEN:9050,bind=127.0.0.1,fork UNIX-CONNECT:FILE` and name its port",
                )
            }
            ConfigError::HostName(name) => write!(
                f,
                "TorAddress {name} is the name of a host, which only the launcher looks up: set \
                 its address"
            ),
            ConfigError::OnionRangeTaken(network, address) => write!(
                f,
                "OnionAddrRange {network} contains {address}: set a network that nothing else uses"
            ),
        }
    }
}

impl core::error::Error for ConfigError<'_> {}

/// Faults of a configuration that do not stop the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Warning<'a> {
    /// A line of torsocks' file names no option; it is skipped.
    UnknownDirective(FilePath<'a>, u32, Excerpt),
    /// The home directory is out of reach, and the file in it; the next place is tried.
    Skipped(FilePath<'a>, Errno),
}

impl fmt::Display for Warning<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::UnknownDirective(path, line, directive) => {
                write!(f, "{path}:{line}: {directive} is not a directive: the line is ignored")
            }
            Warning::Skipped(path, errno) => write!(f, "{path}: {errno}: the file is ignored"),
        }
    }
}
