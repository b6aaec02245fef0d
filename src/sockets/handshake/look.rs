//! Result of a look at a handshake, and the threads that it is told to.

use crate::sockets::Progress;
use crate::sockets::record::{End, InFlight, Record};
use crate::socks5::Request;
use crate::sys::Errno;
use crate::tor::DriveError;

/// End of a handshake, for the log.
#[derive(Debug)]
pub struct Report {
    /// Request to the proxy.
    pub request: Request,
    /// Reason that it failed, if it did.
    pub error: Option<DriveError>,
}

/// Result of a look at a handshake.
#[derive(Debug)]
pub struct Look {
    /// State of the connect.
    pub progress: Progress,
    /// For the log, once: the caller has ended it.
    pub report: Option<Report>,
    /// The thread of the caller, if it has started the handshake and waits for the end.
    pub waiter: Option<i32>,
}

/// Result of a step of a handshake, under its run lock.
pub(super) struct Step {
    pub(super) progress: Progress,
    /// Result of the handshake, if this step has ended it and the log is to be told.
    pub(super) end: Option<Result<(), DriveError>>,
}

impl Step {
    pub(super) const fn at(progress: Progress) -> Step {
        Step { progress, end: None }
    }
}

impl Look {
    /// A look that has ended nothing.
    pub const fn at(progress: Progress) -> Look {
        Look { progress, report: None, waiter: None }
    }

    /// The slot is another socket's: the handshake of `owner` was given up.
    pub fn lost(owner: Owner<'_>) -> Look {
        let progress = Progress::Failed(Errno(libc::ECONNABORTED));
        owner.complete(End { progress, stays_connected: true, keeps_slot: false, is_told: false });
        Look::at(progress)
    }
}

/// The record whose handshake is driven, as a look at it has shown it.
#[derive(Clone, Copy)]
pub struct Owner<'r> {
    /// The record.
    pub record: &'r Record,
    /// The attempt that was seen.
    pub attempt: InFlight,
}

impl Owner<'_> {
    pub(super) fn complete(self, end: End) {
        self.record.complete(self.attempt, end);
    }
}
