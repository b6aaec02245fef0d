//! A connect that is under way, and the wait for its end.

use super::handshake::{Look, Slot, TABLE};
use super::tracker::look;
use super::verified::disconnect;
use super::{Event, Progress, Record, SlotId, SocketId, Sockets};
use crate::registry::Registry;
use crate::sys::{Errno, SignalsBlocked};

/// A connect that is under way. One that waits ends in [`Sockets::finish`].
#[derive(Debug)]
pub struct Sent {
    /// A descriptor of the program's, by which the record is found.
    pub(super) fd: i32,
    /// The socket.
    pub(super) id: SocketId,
    /// The slot of its handshake, if a look has shown it.
    pub(super) slot: Option<SlotId>,
    /// State of the connect.
    pub progress: Progress,
    /// True if this call has started it; otherwise another one has.
    pub(super) is_own: bool,
    /// The descriptor of the library's own that is kept until the end, if the call waits and has started
    /// it. Another thread may end the handshake, and close it.
    pub kept: Option<i32>,
    /// The call waits for the end.
    pub(super) waits: bool,
    /// The thread, while it waits.
    pub(super) waiter: Option<WaitingThread>,
}

/// A thread that waits for the end of a connect. Signals come in only where the kernel waits.
#[derive(Debug)]
pub(super) struct WaitingThread {
    pub(super) thread: i32,
    pub(super) blocked: SignalsBlocked,
}

impl Sent {
    /// Errno of a connect that does not wait.
    pub fn underway(&self) -> Errno {
        Errno(if self.is_own { libc::EINPROGRESS } else { libc::EALREADY })
    }

    /// Tells whether the call waits for the end.
    pub fn waits(&self) -> bool {
        self.waits
    }

    /// The signal mask of the program, if the call waits.
    pub fn mask(&self) -> Option<u64> {
        self.waiter.as_ref().map(|waiter| waiter.blocked.mask_before())
    }

    /// Ends the wait: signals come in again.
    fn end_wait(&mut self) {
        if let Some(WaitingThread { thread, blocked }) = self.waiter.take() {
            if let Some(slot) = self.slot() {
                slot.stop_waiting(thread);
            }
            blocked.restore();
        }
    }

    pub(super) fn slot(&self) -> Option<&'static Slot> {
        TABLE.find(self.slot?, self.id)
    }
}

impl<R: Registry<Payload = Record>, L: Fn(Event<'_>) + Sync> Sockets<R, L> {
    /// As [`Sockets::report`], of a look at `sent`. The wait ends before, as a write to the log may take long.
    pub(super) fn report_of(&self, sent: &mut Sent, look: Look) -> Progress {
        if look.report.is_some() {
            sent.end_wait();
        }
        self.report(look)
    }

    /// State of a connect that this thread waits for, as [`Sockets::progress`] says it. The number
    /// of the program's is not asked for: what is done is done by a descriptor of the library's own.
    pub fn progress_of(&self, sent: &mut Sent, now: u64) -> Progress {
        let waiting = sent.slot().and_then(Slot::waiting_for).filter(|wait| wait.deadline > now);
        waiting.map_or_else(|| self.drive_sent(sent), Progress::Waiting)
    }

    /// Drives a connect that this thread waits for, as [`Sockets::drive`] does.
    pub fn drive_sent(&self, sent: &mut Sent) -> Progress {
        let Some(held) = self.hold(sent.fd) else { return Progress::Unconnected };
        let (record, fd) = (held.record(), sent.fd);
        let look = match (record.in_flight(), &sent.waiter) {
            _ if record.id() != sent.id => Look::at(Progress::Unconnected),
            (Some(attempt), Some(WaitingThread { blocked, .. })) => {
                look(record, attempt, fd, blocked)
            }
            _ => Look::at(record.progress()),
        };
        // Before signals come in: a handler may jump away.
        self.put(held);
        self.report_of(sent, look)
    }

    /// Result of a connect that has waited for its end; `waited` is the result of the wait.
    pub fn finish(&self, mut sent: Sent, waited: Result<(), Errno>) -> Result<(), Errno> {
        let fd = sent.fd;
        sent.end_wait();
        if let Err(errno) = waited {
            let leave = |record: &Record| (record.id() == sent.id).then(|| record.leave_success());
            self.registry().borrow(fd, leave);
            return Err(if errno.0 == libc::EAGAIN { sent.underway() } else { errno });
        }
        let look = self.registry().borrow(fd, |record| {
            (record.id() == sent.id).then(|| (record.progress(), record.take_error()))
        });
        match look.flatten() {
            Some((Progress::Connected, _)) => Ok(()),
            Some((_, errno)) => {
                disconnect(fd, sent.id);
                // The program has let go of the peer meanwhile.
                Err(errno.unwrap_or(Errno(libc::ECONNRESET)))
            }
            // The socket was closed while the call waited; the number may belong to another file.
            None => Err(Errno(libc::EBADF)),
        }
    }
}
