//! SOCKS5 (RFC 1928), user name and password (RFC 1929) and Tor's extensions (torspec
//! `socks-extensions`), without any I/O.
//!
//! | file | what |
//! | --- | --- |
//! | `handshake` | [`Handshake`], the state machine: what to send, how much to receive, how it ended |
//! | `request` | [`Request`]: what is asked of the proxy, and its encoding |
//! | `name` | [`Name`], a host name that fits the wire |
//! | `credentials` | [`Credentials`], and their encoding |
//! | `reply` | the server's messages, judged as early as their bytes allow |
//! | `code` | [`ReplyCode`]: the one table of reply codes, their errno and their meaning |
//! | `error` | [`Error`]: one variant for each thing that a peer can do wrong |
//!
//! Everything here is plain data and pure functions: no allocation, no lock, no panic on any input;
//! all of it is async-signal-safe.

mod code;
mod credentials;
mod error;
mod handshake;
mod name;
mod reply;
mod request;

pub use code::ReplyCode;
pub use credentials::{Credentials, CredentialsError, Isolation};
pub use error::{Awaited, Error};
pub use handshake::{Handshake, Step, TRANSCRIPT};
pub use name::{Name, NameError};
pub use reply::Answer;
pub use request::{Command, Host, Request};

/// The protocol version, first byte of every message but the password's.
const VERSION: u8 = 5;

/// The methods of authentication of RFC 1928, section 3, that this client speaks.
mod method {
    pub const NONE: u8 = 0;
    pub const PASSWORD: u8 = 2;
    pub const NONE_ACCEPTABLE: u8 = 0xFF;
}

/// The address types of RFC 1928, section 5.
mod address_type {
    /// Tor's own, for "no address": as long as an IPv4 address.
    pub const ABSENT: u8 = 0;
    pub const IPV4: u8 = 1;
    pub const NAME: u8 = 3;
    pub const IPV6: u8 = 4;
}
