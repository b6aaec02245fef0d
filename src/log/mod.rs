//! The log: what a line says, in which form, how often, and in which file.
//!
//! - [`subject`]: what a line is about; its key never changes
//! - [`limit`]: how many lines of one subject are written
//! - [`mod@line`]: a line's text: plain, coloured, JSON, or as systemd's journal takes it
//! - [`mod@file`]: the log file, which no other user may have chosen or read
//!
//! Nothing here allocates or waits for a lock; every function is async-signal-safe.

pub mod file;
pub mod limit;
pub mod line;
pub mod subject;

pub use limit::{Admission, Limit};
pub use line::{Form, Head, Line};
pub use subject::Subject;

/// Importance of a message: torsocks' log levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// A call failed or was refused for a reason that the program can't see.
    Error = 2,
    /// Something is off but goes on.
    Warning = 3,
    /// Connections that go through Tor.
    Notice = 4,
    /// Every decision.
    Debug = 5,
}

impl Level {
    /// The word in a line.
    pub const fn word(self) -> &'static str {
        match self {
            Level::Error => "error",
            Level::Warning => "warning",
            Level::Notice => "notice",
            Level::Debug => "debug",
        }
    }

    /// The priority of syslog(3).
    pub const fn priority(self) -> u8 {
        match self {
            Level::Error => 3,
            Level::Warning => 4,
            Level::Notice => 5,
            Level::Debug => 7,
        }
    }
}
