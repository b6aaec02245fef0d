//! The record of one inet stream socket: what an open file description is, and where it leads.

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::net::SocketAddr;
use core::sync::atomic::{
    AtomicU32, AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed},
};

use crate::pending::ARENA;
use crate::sys::Errno;

/// The kernel's `SO_COOKIE` of a socket: 64 bits that it never gives to another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cookie(pub u64);

/// Where a torified socket leads. Immutable once it is visible (guarantee A).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    /// The address that the program asked for (a cookie address for an onion name): what
    /// `getpeername` answers.
    pub destination: SocketAddr,
}

/// How far a socket is on its way through Tor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// No connect was asked for, or the last one failed.
    Unconnected = 0,
    /// One caller holds the [`Claim`] and starts the handshake.
    Connecting = 1,
    /// The connection is published.
    Connected = 2,
    /// The handshake goes on in the [`Flight`]; nobody holds a claim.
    InFlight = 3,
    /// It has failed, and nobody has asked for the error yet.
    Failed = 4,
}

/// Why a connect can't begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BeginError {
    /// A connect, on this descriptor or a duplicate, is under way: `EALREADY`.
    Already,
    /// The socket is connected: `EISCONN`.
    IsConnected,
    /// The last connect failed with this errno, which [`Record::take_error`] gives.
    Failed(Errno),
}

/// The right to run the one handshake of a record, or to put it into flight. It holds no borrow, so
/// that it may be kept across a blocking call; it has no destructor, so that a cancelled thread
/// unwinds past it.
#[must_use = "a claim must end in publish, launch or abandon"]
#[derive(Debug)]
pub struct Claim(());

/// How a handshake in flight has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The proxy has opened the stream.
    Established,
    /// It failed; the errno is owed to the program once.
    Failed(Errno),
    /// The program gave it up: `connect(AF_UNSPEC)`, `shutdown`.
    Cancelled,
}

/// A record's handshake in flight, as one look at the record has shown it: what a later
/// [`Record::settle`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flight {
    /// The socket.
    pub cookie: Cookie,
    /// Where what it needs lies.
    pub place: u32,
    seen: State,
}

/// Records of this process that are connecting, in flight, or owe an error. While it is 0, no hook
/// has to look at any descriptor.
static BUSY: AtomicU32 = AtomicU32::new(0);

/// How many records of this process are connecting, in flight, or owe the program an error.
/// Async-signal-safe.
#[inline(always)]
pub fn busy() -> u32 {
    // Relaxed: whoever learned of a connect from its caller is ordered after the count by that; for
    // anyone else the call may as well have come first.
    BUSY.load(Relaxed)
}

/// The life of a record in one word, so that each step is one compare-and-swap:
/// phase, the errno of a failure, the number of the attempt, the place of its flight plus 1.
///
/// ```text
///                   begin           launch              settle
///   Unconnected ------------> Connecting ----> InFlight ------> Connected
///     ^  ^  ^                   |   |             |                ^
///     |  |  +------ abandon ----+   +----------------- publish ----+
///     |  +---------- settle (cancelled) ----------+
///     +-- take_error -- Failed <---- settle ------+
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State(u64);

impl State {
    const UNCONNECTED: State = State(0);
    const PHASE: u64 = 0x7;
    const ATTEMPT: u64 = 1 << 3;
    const ATTEMPTS: u64 = 0x1fff << 3;
    const ERRNO: u32 = 16;
    const PLACE: u32 = 32;

    const fn phase(self) -> Phase {
        match self.0 & Self::PHASE {
            0 => Phase::Unconnected,
            1 => Phase::Connecting,
            2 => Phase::Connected,
            3 => Phase::InFlight,
            _ => Phase::Failed,
        }
    }

    const fn errno(self) -> Errno {
        Errno((self.0 >> Self::ERRNO) as u16 as i32)
    }

    const fn place(self) -> Option<u32> {
        ((self.0 >> Self::PLACE) as u32).checked_sub(1)
    }

    /// The same place and attempt in another phase, without an errno.
    const fn to(self, phase: Phase) -> State {
        State(self.0 & !(Self::PHASE | 0xffff << Self::ERRNO) | phase as u64)
    }

