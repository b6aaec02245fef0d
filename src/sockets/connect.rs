//! A connect through Tor: begun and sent off.

use core::net::SocketAddr;
use core::sync::atomic::{Ordering::SeqCst, fence};

use super::handshake::{Locked, Look, Owner, Plan, Report, TABLE};
use super::sent::{Sent, WaitingThread};
use super::verified::{compare, disconnect};
use super::{
    Claim, Connection, OwnSocket, Progress, Record, SlotId, Sockets, Unverified, Verified,
};
use crate::registry::{Payload, Registry};
use crate::socks5::{Credentials, Isolation, Request};
use crate::sys::{self, Errno, SignalsBlocked};
use crate::tor::DialError;

/// One call of connect.
pub struct Attempt<'a> {
    /// The address family of the socket.
    pub domain: i32,
    /// The caller has not asked the kernel for the family, nor for the socket's kind, as the descriptor has an
    /// entry: it takes the family of the destination.
    pub is_claimed: bool,
    /// Destination, as the program has said it.
    pub destination: SocketAddr,
    /// Request to Tor.
    pub request: &'a Request,
    /// Tor's SOCKS port.
    pub tor: SocketAddr,
    /// The user name and password for Tor.
    pub credentials: Option<&'a Credentials>,
    /// Time at which the call began, in nanoseconds since boot.
    pub began: u64,
    /// Time at which the handshake has to be over, in nanoseconds since boot.
    pub deadline: u64,
    /// Tells whether the call waits for the end on a socket that is `O_NONBLOCK`, too; called for
    /// such a socket only.
    pub always_waits: fn() -> bool,
    /// The log is told of a success, too.
    pub tells_success: bool,
}

/// Reason that a connect could not be sent off, where an errno alone does not tell the user.
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

impl Attempt<'_> {
    /// Tells whether `socket` is of the family that the caller has given: the kernel is asked where the
    /// caller has not.
    fn is_of_family(&self, socket: Verified<'_>) -> bool {
        !self.is_claimed || socket.domain() == Ok(self.domain)
    }
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
pub enum Event<'r> {
    /// A handshake has ended.
    Ended(&'r Report),
    /// A connect could not be sent off.
    NotSent(ConnectError),
}

/// Result of [`Sockets::connect`].
#[derive(Debug)]
pub enum Connect {
    /// It is under way.
    Sent(Sent),
    /// An earlier one, whose call did not wait for the end, has succeeded: Linux answers 0 to the next call,
    /// once.
    Done,
    /// A vfork child has no record of the socket.
    NoRecord,
    /// The descriptor is not what the caller has claimed; nothing was done.
    NotAsClaimed,
}

/// Reason that a connect is not under way.
enum Fault {
    /// The program is told this.
    Errno(Errno),
    /// The descriptor does not name the socket of the record.
    OtherSocket,
    /// The socket is of another family than the caller has claimed.
    OtherFamily,
}

/// Reason that a socket was not connected.
enum Unstarted {
    /// Another call was quicker.
    Late,
    /// The socket is of another family than the caller has claimed.
    OtherFamily,
    /// The program and the log are told this.
    Error(ConnectError),
}

impl From<Errno> for Fault {
    fn from(errno: Errno) -> Fault {
        Fault::Errno(errno)
    }
}

impl From<Unverified> for Fault {
    fn from(unverified: Unverified) -> Fault {
        match unverified {
            Unverified::Other => Fault::OtherSocket,
            Unverified::Unknown(errno) => Fault::Errno(errno),
        }
    }
}

/// Number of times that a connect begins again because of what other threads do to the socket.
const ROUNDS: u32 = 16;

