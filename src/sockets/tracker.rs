//! From a descriptor to its record.

use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, AtomicI32, Ordering::Relaxed};
use core::time::Duration;

use super::copies::Copies;
use super::handshake::{Interest, Look, Owner, Slot, TABLE, Token};
use super::progress::until;
use super::verified::compare;
use super::{
    ConnectError, Connection, Event, InFlight, OwnSocket, Progress, Record, SlotId, SocketId,
    UNASKED, Unverified, in_flight_count,
};
use crate::registry::atomics::const_new;
use crate::registry::{InsertError, Registry};
use crate::sys::net::{self, Answer};
use crate::sys::{self, Errno, SignalsBlocked};

/// The sockets of this process: a registry of their records, and what the log is told by.
pub struct Sockets<R, L> {
    registry: R,
    log: L,
    /// No descriptor above this was ever given an entry. It only bounds scans. A thread that closes
    /// a descriptor got its number after the insert raised this mark: Relaxed suffices. A vfork
    /// child that makes no entry may raise it in its parent, whose scans are longer then.
    highest: AtomicI32,
    /// Set once a record has come in the place of another one. The registry keeps such a record while it
    /// keeps the earlier one, and does not tell it of the close of its last descriptor before. Relaxed: a
    /// thread that closes a descriptor after another thread's `connect` has learned of that from it.
    pub(super) has_dissolved: AtomicBool,
    /// Set once a socket may have a time limit of its own, `SO_SNDTIMEO`. Relaxed: a thread that connects a
    /// socket after another thread has set its limit has learned of that from it.
    may_have_time_limit: AtomicBool,
    pub(super) copies: Copies,
}

/// Number of times that a descriptor may change hands under a lookup before the call gives up.
const ATTEMPTS: u32 = 8;
/// Interval of looks at handshakes that are shared with another process.
const SHARED_SLEEP: Duration = Duration::from_millis(250);

/// A counted reference to a record without a destructor, so that it may be held across a blocking
/// call and be leaked by a cancelled thread. It ends in [`Sockets::put`].
#[must_use]
pub struct Held(NonNull<Record>);

impl Held {
    /// The record.
    pub fn record(&self) -> &Record {
        // SAFETY: the reference is counted until `put`.
        unsafe { self.0.as_ref() }
    }
}

/// Decision whether the registry keeps entries for this process.
#[derive(PartialEq, Eq)]
enum Kept {
    Yes,
    No,
}

impl<R, L> Sockets<R, L> {
    const_new! {
        /// No sockets yet; `log` is told of events.
        pub fn new(registry: R, log: L) -> Self {
            Sockets {
                registry,
                log,
                highest: AtomicI32::new(-1),
                has_dissolved: AtomicBool::new(false),
                may_have_time_limit: AtomicBool::new(false),
                copies: Copies::new(),
            }
        }
    }

    /// The registry of the records.
    pub const fn registry(&self) -> &R {
        &self.registry
    }

    /// Tells whether any descriptor was ever given an entry, by one load.
    pub fn is_used(&self) -> bool {
        self.highest.load(Relaxed) >= 0
    }

    /// Notes that a socket may have a time limit.
    pub fn note_time_limit(&self) {
        self.may_have_time_limit.store(true, Relaxed);
    }

    /// Tells whether a socket may have a time limit: the program has set one, or has a socket that was made
    /// elsewhere.
    pub fn may_have_time_limit(&self) -> bool {
        self.may_have_time_limit.load(Relaxed)
    }

    fn note(&self, fd: i32) {
        // A plain load first: nearly always enough.
        if self.highest.load(Relaxed) < fd {
            self.highest.fetch_max(fd, Relaxed);
        }
    }
}