    const fn failed(self, errno: Errno) -> State {
        State(self.to(Phase::Failed).0 | (errno.0 as u16 as u64) << Self::ERRNO)
    }

    /// The same without a place.
    const fn nowhere(self) -> State {
        State(self.0 & u32::MAX as u64)
    }

    const fn at(self, place: u32) -> State {
        State(self.nowhere().0 | (place as u64 + 1) << Self::PLACE)
    }

    /// The number wraps; a look that is 8,192 attempts old is not told from a fresh one.
    const fn next_attempt(self) -> State {
        State(self.0 & !Self::ATTEMPTS | self.0.wrapping_add(Self::ATTEMPT) & Self::ATTEMPTS)
    }
}

/// One inet stream socket, however many descriptors name it.
#[derive(Debug)]
pub struct Record {
    cookie: Cookie,
    state: AtomicU64,
    connection: UnsafeCell<MaybeUninit<Connection>>,
}

// SAFETY: `connection` is written only by the holder of the one claim, before the Release of
// `Connected` or `InFlight`, and read only after an Acquire load has seen `Connected`.
unsafe impl Sync for Record {}

impl Record {
    /// A record of the socket that the kernel calls `cookie`, not connected yet.
    pub const fn new(cookie: Cookie) -> Self {
        Record {
            cookie,
            state: AtomicU64::new(State::UNCONNECTED.0),
            connection: UnsafeCell::new(MaybeUninit::uninit()),
        }
    }

    /// Makes a new record in memory that nobody reads but by [`Record::holds_a_place`].
    ///
    /// # Safety
    /// `place` is good for a record, and the caller's.
    #[inline(always)]
    pub(super) unsafe fn renew(place: *mut Record, cookie: Cookie) {
        // SAFETY: the caller's; the state is atomic, and the connection may stay as it is.
        unsafe {
            (&raw mut (*place).cookie).write(cookie);
            // Relaxed: whatever makes the record visible releases it.
            (*place).state.store(State::UNCONNECTED.0, Relaxed);
        }
    }

    /// Whether the record at `place`, in whatever life of its memory, has a place in the arena.
    ///
    /// # Safety
    /// A record was made at `place` before.
    #[inline(always)]
    pub(super) unsafe fn holds_a_place(place: *const Record) -> bool {
        // Relaxed: nothing is read through it; who sets a place later gives it up later.
        // SAFETY: an atomic that was written before.
        State(unsafe { (*place).state.load(Relaxed) }).place().is_some()
    }

    /// The identity of the socket. Async-signal-safe.
    pub fn cookie(&self) -> Cookie {
        self.cookie
    }

    /// How far the socket is. Async-signal-safe.
    pub fn phase(&self) -> Phase {
        self.state().phase()
    }

    /// Takes the right to connect in one atomic step (guarantee G's twin for double connects).
    /// Async-signal-safe.
    pub fn begin_connect(&self) -> Result<Claim, BeginError> {
        // Relaxed: see `busy`. Before the claim, so that nobody meets a claimed record uncounted.
        BUSY.fetch_add(1, Relaxed);
        let begun = self.change(|state| match state.phase() {
            Phase::Unconnected => Ok(state.to(Phase::Connecting).next_attempt()),
            Phase::Connecting | Phase::InFlight => Err(BeginError::Already),
            Phase::Connected => Err(BeginError::IsConnected),
            Phase::Failed => Err(BeginError::Failed(state.errno())),
        });
        if begun.is_err() {
            no_longer_busy();
        }
        begun.map(|_| Claim(()))
    }

    /// Makes `connection` visible, for good. Async-signal-safe.
    pub fn publish(&self, claim: Claim, connection: Connection) {
        let Claim(()) = claim;
        self.write(connection);
        // The holder of the claim is the only one who changes the phase.
        let _ = self.change(|state| Ok::<_, ()>(state.to(Phase::Connected)));
        no_longer_busy();
    }

    /// Puts the handshake into flight at `place`: whoever touches the socket now drives it, and
    /// `connection` becomes visible if it ends well. Async-signal-safe.
    pub fn launch(&self, claim: Claim, connection: Connection, place: u32) {
        let Claim(()) = claim;
        self.write(connection);
        let _ = self.change(|state| Ok::<_, ()>(state.to(Phase::InFlight).at(place)));
    }

