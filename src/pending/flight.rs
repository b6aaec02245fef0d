//! One handshake in flight: plain data in memory that forked children share.

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::sync::atomic::{
    AtomicI32, AtomicU32, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};

use super::recall::{Demand, Recall};
use super::registration::{REGISTRATIONS, Registration};
use super::stage::{Stage, State};
use super::{Baton, Take, Token};
use crate::policy::address::encode;
use crate::registry::Outcome;
use crate::socks5::{Handshake, Request};
use crate::sys::{self, Errno, net, time};
use crate::tor::{Advance, DriveError, advance};

/// What the driver works with; belongs to the baton's holder.
pub struct Script {
    /// The handshake's state.
    pub handshake: Handshake,
    /// What was asked for, to report it.
    pub request: Request,
    /// The address at which the socket reaches Tor.
    pub tor: SocketAddr,
    /// Where the program wants to go, as it has said it.
    pub destination: SocketAddr,
}

/// A registration of a socket, or a vacant place for one.
pub struct Found<'p> {
    /// Itself.
    pub registration: &'p Registration,
    /// Its index, for the token.
    pub index: u32,
    /// Whether it was there before.
    pub is_known: bool,
}

/// How a handshake ended, for the log.
pub struct Report {
    /// What was asked for.
    pub request: Request,
    /// Why it failed, if it did.
    pub error: Option<DriveError>,
}

/// What a look at a handshake has shown.
#[expect(clippy::large_enum_variant, reason = "there is no allocator to box the report with")]
pub enum Ran {
    /// Another caller drives it, and will see what there is to see.
    Busy,
    /// It waits for one of these events, `POLLIN` or `POLLOUT`, at most until `deadline`
    /// (nanoseconds since boot).
    Waits {
        /// `POLLIN` or `POLLOUT`.
        events: i16,
        /// Nanoseconds since boot.
        deadline: u64,
    },
    /// It has ended; `report` is for the one who ended it.
    Landed {
        /// How.
        outcome: Outcome,
        /// For the log, once.
        report: Option<Report>,
    },
    /// The place is another socket's by now.
    Gone,
}

/// One place of the arena. Zeroed memory is a free one.
///
/// | field | who writes it |
/// | --- | --- |
/// | `state`, `cookie`, `interest`, `script`, `process`, `fd`, `deadline`, `forks` | the baton's holder |
/// | `recall` | anyone, before taking the baton |
/// | `is_passed` | anyone, before the descriptor is sent |
/// | `attendant` | the thread itself |
/// | `registrations` | see [`Registration`] |
#[repr(C)]
pub struct Pending {
    baton: Baton,
    interest: AtomicU32,
    state: State,
    cookie: AtomicU64,
    deadline: AtomicU64,
    /// A descriptor of the socket and the process that it is of, for the time when nobody touches it.
    process: AtomicI32,
    fd: AtomicI32,
    recall: Recall,
    /// How many forks were over when the socket was launched, see [`Pending::is_private`].
    forks: AtomicU32,
    /// Whether a descriptor of it was sent to somebody.
    is_passed: AtomicU32,
    /// The thread whose connect waits for the end, 0 for none; it may be gone.
    attendant: AtomicI32,
    script: UnsafeCell<MaybeUninit<Script>>,
    /// The sets that the socket is registered in.
    pub registrations: [Registration; REGISTRATIONS],
}

// SAFETY: everything but `script` is atomic, and that belongs to the baton's holder.
unsafe impl Sync for Pending {}

/// How often to try for the baton where a step of another's is waited out.
const PATIENCE: u32 = 1_000;

impl Pending {
    pub(super) fn stage(&self) -> Stage {
        self.state.stage()
    }

    /// The serial number of the socket at this place.
    pub fn serial(&self) -> u32 {
        self.state.serial()
    }

    /// Whether a token with this serial number is of the socket at this place.
    pub fn has_serial(&self, serial: u32) -> bool {
        Token::new(0, self.serial(), 0) == Token::new(0, serial, 0)
    }

    /// Whether the place is that of the socket `cookie`.
    pub fn is_of(&self, cookie: u64) -> bool {
        // Acquire pairs with the Release in `assign`.
        self.cookie.load(Acquire) == cookie
    }

    /// The socket at this place.
    pub fn cookie(&self) -> u64 {
        // As in `is_of`.
        self.cookie.load(Acquire)
    }