impl<R: Registry<Payload = Record>, L: Fn(Event<'_>) + Sync> Sockets<R, L> {
    /// Sends a connect of `fd` off, or joins the one that is under way. Errors: `EISCONN`; `EALREADY`; the
    /// errno of an earlier connect that has failed, once; `EBADF` if another thread closes the descriptor;
    /// those of [`ConnectError`].
    pub fn connect(&self, fd: i32, attempt: &Attempt<'_>) -> Result<Connect, Errno> {
        // A second time where the entry was another socket's, which was closed behind the hooks.
        for _ in 0..2 {
            let held = match self.hold(fd) {
                Some(held) => held,
                None if attempt.is_claimed => return Ok(Connect::NotAsClaimed),
                None => match self.tracked(fd)? {
                    Some(held) => held,
                    None => return Ok(Connect::NoRecord),
                },
            };
            let begun = self.begin(held.record(), fd, attempt);
            self.end_if_closed(fd, held.record());
            if let Err(Fault::OtherSocket) = begun {
                self.forget_entry(fd, held);
                if attempt.is_claimed {
                    return Ok(Connect::NotAsClaimed);
                }
                if !self.registry().may_change() {
                    // The entry is of the parent's socket of this number.
                    return Ok(Connect::NoRecord);
                }
                continue;
            }
            // Before any wait: a cancelled thread must not keep it.
            self.put(held);
            return match begun {
                Ok(sent) => Ok(sent.map_or(Connect::Done, Connect::Sent)),
                Err(Fault::Errno(errno)) => Err(errno),
                Err(Fault::OtherFamily | Fault::OtherSocket) => Ok(Connect::NotAsClaimed),
            };
        }
        Err(Errno(libc::EBADF))
    }

    /// Sends the connect off, or joins one; `None` where an earlier one has succeeded, and this call tells of it.
    fn begin(
        &self,
        record: &Record,
        fd: i32,
        attempt: &Attempt<'_>,
    ) -> Result<Option<Sent>, Fault> {
        for _ in 0..ROUNDS {
            let progress = record.progress();
            if progress == Progress::Unconnected {
                match self.send_off(record, fd, attempt)? {
                    Some(sent) => return Ok(Some(sent)),
                    None => continue,
                }
            }
            compare(fd, record.id())?;
            match progress {
                Progress::Unconnected => {}
                Progress::Connected if record.take_success() => return Ok(None),
                Progress::Connected => return Err(Errno(libc::EISCONN).into()),
                Progress::Failed(_) => {
                    if let Some(errno) = record.take_error() {
                        disconnect(fd, record.id());
                        return Err(errno.into());
                    }
                }
                Progress::Busy | Progress::Waiting(_) => {
                    let progress = self.drive_record(record, fd);
                    if progress.is_pending() {
                        return Ok(Some(self.join(record, fd, progress)?));
                    }
                }
            }
        }
        Err(Errno(libc::EALREADY).into())
    }

    /// Ends the handshake of a socket, and its epoll entries, if its last descriptor is closed: while the
    /// connect was sent off, or under a record that has come in another one's place.
    ///
    /// A close takes the entry out of the registry, and then looks whether the record has a slot. A
    /// connect gives the record its slot, and then looks for the entry here. If the slot comes first,
    /// the close tells the record; if the entry goes first, this does.
    pub(super) fn end_if_closed(&self, fd: i32, record: &Record) {
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
        let id = record.id();
        let mut sent =
            Sent { fd, id, slot, progress, is_own: false, kept: None, waits, waiter: None };
        if waits {
            let thread = sys::gettid();
            if !sent.slot().is_some_and(|slot| slot.register_waiter(thread)) {
                return Err(sent.underway());
            }
            sent.waiter = Some(WaitingThread { thread, blocked: SignalsBlocked::begin() });
        }
        Ok(sent)
    }

    /// Claims the record, connects the socket to Tor's port and leaves the handshake in flight. No
    /// signal handler and no cancellation comes in between, so that no claim is lost, and none before the
    /// wait. `None` if another call was quicker.
    #[inline(never)]
    fn send_off(
        &self,
        record: &Record,
        fd: i32,
        attempt: &Attempt<'_>,
    ) -> Result<Option<Sent>, Fault> {
        let dial = |error| ConnectError::Dial(attempt.tor, error);
        let own = self.own_socket(fd, record).map_err(|unverified| match unverified {
            Unverified::Unknown(Errno(libc::EMFILE)) => {
                self.tell(ConnectError::NoDescriptor).into()
            }
            Unverified::Unknown(Errno(libc::ENOMEM)) => self.tell(ConnectError::NoMemory).into(),
            unverified => Fault::from(unverified),
        })?;
        let prepared = (|| {
            let flags = own.verified().status_flags().map_err(DialError::Connect)?;
            let address = own.verified().target(attempt.domain, attempt.tor);
            Ok((flags, address.map_err(DialError::Refused)?))
        })();
        let (flags, address) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => {
                let is_as_claimed = attempt.is_of_family(own.verified());
                own.close();
                return Err(match is_as_claimed {
                    true => self.tell(dial(error)).into(),
                    false => Fault::OtherFamily,
                });
            }
        };
        let waits = !flags.is_nonblocking() || (attempt.always_waits)();
        let &Attempt { request, credentials, deadline, tells_success, .. } = attempt;
        let plan =
            Plan { request, credentials, tor: address, flags, deadline, waits, tells_success };
        let kept = waits.then_some(own.number());
        let blocked = SignalsBlocked::begin();
        let (slot, look) = match self.start(record, fd, own, &plan, attempt, &blocked) {
            Ok(started) => started,
            Err(why) => {
                blocked.restore();
                return match why {
                    Unstarted::Late => Ok(None),
                    Unstarted::OtherFamily => Err(Fault::OtherFamily),
                    Unstarted::Error(error) => Err(self.tell(error).into()),
                };
            }
        };
        let (id, slot, is_own, progress) = (record.id(), Some(slot), true, look.progress);
        let mut sent = Sent { fd, id, slot, progress, is_own, kept, waits, waiter: None };
        match look.waiter {
            Some(thread) => sent.waiter = Some(WaitingThread { thread, blocked }),
            None => blocked.restore(),
        }
        self.report_of(&mut sent, look);
        Ok(Some(sent))
    }

    /// Claims the record, and connects the socket. Gives the slot and a first look.
    fn start(
        &self,
        record: &Record,
        fd: i32,
        own: OwnSocket,
        plan: &Plan<'_>,
        attempt: &Attempt<'_>,
        blocked: &SignalsBlocked,
    ) -> Result<(SlotId, Look), Unstarted> {
        let Ok(claim) = record.begin_connect() else {
            own.close();
            return Err(Unstarted::Late);
        };
        let (slot, mut locked) = match slot_for(record, blocked) {
            Ok(found) => found,
            Err(error) => {
                own.close();
                record.abandon(claim);
                return Err(Unstarted::Error(error));
            }
        };
        locked.start(fd, own, plan);
        TABLE.note_deadline(plan.deadline);
        let started = locked.with_socket(|socket| {
            let started = socket.start_connect(&plan.tor, plan.flags);
            started.map_err(|errno| attempt.is_of_family(socket).then_some(errno))
        });
        match started.unwrap_or_else(|unverified| Err(Some(unverified.errno()))) {
            Ok(()) => Ok((slot, self.leave_in_flight(record, claim, locked, slot, attempt))),
            Err(why) => {
                let _ = locked.undo_start();
                record.abandon(claim);
                Err(why.map_or(Unstarted::OtherFamily, |errno| {
                    let error = DialError::Connect(errno);
                    Unstarted::Error(ConnectError::Dial(attempt.tor, error))
                }))
            }
        }
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

    /// The answer to a connect past Tor on a socket that an earlier one leads through Tor; `None` if
    /// none does. The kernel would answer success once, as it knows of the connection to Tor's port
    /// alone.
    pub fn occupied(&self, fd: i32) -> Option<Errno> {
        if self.is_connecting(fd) && self.drive(fd).is_pending() {
            return Some(Errno(libc::EALREADY));
        }
        // The identity last: another thread may give it with its connect.
        let look = |record: &Record| (record.progress(), record.take_error(), record.id());
        match self.registry().borrow(fd, look)? {
            (_, Some(errno), id) => {
                disconnect(fd, id);
                Some(errno)
            }
            (Progress::Connected, ..) if self.is_current(fd) => Some(Errno(libc::EISCONN)),
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
fn slot_for(
    record: &Record,
    blocked: &SignalsBlocked,
) -> Result<(SlotId, Locked<'static>), ConnectError> {
    if let Some(found) = TABLE.lock_of(record, blocked).map_err(|_| ConnectError::Contended)? {
        return Ok(found);
    }
    TABLE.allocate(record.id(), blocked).map_err(|errno| match errno {
        Errno(libc::ENOMEM) => ConnectError::NoMemory,
        _ => ConnectError::TooMany,
    })
}
