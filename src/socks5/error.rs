//! Errors that a proxy can make.

use core::fmt;

use super::ReplyCode;
use crate::sys::Errno;

/// The message of the server that was awaited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// The answer to the greeting: the method of authentication.
    Method,
    /// The answer to user name and password.
    Authentication,
    /// The answer to the request.
    Reply,
}

/// Reason that a handshake failed. `Display` is one line, fit for a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The server closed the connection while the message was awaited.
    Closed(Awaited),
    /// The first byte was `H`: an HTTP server answers on this port.
    Http,
    /// The first byte was neither SOCKS5's version nor `H`.
    NotSocks(u8),
    /// None of the offered methods is acceptable to the server (method FF).
    NoAcceptableMethod,
    /// The server chose a method that was not offered.
    UnofferedMethod(u8),
    /// The answer to user name and password starts with a byte that is not a version of RFC 1929.
    AuthenticationVersion(u8),
    /// User name and password were rejected with this status.
    AuthenticationRejected(u8),
    /// User name and password were not acknowledged, and the request was accepted nevertheless.
    AuthenticationSkipped,
    /// The reply starts with a byte other than SOCKS5's version.
    ReplyVersion(u8),
    /// The server refused the request.
    Refused(ReplyCode),
    /// The reply's address type is unknown, so its end can't be told.
    AddressType(u8),
    /// The reply succeeded but holds no address (for RESOLVE) or no name (for RESOLVE_PTR).
    NoAnswer,
    /// The name in a RESOLVE_PTR reply is empty or has a NUL byte.
    BadName,
}

impl Error {
    /// The errno that a `connect` answers with: a refusal as in [`ReplyCode::errno`]; `ECONNRESET`
    /// where the server hung up; `EACCES` where it did not let us in; `EPROTO` for everything that
    /// is not SOCKS5. Async-signal-safe.
    pub fn errno(&self) -> Errno {
        Errno(match self {
            Error::Refused(code) => return code.errno(),
            Error::Closed(_) => libc::ECONNRESET,
            Error::NoAcceptableMethod
            | Error::UnofferedMethod(_)
            | Error::AuthenticationRejected(_)
            | Error::AuthenticationSkipped => libc::EACCES,
            Error::Http
            | Error::NotSocks(_)
            | Error::AuthenticationVersion(_)
            | Error::ReplyVersion(_)
            | Error::AddressType(_)
            | Error::NoAnswer
            | Error::BadName => libc::EPROTO,
        })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Closed(Awaited::Method) => {
                f.write_str("the SOCKS port closed the connection instead of answering the greeting")
            }
            Error::Closed(Awaited::Authentication) => f.write_str(
                "the SOCKS port closed the connection instead of answering user name and password",
            ),
            Error::Closed(Awaited::Reply) => {
                f.write_str("the SOCKS port closed the connection instead of answering the request")
            }
            Error::Http => f.write_str(
                "the port speaks HTTP, not SOCKS5: set TorAddress and TorPort to Tor's SocksPort",
            ),
            Error::NotSocks(byte) => write!(
                f,
                "the port does not speak SOCKS5 (first byte {byte:02X}): \
                 set TorAddress and TorPort to Tor's SocksPort"
            ),
            Error::NoAcceptableMethod => f.write_str(
                "the SOCKS port accepts no authentication method that we have: \
                 set a user name and password, or remove them",
            ),
            Error::UnofferedMethod(method) => write!(
                f,
                "the SOCKS port chose authentication method {method:02X}, which was not offered: \
                 set a user name and password, or remove them"
            ),
            Error::AuthenticationVersion(byte) => write!(
                f,
                "the SOCKS port answered user name and password with version {byte:02X} instead of 01"
            ),
            Error::AuthenticationRejected(status) => write!(
                f,
                "the SOCKS port rejected user name and password (status {status:02X}): correct them"
            ),
            Error::AuthenticationSkipped => f.write_str(
                "the SOCKS port did not acknowledge user name and password: isolation is not certain",
            ),
            Error::ReplyVersion(byte) => {
                write!(f, "the SOCKS port answered the request with version {byte:02X} instead of 05")
            }
            Error::Refused(code) if code.is_of_the_port() => {
                write!(f, "refused by the SOCKS port: {code}")
            }
            Error::Refused(code) => write!(f, "not reached through Tor: {code}"),
            Error::AddressType(kind) => {
                write!(f, "the SOCKS port's reply has the unknown address type {kind:02X}")
            }
            Error::NoAnswer => f.write_str("the SOCKS port's reply lacks what was asked for"),
            Error::BadName => f.write_str("the SOCKS port's reply holds a name that is none"),
        }
    }
}

impl core::error::Error for Error {}