    /// Whether a handshake is in flight here.
    pub fn is_aloft(&self) -> bool {
        self.stage() == Stage::Aloft
    }

    /// When the handshake has to be over, in nanoseconds since boot.
    pub fn deadline(&self) -> u64 {
        // Relaxed: a number by itself.
        self.deadline.load(Relaxed)
    }

    /// Whether no other process can have the socket: it was launched here, no fork of the family
    /// has begun since (`forks` have in all), and none of its descriptors was sent away.
    pub(super) fn is_private(&self, forks: u32) -> bool {
        // Relaxed throughout: `forks` was read first, and what is of the place came with its stage.
        self.forks.load(Relaxed) == forks
            && self.is_passed.load(Relaxed) == 0
            && self.process.load(Relaxed) == sys::getpid()
    }

    fn belongs_here(&self, forks: u32) {
        // Relaxed throughout: as in `is_private`.
        self.process.store(sys::getpid(), Relaxed);
        self.forks.store(forks, Relaxed);
        self.is_passed.store(0, Relaxed);
    }

    /// A descriptor of the socket is about to be sent to somebody, who may have it when the last
    /// one of this process is closed.
    pub fn pass(&self) {
        // Relaxed: the same thread closes its descriptor later, or is told of the sending.
        self.is_passed.store(1, Relaxed);
    }

    /// A descriptor of the socket in `process`, as far as one is known.
    pub fn descriptor_in(&self, process: i32) -> Option<i32> {
        // Relaxed: the cookie tells whether it is one.
        let home = self.process.load(Relaxed);
        let first =
            (home == process || home != 0 && !sys::exists(home)).then(|| self.fd.load(Relaxed));
        let others = self.registrations.iter().filter_map(|r| r.descriptor_in(process));
        first.into_iter().chain(others).find(|fd| net::cookie(*fd) == Ok(self.cookie()))
    }

    /// The baton of this place.
    pub(super) fn baton(&self) -> &Baton {
        &self.baton
    }

    /// Gives the place, whose baton the caller holds, to the socket `cookie` of this process.
    pub(super) fn assign(&self, cookie: u64, forks: u32) {
        self.registrations.iter().for_each(Registration::vacate);
        self.belongs_here(forks);
        // Release pairs with the Acquire in `is_of`.
        self.cookie.store(cookie, Release);
        self.state.take_over();
    }

    /// Takes the baton for the thread `me` to launch the socket `cookie` from here; `false` if
    /// somebody else has it or the place is another socket's.
    pub fn take_to_launch(&self, place: u32, cookie: u64, me: i32) -> bool {
        if !self.baton.take_if_free(me) {
            return false;
        }
        let ours = self.is_of(cookie) && !self.is_aloft();
        if !ours {
            self.let_go(place, me);
        }
        ours
    }

    /// Puts a handshake into flight on the socket `fd`: from here on the socket's registrations
    /// carry tokens. The caller has the baton and goes on to connect the socket, then to
    /// [`Pending::look_until_quiet`] or [`Pending::scrub`].
    /// `forks` is [`super::Arena::forks_over`], read before.
    pub fn launch(
        &self,
        place: u32,
        fd: i32,
        forks: u32,
        script: impl FnOnce() -> Script,
        deadline: u64,
    ) {
        self.write(script);
        // Relaxed throughout: the Release in `State::set` publishes them.
        self.belongs_here(forks);
        self.fd.store(fd, Relaxed);
        self.deadline.store(deadline, Relaxed);
        self.interest.store(libc::POLLOUT as u32, Relaxed);
        self.recall.forget();
        self.attendant.store(0, Relaxed);
        self.state.set(Stage::Aloft);
        self.align(place);
    }

    /// In a frame of its own: a script is large, and some stacks are small.
    #[inline(never)]
    fn write(&self, script: impl FnOnce() -> Script) {
        // SAFETY: the caller has the baton.
        unsafe { (*self.script.get()).write(script()) };
    }

    /// Takes a launch back: the socket could not be connected. The caller, the thread `me`, has the
    /// baton, which this gives back.
    pub fn scrub(&self, place: u32, me: i32) {
        self.state.set(Stage::Idle);
        self.align(place);
        self.let_go(place, me);
    }