impl<R: Registry<Payload = Record>, L: Fn(Event<'_>) + Sync> Sockets<R, L> {
    pub(super) fn log(&self, event: Event<'_>) {
        (self.log)(event);
    }

    /// The descriptors from `first` to `last`, as close_range(2) counts them, that have entries.
    pub(super) fn entries_in(&self, first: u32, last: u32) -> impl Iterator<Item = i32> {
        let highest = i64::from(self.highest.load(Relaxed));
        (i64::from(first)..=i64::from(last).min(highest))
            .map(|fd| fd as i32)
            .filter(|fd| self.registry.contains(*fd))
    }

    /// Every descriptor that has an entry, and a bound above them all.
    pub fn entries(&self) -> (usize, impl Iterator<Item = i32>) {
        let bound = self.highest.load(Relaxed).saturating_add(1) as usize;
        (bound, self.entries_in(0, u32::MAX))
    }

    /// Tells whether a descriptor from `first` to `last` has an entry.
    pub fn any_in(&self, first: u32, last: u32) -> bool {
        self.entries_in(first, last).next().is_some()
    }

    /// Makes `target` name what `source` names; see [`Registry::duplicate`].
    pub(super) fn duplicate(&self, source: i32, target: i32) -> Result<bool, InsertError> {
        self.note(target);
        self.registry.duplicate(source, target)
    }

    /// The record that `fd` names; ends in [`Sockets::put`].
    pub fn hold(&self, fd: i32) -> Option<Held> {
        self.registry.acquire(fd).map(Held)
    }

    /// Gives the reference back.
    pub fn put(&self, held: Held) {
        // SAFETY: `held` came from `acquire` in `hold`, and is given up once.
        unsafe { self.registry.release(held.0) };
    }

    /// Compares the entry of `fd` with the kernel's `SO_COOKIE`, and mends it. A descriptor may be
    /// closed in a handler or another thread before it gets its entry, or by a raw system call that
    /// no hook sees. `held` is the record that `fd` may name instead: a call has just made `fd` of a
    /// descriptor that named it. What the kernel does not say is left as it is.
    pub fn correct(&self, fd: i32, held: Option<&Held>) {
        // A change is compared again, as the descriptor may have been closed before it.
        for _ in 0..ATTEMPTS {
            let entry = self.hold(fd);
            let named = entry.as_ref().map(|entry| self.identity(fd, entry.record()));
            let kernel = match net::cookie(fd).into() {
                Answer::Is(cookie) => Ok(Some(SocketId(cookie))),
                Answer::NotASocket(_) => Ok(None),
                Answer::Unknown(errno) => Err(errno),
            };
            let differs = kernel.is_ok_and(|kernel| kernel != named);
            match entry {
                Some(entry) if differs => self.forget_entry(fd, entry),
                Some(entry) => self.put(entry),
                None => {}
            }
            let Ok(kernel) = kernel else { return };
            if !differs {
                return;
            }
            // Otherwise nothing is open there, or another socket, whose own call tracks it.
            let ours = held.filter(|held| Some(held.record().id()) == kernel);
            if ours.is_some_and(|held| !self.renew(fd, held.record()))
                || ours.is_none() && named.is_none()
            {
                return;
            }
        }
    }

    /// Gives `fd` a record like `record`, if the registry keeps entries for this process.
    fn renew(&self, fd: i32, record: &Record) -> bool {
        if self.insert(fd, record.id()) != Ok(Kept::Yes) {
            return false;
        }
        if let (Some(connection), Some(fresh)) = (record.connection(), self.hold(fd)) {
            // Another thread may have closed `fd` and opened another socket there.
            if fresh.record().id() == record.id() {
                fresh.record().publish_now(*connection);
            }
            self.put(fresh);
        }
        true
    }

    /// Makes `fd`, a socket that another program has connected through Tor, name a record that says
    /// where it leads.
    pub fn connected(&self, fd: i32, connection: Connection) {
        let Ok(Some(held)) = self.tracked(fd) else { return };
        held.record().publish_now(connection);
        self.put(held);
    }

    /// Makes `fd`, a TCP socket that the kernel just gave, name a fresh record. An entry that is there
    /// belongs to a descriptor that was closed behind the hooks, and goes. A vfork child, whose
    /// descriptors are not those of the registry, keeps none.
    pub fn track(&self, fd: i32) -> Result<(), Errno> {
        self.insert(fd, SocketId(net::cookie(fd)?)).map(drop)
    }

    /// As [`Sockets::track`], but the kernel is asked for the identity of the socket when a call needs it, which
    /// of many never does. Until then the entry is believed while no hook sees `fd` closed.
    pub fn track_unasked(&self, fd: i32) -> Result<(), Errno> {
        self.insert(fd, UNASKED).map(drop)
    }

    /// The record of the socket `fd`. It is made now if this is the first sight of an inherited or
    /// passed socket; what would lead that past Tor's port is taken off. An entry of another socket,
    /// which was closed behind the hooks, is dropped first: its `SO_COOKIE` differs. `None` in a vfork
    /// child that has no record.
    pub fn tracked(&self, fd: i32) -> Result<Option<Held>, Errno> {
        for _ in 0..ATTEMPTS {
            // The entry before the question: if the kernel names another socket then, the entry is out of date,
            // and not that of another thread which has the number by now.
            let entry = self.hold(fd);
            let id = match net::cookie(fd) {
                Ok(cookie) => SocketId(cookie),
                Err(errno) => {
                    entry.into_iter().for_each(|entry| self.put(entry));
                    return Err(errno);
                }
            };
            match entry {
                Some(held) if self.identity(fd, held.record()) == id => return Ok(Some(held)),
                Some(other) => self.forget_entry(fd, other),
                None => {}
            }
            // Made elsewhere.
            self.note_time_limit();
            take_off_routes(fd).map_err(|errno| match errno {
                // Closed in another thread or a handler.
                Errno(libc::EBADF | libc::ENOTSOCK) => errno,
                _ => self.tell(ConnectError::Routed),
            })?;
            if self.insert_if_vacant(fd, id)? == Some(Kept::No) {
                return Ok(None);
            }
        }
        Err(Errno(libc::EBADF))
    }

    /// Gives `fd` an entry of the socket `id`, which it named a moment ago. The entry of a socket that it names
    /// now stays: another thread has the number by then.
    fn insert(&self, fd: i32, id: SocketId) -> Result<Kept, Errno> {
        for _ in 0..ATTEMPTS {
            if let Some(kept) = self.insert_if_vacant(fd, id)? {
                return Ok(kept);
            }
            let Some(other) = self.hold(fd) else { continue };
            if self.names(fd, other.record()).is_ok() {
                self.put(other);
                return Ok(Kept::Yes);
            }
            self.forget_entry(fd, other);
        }
        Err(Errno(libc::EBADF))
    }

    /// `None` if `fd` has an entry.
    fn insert_if_vacant(&self, fd: i32, id: SocketId) -> Result<Option<Kept>, Errno> {
        self.note(fd);
        match self.registry.insert(fd, id) {
            Ok(()) => Ok(Some(Kept::Yes)),
            Err(InsertError::Foreign) => Ok(Some(Kept::No)),
            Err(InsertError::Occupied) => Ok(None),
            Err(InsertError::OutOfRange) => Err(Errno(libc::EMFILE)),
            Err(InsertError::Exhausted) => Err(Errno(libc::ENOBUFS)),
        }
    }

    /// Tells whether `fd` has a handshake in flight or owes an error, without driving it.
    pub fn is_connecting(&self, fd: i32) -> bool {
        let progress = self.registry.borrow(fd, Record::progress);
        matches!(progress, Some(Progress::Busy | Progress::Failed(_)))
    }

    /// Drives the handshake of `fd` as far as it goes without waiting, and says where it stands.
    pub fn drive(&self, fd: i32) -> Progress {
        match self.registry.borrow(fd, Record::progress) {
            Some(Progress::Busy | Progress::Failed(_)) => {}
            Some(progress) => return progress,
            None => return Progress::Unconnected,
        }
        let Some(held) = self.hold(fd) else { return Progress::Unconnected };
        let progress = match compare(fd, held.record().id()) {
            // Where the kernel does not say, the driver compares by other means before it acts.
            Ok(()) | Err(Unverified::Unknown(_)) => self.drive_record(held.record(), fd),
            Err(Unverified::Other) => {
                // Closed behind the hooks, and another file by now.
                self.correct(fd, None);
                Progress::Unconnected
            }
        };
        self.put(held);
        progress
    }

    pub(super) fn drive_record(&self, record: &Record, fd: i32) -> Progress {
        let Some(attempt) = record.in_flight() else { return record.progress() };
        self.report(sys::without_signals(|blocked| look(record, attempt, fd, blocked)))
    }

    /// Tells the log of what a look has ended.
    pub(super) fn report(&self, look: Look) -> Progress {
        if let Some(report) = &look.report {
            self.log(Event::Ended(report));
        }
        look.progress
    }

    /// State of the handshake of `fd`, for a wait. One that waits as it did is not driven: the
    /// kernel tells when what it waits for has come. `now` is in nanoseconds since boot.
    pub fn progress(&self, fd: i32, now: u64) -> Progress {
        let attempt = self.registry.borrow(fd, Record::in_flight).flatten();
        let waiting = attempt.and_then(|InFlight { id, slot, .. }| {
            let wait = TABLE.find(slot, id)?.waiting_for()?;
            (wait.deadline > now && compare(fd, id) != Err(Unverified::Other)).then_some(wait)
        });
        waiting.map_or_else(|| self.drive(fd), Progress::Waiting)
    }

    /// The errno that the failed handshake of `fd` owes, once. The kernel's own error of the socket,
    /// which told callers without hooks, goes with it.
    pub fn take_error(&self, fd: i32) -> Option<Errno> {
        let owed = |record: &Record| Some((record.take_error()?, record.id()));
        let (errno, id) = self.registry.borrow(fd, owed).flatten()?;
        if let Ok(own) = OwnSocket::of(fd, id) {
            own.verified().clear_error();
            own.close();
        }
        Some(errno)
    }

    /// Ends the handshake of `fd`, if there is one, because the program lets go of the peer: the
    /// socket is disconnected.
    pub fn cancel(&self, fd: i32) {
        let Some(held) = self.hold(fd) else { return };
        if let Some(InFlight { id, slot, .. }) = held.record().in_flight()
            && let Some(found) = TABLE.find(slot, id)
        {
            found.cancel(id);
            self.drive_record(held.record(), fd);
        }
        self.put(held);
    }

    /// Forgets the connection of `fd`, whose peer the program has let go of, on every descriptor of
    /// the socket. Errors: `ENOBUFS`; then no descriptor has an entry any more.
    pub fn dissolve(&self, fd: i32) -> Result<(), Errno> {
        // Nothing leads elsewhere that was not connected, and its epoll entries stay as they are.
        if self.registry.borrow(fd, Record::progress) == Some(Progress::Unconnected) {
            return Ok(());
        }
        self.has_dissolved.store(true, Relaxed);
        let slot = self.registry.borrow(fd, Record::take_slot).flatten();
        if self.registry.supersede(fd) == Err(InsertError::Exhausted) {
            return Err(Errno(libc::ENOBUFS));
        }
        if let Some(slot) = slot {
            // The socket stays registered in its epoll sets.
            self.registry.borrow(fd, |record| record.set_slot(slot).is_ok());
        }
        Ok(())
    }

    /// Longest time that a wait for epoll events may last before [`Sockets::drive_overdue`] is due,
    /// if anything is in flight. `now` is in nanoseconds since boot.
    pub fn longest_epoll_sleep(&self, now: impl FnOnce() -> u64) -> Option<Duration> {
        if in_flight_count() == 0 {
            return None;
        }
        let next = TABLE.nearest_deadline().map(|deadline| until(deadline, now()));
        let shared = TABLE.is_shared().then_some(SHARED_SLEEP);
        next.into_iter().chain(shared).min()
    }

    /// Drives the handshakes that no thread has touched in time.
    #[cold]
    pub fn drive_overdue(&self) {
        TABLE.each_overdue(|number, slot| self.drive_slot(number, slot));
    }

    /// A token has come out of the set `epoll`: its handshake is driven. A stale token ends here: it
    /// fires once. Returns the event for the program in place of the token where a filter keeps the
    /// kernel from ever telling it: the connect has failed.
    #[cold]
    pub fn token_fired(&self, epoll: i32, token: Token) -> Option<Interest> {
        let slot = TABLE.get(token.slot)?;
        if !slot.has_serial(token.serial) {
            return None;
        }
        slot.token_fired(token.index, epoll);
        self.drive_slot(token.slot, slot);
        if slot.is_stuck(token.index) { last_event(slot, token) } else { None }
    }

    /// Drives a handshake for its own sake. Its record is told if the descriptor by which it was last
    /// used still names it; otherwise it learns of the end at its next look.
    fn drive_slot(&self, number: SlotId, slot: &Slot) {
        let id = slot.id();
        let held = self.hold(slot.last_descriptor());
        let record = held.as_ref().map(Held::record).filter(|record| record.id() == id);
        let owner = record.and_then(|record| {
            let attempt = record.in_flight()?;
            (attempt.slot == number).then_some(Owner { record, attempt })
        });
        self.report(sys::without_signals(|blocked| slot.drive(number, id, owner, None, blocked)));
        if let Some(held) = held {
            self.put(held);
        }
    }

    /// Makes, before a fork, what parent and child share. A failure shows in the child, which gives
    /// the handshake up.
    pub fn before_fork(&self) {
        if in_flight_count() != 0 {
            TABLE.before_fork();
        }
    }

    /// Prepares a filter of the program's own: sockets are connected, and handshakes go on, under it where it forbids
    /// some questions.
    pub fn before_filter(&self) {
        self.identify_all();
        if in_flight_count() != 0 {
            TABLE.before_filter();
        }
    }

    /// Makes the sockets the child's own. Called in the child.
    pub fn after_fork_in_child(&self) {
        self.registry.after_fork_in_child();
        // `copies` stays: a handler that has forked goes back to the call that it interrupted, which ends in the
        // child, too. That of a thread which the child lacks never ends: then closes are counted there.
        // Of threads that the child lacks. The forking thread has no claim where it can fork.
        self.entries().1.for_each(|fd| {
            self.registry.borrow(fd, Record::forget_claim);
        });
        TABLE.after_fork_in_child();
    }
}

