//! A connect through Tor: begun, sent off, finished.

use core::net::SocketAddr;
use core::sync::atomic::{Ordering::SeqCst, fence};

use super::handshake::{Locked, Look, Owner, Plan, Report, Slot, TABLE};
use super::{
    Claim, Connection, OwnSocket, Progress, Record, SlotId, SocketId, Sockets, Unverified,
};
use crate::registry::{Payload, Registry};
use crate::socks5::{Credentials, Isolation, Request};
use crate::sys::{self, Errno};
use crate::tor::DialError;

/// One call of connect.
pub struct Attempt<'a> {
    /// The address family of the socket.
    pub domain: i32,
    /// Where the program wants to go, as it has said it.
    pub destination: SocketAddr,
    /// Request to Tor.
    pub request: &'a Request,
    /// Tor's SOCKS port.
    pub tor: SocketAddr,
    /// The user name and password for Tor.
    pub credentials: Option<&'a Credentials>,
    /// When the call began, in nanoseconds since boot.
    pub began: u64,
    /// When the handshake has to be over, in nanoseconds since boot.
    pub deadline: u64,
    /// Tells whether the call waits for the end on a socket that is `O_NONBLOCK`, too; called for
    /// such a socket only.
    pub always_waits: fn() -> bool,
}

/// Why a connect could not be sent off, where an errno alone does not tell the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectError {
    /// Tor's port was not reached.
    Dial(SocketAddr, DialError),
    /// Every slot of the table is taken: `EAGAIN`.
    TooMany,
    /// No memory for another handshake: `ENOMEM`.
    NoMemory,
    /// The socket has a route or an interface of its own that can't be taken off: `EPERM`.
    Routed,
    /// Other threads use the socket all the time: `EALREADY`.
    Contended,
    /// No descriptor is left by which the library could drive the handshake: `EMFILE`.
    NoDescriptor,
}

impl ConnectError {
    /// The errno for the program.
    pub fn errno(&self) -> Errno {
        match self {
            ConnectError::Dial(_, error) => error.errno(),
            ConnectError::TooMany => Errno(libc::EAGAIN),
            ConnectError::NoMemory => Errno(libc::ENOMEM),
            ConnectError::Routed => Errno(libc::EPERM),
            ConnectError::Contended => Errno(libc::EALREADY),
            ConnectError::NoDescriptor => Errno(libc::EMFILE),
        }
    }
}

/// Something that the log is told of.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is no allocator to box the report with")]
pub enum Event {
    /// A handshake has ended.
    Ended(Report),
    /// A connect could not be sent off.
    NotSent(ConnectError),
}

/// A connect that is under way.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    /// The socket.
    id: SocketId,
    /// The slot of its handshake, if a look has shown it.
    slot: Option<SlotId>,
    /// Where it stands.
    pub progress: Progress,
    /// True if this call has started it; otherwise another one has.
    is_own: bool,
    /// True if the call waits for its end.
    pub waits: bool,
}

impl Sent {
    /// Errno of a connect that does not wait.
    pub fn underway(&self) -> Errno {
        Errno(if self.is_own { libc::EINPROGRESS } else { libc::EALREADY })
    }

    fn slot(&self) -> Option<&'static Slot> {
        TABLE.find(self.slot?, self.id)
    }
}

/// Number of times that a connect begins again because of what other threads do to the socket.
const ROUNDS: u32 = 16;

impl<R: Registry<Payload = Record>, L: Fn(Event) + Sync> Sockets<R, L> {
    /// Sends a connect of `fd` off, or joins the one that is under way. `None` in a vfork child,
    /// which has no record of the socket. Errors: `EISCONN`; `EALREADY`; the errno of an earlier
    /// connect that has failed, once; `EBADF` if another thread closes the descriptor; those of
    /// [`ConnectError`].
    pub fn connect(&self, fd: i32, attempt: &Attempt<'_>) -> Result<Option<Sent>, Errno> {
        let Some(held) = self.tracked(fd)? else { return Ok(None) };
        let sent = self.begin(held.record(), fd, attempt);
        self.end_if_closed(fd, held.record());
        // Before any wait: a cancelled thread must not keep it.
        self.put(held);
        sent.map(Some)
    }