    /// Gives the claim back after a failure; the next connect may begin. Async-signal-safe.
    pub fn abandon(&self, claim: Claim) {
        let Claim(()) = claim;
        let _ = self.change(|state| Ok::<_, ()>(state.to(Phase::Unconnected)));
        no_longer_busy();
    }

    /// The handshake that is in flight, if there is one. Async-signal-safe.
    pub fn flight(&self) -> Option<Flight> {
        let seen = self.state();
        let place = seen.place().filter(|_| seen.phase() == Phase::InFlight)?;
        Some(Flight { cookie: self.cookie, place, seen })
    }

    /// Ends the handshake that `flight` saw, unless another caller has, or a later one is in
    /// flight. Async-signal-safe.
    pub fn settle(&self, flight: Flight, outcome: Outcome) {
        let seen = flight.seen;
        let next = match outcome {
            Outcome::Established => seen.to(Phase::Connected),
            Outcome::Failed(errno) => seen.failed(errno),
            Outcome::Cancelled => seen.to(Phase::Unconnected),
        };
        // As in `change`; the one who wins the CAS counts.
        let settled = self.state.compare_exchange(seen.0, next.0, AcqRel, Acquire).is_ok();
        if settled && next.phase() != Phase::Failed {
            no_longer_busy();
        }
    }

    /// The errno of a failed handshake, once; the record is unconnected then. Async-signal-safe.
    pub fn take_error(&self) -> Option<Errno> {
        let taken = self.change(|state| match state.phase() {
            Phase::Failed => Ok(state.to(Phase::Unconnected)),
            _ => Err(()),
        });
        let errno = taken.ok().map(State::errno);
        if errno.is_some() {
            no_longer_busy();
        }
        errno
    }

    /// Where the unconnected socket's epoll registrations are kept, or `None` if it has none or is
    /// past that. Async-signal-safe.
    pub fn place(&self) -> Option<u32> {
        self.state().place()
    }

    /// Remembers where the registrations are kept; says whether the record is still unconnected
    /// and now has this place. Async-signal-safe.
    pub fn set_place(&self, place: u32) -> bool {
        self.change(|state| match state.phase() {
            Phase::Unconnected => Ok(state.at(place)),
            _ => Err(()),
        })
        .is_ok()
    }

    /// Takes out where the registrations are kept, for the record that comes in this one's place.
    /// `None` while a handshake is there. Async-signal-safe.
    pub fn take_place(&self) -> Option<u32> {
        let taken = self.change(|state| match state.phase() {
            Phase::Unconnected | Phase::Connected => Ok(state.nowhere()),
            Phase::Connecting | Phase::InFlight | Phase::Failed => Err(()),
        });
        taken.ok()?.place()
    }

    /// In a forked child, where the thread that had claimed the record is not: the next connect may
    /// begin. Async-signal-safe.
    pub fn forget_claim(&self) {
        let forgotten = self.change(|state| match state.phase() {
            Phase::Connecting => Ok(state.to(Phase::Unconnected)),
            _ => Err(()),
        });
        if forgotten.is_ok() {
            no_longer_busy();
        }
    }

    /// The last descriptor of this process is gone: nobody here will ask for the outcome. The place
    /// is given up once, as another record of the socket may come to have it. Async-signal-safe.
    pub(super) fn forsake(&self) {
        let forsaken = self.change(|state| match state.phase() {
            _ if state.place().is_none() => Err(()),
            Phase::InFlight | Phase::Failed => Ok(state.to(Phase::Unconnected).nowhere()),
            _ => Ok(state.nowhere()),
        });
        let Ok(before) = forsaken else { return };
        if matches!(before.phase(), Phase::InFlight | Phase::Failed) {
            no_longer_busy();
        }
        if let Some(place) = before.place() {
            ARENA.forsake(place, self.cookie.0);
        }
    }

    /// The connection, if one was published. Async-signal-safe.
    pub fn connection(&self) -> Option<&Connection> {
        // SAFETY: Connected was seen with Acquire, so the Connection is written and immutable.
        (self.phase() == Phase::Connected)
            .then(|| unsafe { (*self.connection.get()).assume_init_ref() })
    }