/// Drives the handshake of `attempt`, which a look at `record` has shown; `fd` is a descriptor of the socket.
pub(super) fn look(record: &Record, attempt: InFlight, fd: i32, blocked: &SignalsBlocked) -> Look {
    let owner = Owner { record, attempt };
    let InFlight { id, slot, .. } = attempt;
    match TABLE.find(slot, id) {
        Some(found) => found.drive(slot, id, Some(owner), Some(fd), blocked),
        None => Look::lost(owner),
    }
}

/// The event of an entry that the kernel will tell nothing of: an error, and what the program waits for.
#[inline(never)]
fn last_event(slot: &Slot, token: Token) -> Option<Interest> {
    const TOLD: u32 = (libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP) as u32;
    sys::without_signals(|blocked| {
        let mut locked = slot.lock_of(token.slot, slot.id(), blocked)?;
        let entry = locked.entries_mut().get_mut(token.index as usize);
        let requested = entry.map(|entry| entry.requested());
        locked.unlock();
        let Interest { events, data } = requested?;
        let failed = (libc::EPOLLERR | libc::EPOLLHUP) as u32;
        Some(Interest { events: events & TOLD | failed, data })
    })
}

/// Takes off a TCP socket what would lead its packets past Tor's port.
fn take_off_routes(fd: i32) -> Result<(), Errno> {
    let domain = net::socket_number(fd, libc::SO_DOMAIN)?;
    net::take_off_routes(fd, domain)
}