    fn begin(&self, record: &Record, fd: i32, attempt: &Attempt<'_>) -> Result<Sent, Errno> {
        for _ in 0..ROUNDS {
            match record.progress() {
                Progress::Unconnected => {
                    if let Some(sent) = self.send_off(record, fd, attempt)? {
                        return Ok(sent);
                    }
                }
                Progress::Connected => return Err(Errno(libc::EISCONN)),
                Progress::Failed(_) => {
                    if let Some(errno) = record.take_error() {
                        disconnect(fd, record.id());
                        return Err(errno);
                    }
                }
                Progress::Busy | Progress::Waiting(_) => {
                    let progress = self.drive_record(record, fd);
                    if progress.is_pending() {
                        return self.join(record, fd, progress);
                    }
                }
            }
        }
        Err(Errno(libc::EALREADY))
    }

    /// Ends the handshake of a socket whose last descriptor was closed while the connect was sent off.
    ///
    /// A close takes the entry out of the registry, and then looks whether the record has a slot. A
    /// connect gives the record its slot, and then looks for the entry here. If the slot comes first,
    /// the close tells the record; if the entry goes first, this does.
    fn end_if_closed(&self, fd: i32, record: &Record) {
        // Between the two accesses; pairs with the SeqCst accesses of a removal: the step of the entry,
        // and `Record::has_slot_at`.
        fence(SeqCst);
        let names_it = |fd: &i32| self.registry().borrow(*fd, Record::id) == Some(record.id());
        if record.slot().is_some() && !names_it(&fd) && !self.entries().1.any(|fd| names_it(&fd)) {
            Payload::last_descriptor_closed(record);
        }
    }

    /// A call that meets a connect of another call. A thread waits for the end of a connect that no
    /// other thread waits for: of one that was interrupted, or that did not wait.
    fn join(&self, record: &Record, fd: i32, progress: Progress) -> Result<Sent, Errno> {
        let slot = record.in_flight().map(|attempt| attempt.slot);
        let waits = !sys::status_flags(fd)?.is_nonblocking();
        let sent = Sent { id: record.id(), slot, progress, is_own: false, waits };
        let may_wait = sent.slot().is_some_and(|slot| slot.register_waiter(sys::gettid()));
        if waits && !may_wait {
            return Err(sent.underway());
        }
        Ok(sent)
    }

