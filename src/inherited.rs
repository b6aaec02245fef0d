//! Descriptors that a program inherits: network sockets that it could just write to are taken from
//! it. The launcher does so, and the preload library for programs that it has not started.
//! Async-signal-safe.

use crate::config::Settings;
use crate::policy::{SocketKind, pass};
use crate::sys::net::{self, Answer};
use crate::sys::{self, Errno};

/// Fate of a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is closed; 0, 1 and 2 are /dev/null now. Or that failed.
    Withheld(Result<(), Errno>),
    /// It stays as it is.
    Inherited,
    /// It is a UDP socket that is bound to the loopback interface, and stays.
    Confined,
}

/// Withholds what `settings` say, and tells of each descriptor what has become of it.
pub fn withhold(settings: &Settings, mut tell: impl FnMut(i32, Fate)) {
    sys::each_open_descriptor(|fd| tell(fd, fate(fd, settings)));
}

fn fate(fd: i32, settings: &Settings) -> Fate {
    // A sandbox that permits fstat may end the program for a question about sockets.
    if sys::is_socket(fd) == Ok(false) || net::is_unix(fd) {
        return Fate::Inherited;
    }
    let kind = kind(fd);
    let is_confined = || net::is_confined(fd);
    match kind {
        _ if !pass::inherit(kind, is_confined, settings) => Fate::Withheld(take_away(fd)),
        Answer::Is(kind) if kind.is_udp() && is_confined() => Fate::Confined,
        _ => Fate::Inherited,
    }
}

fn kind(fd: i32) -> Answer<SocketKind> {
    let ask = || {
        Ok(SocketKind {
            domain: net::socket_number(fd, libc::SO_DOMAIN)?,
            kind: net::socket_number(fd, libc::SO_TYPE)?,
            protocol: net::socket_number(fd, libc::SO_PROTOCOL)?,
        })
    };
    ask().into()
}

fn take_away(fd: i32) -> Result<(), Errno> {
    if fd > libc::STDERR_FILENO { sys::close(fd) } else { sys::replace_by_null(fd) }
}