    fn state(&self) -> State {
        // Acquire pairs with the AcqRel in `change` and `settle`.
        State(self.state.load(Acquire))
    }

    /// Replaces the state; gives the one before. AcqRel: Release shows what was written before
    /// (`connection`) to whoever sees the new phase, Acquire sees the end of the attempt before.
    fn change<E>(&self, next: impl Fn(State) -> Result<State, E>) -> Result<State, E> {
        let mut state = self.state();
        loop {
            let changed = next(state)?;
            match self.state.compare_exchange_weak(state.0, changed.0, AcqRel, Acquire) {
                Ok(_) => return Ok(state),
                Err(other) => state = State(other),
            }
        }
    }

    fn write(&self, connection: Connection) {
        // SAFETY: the caller has the one claim, and no reader looks before Connected.
        unsafe { (*self.connection.get()).write(connection) };
    }
}

fn no_longer_busy() {
    // Relaxed: see `busy`.
    BUSY.fetch_sub(1, Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONNECTION: Connection = Connection {
        destination: SocketAddr::new(core::net::IpAddr::V4(core::net::Ipv4Addr::LOCALHOST), 1),
    };

    fn in_flight() -> (Record, Flight) {
        let record = Record::new(Cookie(7));
        let claim = record.begin_connect().unwrap();
        record.launch(claim, CONNECTION, 3);
        let flight = record.flight().unwrap();
        (record, flight)
    }

    #[test]
    fn a_connection_in_flight_is_not_visible_before_it_is_established() {
        let (record, flight) = in_flight();
        assert_eq!((flight.place, record.connection()), (3, None));
        assert_eq!(record.begin_connect().err(), Some(BeginError::Already));
        record.settle(flight, Outcome::Established);
        assert_eq!(record.connection(), Some(&CONNECTION));
        assert_eq!(record.begin_connect().err(), Some(BeginError::IsConnected));
    }

    #[test]
    fn a_failure_is_told_once_and_then_the_next_connect_may_begin() {
        let (record, flight) = in_flight();
        record.settle(flight, Outcome::Failed(Errno(libc::ECONNREFUSED)));
        let failed = BeginError::Failed(Errno(libc::ECONNREFUSED));
        assert_eq!(record.begin_connect().err(), Some(failed));
        assert_eq!(record.take_error(), Some(Errno(libc::ECONNREFUSED)));
        assert_eq!(record.take_error(), None);
        assert!(record.begin_connect().is_ok());
    }

    #[test]
    fn a_late_settle_does_not_touch_the_next_attempt() {
        let (record, flight) = in_flight();
        record.settle(flight, Outcome::Cancelled);
        let claim = record.begin_connect().unwrap();
        record.launch(claim, CONNECTION, 3);
        record.settle(flight, Outcome::Established);
        assert_eq!(record.phase(), Phase::InFlight);
    }

    #[test]
    fn a_place_is_kept_from_the_registration_to_the_flight() {
        let record = Record::new(Cookie(7));
        assert!(record.set_place(0));
        let claim = record.begin_connect().unwrap();
        assert_eq!(record.place(), Some(0));
        assert!(!record.set_place(1));
        record.abandon(claim);
        assert_eq!((record.phase(), record.place()), (Phase::Unconnected, Some(0)));
    }

    #[test]
    fn a_claim_of_a_thread_that_is_not_there_is_forgotten() {
        let record = Record::new(Cookie(1));
        record.forget_claim();
        let _ = record.begin_connect().expect("unconnected");
        assert_eq!(record.begin_connect().err(), Some(BeginError::Already));
        record.forget_claim();
        let claim = record.begin_connect().expect("unconnected again");
        record.launch(claim, CONNECTION, 3);
        record.forget_claim();
        assert_eq!(record.phase(), Phase::InFlight);
        record.forsake();
    }

    #[test]
    fn a_place_is_taken_out_but_not_from_under_a_handshake() {
        let record = Record::new(Cookie(1));
        assert_eq!(record.take_place(), None);
        assert!(record.set_place(7));
        assert_eq!((record.take_place(), record.place()), (Some(7), None));
        let claim = record.begin_connect().expect("unconnected");
        record.launch(claim, CONNECTION, 3);
        assert_eq!(record.take_place(), None);
        record.forsake();
    }
}