    /// Claims the record, connects the socket to Tor's port and leaves the handshake in flight. No
    /// signal handler and no cancellation comes in between, so that no claim is lost. `None` if
    /// another call was quicker.
    #[inline(never)]
    fn send_off(
        &self,
        record: &Record,
        fd: i32,
        attempt: &Attempt<'_>,
    ) -> Result<Option<Sent>, Errno> {
        let dial = |error| ConnectError::Dial(attempt.tor, error);
        let own = OwnSocket::of(fd, record.id()).map_err(|unverified| match unverified {
            Unverified::Unknown(Errno(libc::EMFILE)) => self.tell(ConnectError::NoDescriptor),
            Unverified::Unknown(Errno(libc::ENOMEM)) => self.tell(ConnectError::NoMemory),
            unverified => unverified.errno(),
        })?;
        let prepared = (|| {
            let flags = own.verified().status_flags().map_err(DialError::Connect)?;
            let address = own.verified().target(attempt.domain, attempt.tor);
            Ok((flags, address.map_err(DialError::Refused)?))
        })();
        let (flags, address) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => {
                own.close();
                return Err(self.tell(dial(error)));
            }
        };
        let waits = !flags.is_nonblocking() || (attempt.always_waits)();
        let Attempt { request, credentials, deadline, .. } = attempt;
        let plan = Plan { request, credentials: *credentials, tor: address, deadline: *deadline };
        let sent = sys::without_signals(|| {
            let Ok(claim) = record.begin_connect() else {
                own.close();
                return Ok(None);
            };
            let (slot, mut locked) = match slot_for(record) {
                Ok(found) => found,
                Err(error) => {
                    own.close();
                    record.abandon(claim);
                    return Err(error);
                }
            };
            locked.start(fd, own, &plan, waits.then(sys::gettid));
            TABLE.note_deadline(attempt.deadline);
            let started = locked.with_socket(|socket| socket.start_connect(&address, flags));
            let started = started.unwrap_or_else(|unverified| Err(unverified.errno()));
            match started {
                Ok(()) => {
                    let look = self.leave_in_flight(record, claim, locked, slot, attempt);
                    Ok(Some((slot, look)))
                }
                Err(errno) => {
                    let _ = locked.undo_start();
                    record.abandon(claim);
                    Err(dial(DialError::Connect(errno)))
                }
            }
        });
        let Some((slot, look)) = sent.map_err(|error| self.tell(error))? else { return Ok(None) };
        let progress = self.report(look);
        let id = record.id();
        Ok(Some(Sent { id, slot: Some(slot), progress, is_own: true, waits }))
    }

    fn leave_in_flight(
        &self,
        record: &Record,
        claim: Claim,
        locked: Locked<'_>,
        slot: SlotId,
        attempt: &Attempt<'_>,
    ) -> Look {
        let isolation = Isolation::of(attempt.credentials);
        let connection = Connection::new(attempt.destination, attempt.began, isolation);
        let attempt = record.send_off(claim, connection, slot);
        locked.drive_until_quiet(Some(Owner { record, attempt }))
    }

    /// Result of a connect that has waited for its end; `waited` is the result of the wait.
    pub fn finish(&self, fd: i32, sent: Sent, waited: Result<(), Errno>) -> Result<(), Errno> {
        if let Some(slot) = sent.slot() {
            slot.stop_waiting();
        }
        match waited {
            Err(Errno(libc::EAGAIN)) => return Err(sent.underway()),
            Err(errno) => return Err(errno),
            Ok(()) => {}
        }
        let look = self.registry().borrow(fd, |record| {
            (record.id() == sent.id).then(|| (record.progress(), record.take_error()))
        });
        match look.flatten() {
            Some((Progress::Connected, _)) => Ok(()),
            Some((_, errno)) => {
                disconnect(fd, sent.id);
                Err(errno.unwrap_or(Errno(libc::ECONNABORTED)))
            }
            // The socket was closed while the call waited; the number may belong to another file.
            None => Err(Errno(libc::EBADF)),
        }
    }

    /// The answer to a connect past Tor on a socket that an earlier one leads through Tor; `None` if
    /// none does. The kernel would answer success once, as it knows of the connection to Tor's port
    /// alone.
    pub fn occupied(&self, fd: i32) -> Option<Errno> {
        if self.is_connecting(fd) && self.drive(fd).is_pending() {
            return Some(Errno(libc::EALREADY));
        }
        let look = |record: &Record| (record.id(), record.progress(), record.take_error());
        match self.registry().borrow(fd, look)? {
            (id, _, Some(errno)) => {
                disconnect(fd, id);
                Some(errno)
            }
            (_, Progress::Connected, _) if self.is_current(fd) => Some(Errno(libc::EISCONN)),
            _ => None,
        }
    }

    #[cold]
    pub(super) fn tell(&self, error: ConnectError) -> Errno {
        let errno = error.errno();
        self.log(Event::NotSent(error));
        errno
    }
}

/// The slot that has the socket's epoll entries, or a new one, locked.
fn slot_for(record: &Record) -> Result<(SlotId, Locked<'static>), ConnectError> {
    if let Some(found) = TABLE.lock_of(record).map_err(|_| ConnectError::Contended)? {
        return Ok(found);
    }
    TABLE.allocate(record.id()).map_err(|errno| match errno {
        Errno(libc::ENOMEM) => ConnectError::NoMemory,
        _ => ConnectError::TooMany,
    })
}

/// Leaves the socket as it was before the connect, so that the program may try again.
fn disconnect(fd: i32, id: SocketId) {
    if let Ok(own) = OwnSocket::of(fd, id) {
        own.verified().disconnect();
        own.close();
    }
}