    /// Looks at the handshake of the socket `cookie` by its descriptor `fd`, goes as far as it goes
    /// without waiting, and aligns the registrations.
    pub fn run(&self, place: u32, cookie: u64, fd: i32) -> Ran {
        sys::without_signals(|| {
            let me = sys::gettid();
            match self.baton.take(me) {
                Take::Taken => {}
                // Killed in the middle of a step, which may be half done.
                Take::Left(holder) if !sys::exists(holder) && self.baton.inherit(holder, me) => {
                    // Told to whoever still has the socket.
                    self.recall(self.cookie(), Demand::Abort);
                }
                Take::Left(_) => return Ran::Busy,
            }
            if !self.is_of(cookie) {
                self.let_go(place, me);
                return Ran::Gone;
            }
            self.look_until_quiet(place, fd, me)
        })
    }

    /// Where the socket `cookie`, of which `fd` is a descriptor, wants to go, and what a look at its
    /// handshake has shown; `None` if the place is another's, or others are at it all the time.
    pub fn destination(&self, place: u32, cookie: u64, fd: i32) -> Option<(SocketAddr, Ran)> {
        sys::without_signals(|| {
            let me = sys::gettid();
            let takes = || self.baton.take_if_free(me);
            if !(0..PATIENCE).any(|_| {
                takes() || {
                    sys::yield_now();
                    false
                }
            }) {
                return None;
            }
            if !self.is_of(cookie) || matches!(self.stage(), Stage::Free | Stage::Idle) {
                self.let_go(place, me);
                return None;
            }
            // SAFETY: written by `launch` before the stage, and the caller has the baton.
            let destination = unsafe { (*self.script.get()).assume_init_ref() }.destination;
            Some((destination, self.look_until_quiet(place, fd, me)))
        })
    }

    /// As [`Pending::run`], for the thread `me`, which has the baton and has blocked signals.
    pub fn look_until_quiet(&self, place: u32, fd: i32, me: i32) -> Ran {
        let mut report = None;
        loop {
            if self.is_aloft() {
                report = self.look(fd);
            }
            self.align(place);
            // Before the baton goes: then another caller may change it.
            let stage = self.stage();
            let (events, deadline) = (self.interest() as i16, self.deadline());
            if self.baton.give_back(me) {
                return match stage {
                    Stage::Aloft => Ran::Waits { events, deadline },
                    Stage::Landed(outcome) => Ran::Landed { outcome, report },
                    Stage::Free | Stage::Idle => Ran::Gone,
                };
            }
        }
    }

    /// What the handshake in flight waits for, `POLLIN` or `POLLOUT`, and until when (nanoseconds
    /// since boot); `None` if somebody is at it, or it asks for a look.
    pub fn rests(&self) -> Option<(i16, u64)> {
        let rests = self.is_aloft() && !self.baton.is_held();
        rests.then(|| (self.interest() as i16, self.deadline()))
    }

    /// Gives the handshake up: its driver ends it at the next look, which the caller provides for
    /// by [`Pending::run`]. The caller disconnects the socket.
    pub fn cancel(&self, cookie: u64) {
        self.recall(cookie, Demand::Cancel);
    }

    /// Demands the end of the socket `cookie`, which may have lost the place meanwhile.
    fn recall(&self, cookie: u64, demand: Demand) {
        let serial = self.serial();
        // After the serial number, which a newer socket gets after its cookie.
        if self.is_of(cookie) {
            // The baton's news make the driver look.
            self.recall.demand(serial, demand);
        }
    }

    /// Makes the thread `me` the one whose connect waits for the end, unless another does.
    pub fn attend(&self, me: i32) -> bool {
        // Relaxed throughout: who waits decides nothing but the errno of those who don't.
        let seen = self.attendant.load(Relaxed);
        let is_free = seen == 0 || seen == me || !sys::exists(seen);
        is_free && self.attendant.compare_exchange(seen, me, Relaxed, Relaxed).is_ok()
    }

    /// The calling thread waits no longer.
    pub fn leave(&self) {
        // Relaxed: as in `attend`.
        let _ = self.attendant.compare_exchange(sys::gettid(), 0, Relaxed, Relaxed);
    }

    /// One look of the baton's holder at a handshake in flight.
    fn look(&self, fd: i32) -> Option<Report> {
        // SAFETY: written by `launch` before the stage, and the caller has the baton.
        let script = unsafe { (*self.script.get()).assume_init_mut() };
        match self.recall.demanded(self.serial()) {
            Demand::None => {}
            Demand::Cancel => {
                self.state.set(Stage::Landed(Outcome::Cancelled));
                return None;
            }
            Demand::Abort => {
                kill(fd, script.tor);
                self.state.set(Stage::Landed(Outcome::Failed(Errno(libc::ECONNABORTED))));
                return None;
            }
        }
        let error = match advance(fd, &mut script.handshake) {
            Ok(Advance::Done(_)) => None,
            Ok(Advance::Waits(_)) if time::monotonic_nanoseconds() >= self.deadline() => {
                Some(DriveError::TimedOut)
            }
            Ok(Advance::Waits(events)) => {
                // Relaxed: see `launch`; a reader that comes too early is woken too early.
                self.interest.store(events as u32, Relaxed);
                return None;
            }
            // The descriptor was closed under us; another one may carry on.
            Err(DriveError::Socket(Errno(libc::EBADF | libc::ENOTSOCK))) => return None,
            Err(error) => Some(error),
        };
        let outcome = match &error {
            None => Outcome::Established,
            Some(error) => {
                kill(fd, script.tor);
                Outcome::Failed(error.errno())
            }
        };
        self.state.set(Stage::Landed(outcome));
        Some(Report { request: script.request, error })
    }

    fn interest(&self) -> u32 {
        // Relaxed: see `look`.
        self.interest.load(Relaxed)
    }

    /// Makes the kernel's epoll entries what they have to be at this stage.
    fn align(&self, place: u32) {
        let interest = self.is_aloft().then(|| self.interest());
        for (index, registration) in self.registrations.iter().enumerate() {
            let token = Token::new(place, self.serial(), index as u32);
            registration.align(self.cookie(), token, interest);
        }
    }

    /// The last descriptor of the socket `cookie` is gone, and so is the socket.
    pub(super) fn forsake(&self, place: u32, cookie: u64) {
        if matches!(self.stage(), Stage::Landed(_)) {
            // Nobody has a descriptor to launch it again.
            return;
        }
        self.recall(cookie, Demand::Abort);
        sys::without_signals(|| {
            let me = sys::gettid();
            if self.baton.take(me) != Take::Taken {
                // Its holder looks again.
                return;
            }
            if self.is_of(cookie) && self.stage() == Stage::Idle {
                self.state.set(Stage::Free);
            }
            // No descriptor: the socket is closed.
            let fd = if self.is_of(cookie) { -1 } else { return self.let_go(place, me) };
            let _ = self.look_until_quiet(place, fd, me);
        });
    }

    /// A registration of `fd` in the set `epoll`, both of this process; a vacant one, claimed, if
    /// there is none. `None` if all are in use.
    pub fn registration(&self, epoll: i32, fd: i32) -> Option<Found<'_>> {
        let process = sys::getpid();
        let known =
            self.registrations.iter().enumerate().find(|(_, r)| r.matches(process, epoll, fd));
        let found = known.map(|found| (found, true)).or_else(|| {
            self.registrations
                .iter()
                .enumerate()
                .find(|(_, r)| r.claim())
                .map(|found| (found, false))
        });
        found.map(|((index, registration), is_known)| Found {
            registration,
            index: index as u32,
            is_known,
        })
    }

    /// Gives the baton back without a step. What others left word of meanwhile is shown again: their
    /// tokens are armed anew, and whoever meets them has a descriptor.
    pub(super) fn let_go(&self, place: u32, me: i32) {
        if !self.baton.give_back(me) {
            let _ = self.look_until_quiet(place, -1, me);
        }
    }
}

/// Makes the kernel report an error on a socket whose handshake has failed, also to callers that no
/// hook sees: it is connected to a port on which nobody listens.
fn kill(fd: i32, tor: SocketAddr) {
    let _ = net::disconnect(fd);
    let ip = match tor.ip() {
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some() => {
            IpAddr::from(Ipv4Addr::LOCALHOST.to_ipv6_mapped())
        }
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    // Nobody can listen on port 0.
    let (bytes, length) = encode(&SocketAddr::new(ip, 0));
    let connect = || net::connect(fd, bytes.get(..length).unwrap_or(&[]));
    let _ = sys::status_flags(fd).and_then(|flags| sys::without_blocking(fd, flags, connect));
}
