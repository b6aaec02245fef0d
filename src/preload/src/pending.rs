//! The handshakes in flight of this process: what the hooks ask of a descriptor before they let
//! the kernel answer.

use core::net::SocketAddr;
use core::time::Duration;

use epochsocks::pending::{ARENA, Pending, Ran, Report};
use epochsocks::registry::{Connection, Flight, Outcome, Phase, Registry, busy};
use epochsocks::sys::{self, Errno, net, time};
use epochsocks::tor::{DialError, DriveError};

use crate::log::log;
use crate::registry::{REGISTRY, entries, put, tracked};
use crate::scratch::{Bits, with_words, words_for};
use crate::{clock, errno, real, runtime};

/// The longest wait that does not look again at a handshake which another thread or process might
/// have driven to its end.
const SLICE: Duration = Duration::from_millis(100);
/// As above, while somebody else is at it right now.
const SHORT_SLICE: Duration = Duration::from_millis(1);

/// How often to look what another process has done to sockets that are shared with it.
const SHARED_SLICE: Duration = Duration::from_millis(250);

/// How a descriptor stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The kernel's answers are right.
    Settled,
    /// A handshake is in flight and waits for these events, at most until `deadline` (nanoseconds
    /// since boot).
    Waits {
        /// `POLLIN` or `POLLOUT`.
        events: i16,
        /// Nanoseconds since boot.
        deadline: u64,
    },
    /// A handshake is in flight, and another caller drives it at this moment.
    Busy,
    /// The handshake has failed, and the program has not been told; see [`take_error`].
    Failed,
}

impl Standing {
    /// Whether the program has to wait.
    pub fn is_pending(self) -> bool {
        matches!(self, Standing::Waits { .. } | Standing::Busy)
    }

    /// How long to sleep at most before looking again; `now` is in nanoseconds since boot.
    fn slice(self, now: u64) -> Duration {
        match self {
            Standing::Waits { deadline, .. } => until(deadline, now).min(SLICE),
            Standing::Busy => SHORT_SLICE,
            Standing::Settled | Standing::Failed => Duration::MAX,
        }
    }
}

/// The time from `now` to `deadline`, in nanoseconds since boot; at least a millisecond.
fn until(deadline: u64, now: u64) -> Duration {
    Duration::from_nanos(deadline.saturating_sub(now)).max(SHORT_SLICE)
}

/// One look at all the descriptors of a wait.
pub struct Look {
    /// Nanoseconds since boot.
    now: u64,
    nap: Duration,
}

impl Look {
    /// A look that has seen nothing yet.
    pub fn new() -> Look {
        Look { now: clock::now().as_nanos() as u64, nap: Duration::MAX }
    }

    /// How `fd` stands. A handshake that waits as it did is not driven: the kernel tells when what
    /// it waits for has come.
    pub fn at(&mut self, fd: i32) -> Standing {
        if !concerns(fd) {
            return Standing::Settled;
        }
        let standing = self.rests(fd).unwrap_or_else(|| drive(fd));
        self.nap = self.nap.min(standing.slice(self.now));
        standing
    }

    /// How long the wait may sleep before it looks again.
    pub fn nap(&self) -> Duration {
        self.nap
    }

    fn rests(&self, fd: i32) -> Option<Standing> {
        let Flight { place, cookie, .. } =
            REGISTRY.borrow(fd, |record| record.flight()).flatten()?;
        let (events, deadline) = ARENA.find(place, cookie.0)?.rests()?;
        let same = deadline > self.now && net::cookie(fd) == Ok(cookie.0);
        same.then_some(Standing::Waits { events, deadline })
    }
}

/// Whether no descriptor of the process has a handshake in flight: one load.
#[inline(always)]
pub fn quiet() -> bool {
    busy() == 0
}

/// Whether `fd` has a handshake in flight or owes an error, without driving it.
pub fn concerns(fd: i32) -> bool {
    let phase = REGISTRY.borrow(fd, |record| record.phase());
    matches!(phase, Some(Phase::Connecting | Phase::InFlight | Phase::Failed))
}

/// Drives the handshake of `fd` as far as it goes without waiting. errno is left alone.
/// Async-signal-safe.
pub fn drive(fd: i32) -> Standing {
    let look = REGISTRY.borrow(fd, |record| (record.flight(), record.phase(), record.cookie()));
    let Some((flight, phase, cookie)) = look else { return Standing::Settled };
    if matches!(phase, Phase::Unconnected | Phase::Connected) {
        return Standing::Settled;
    }
    if net::cookie(fd) != Ok(cookie.0) {
        // Closed behind our back, and another file by now.
        REGISTRY.remove(fd);
        return Standing::Settled;
    }
    match flight {
        Some(flight) => fly(fd, flight),
        None if phase == Phase::Failed => Standing::Failed,
        None => Standing::Busy,
    }
}

fn fly(fd: i32, flight: Flight) -> Standing {
    let cookie = flight.cookie.0;
    match ARENA.find(flight.place, cookie).map(|pending| pending.run(flight.place, cookie, fd)) {
        Some(ran) => landed(fd, flight, ran),
        None => landed(fd, flight, Ran::Gone),
    }
}

/// Takes note of what a look at the handshake of `fd` has shown.
pub fn landed(fd: i32, flight: Flight, ran: Ran) -> Standing {
    let (outcome, report) = match ran {
        Ran::Busy => return Standing::Busy,
        Ran::Waits { events, deadline } => return Standing::Waits { events, deadline },
        Ran::Landed { outcome, report } => (outcome, report),
        // Another process has ended it, long ago: the kernel knows how.
        Ran::Gone if net::has_peer(fd) => (Outcome::Established, None),
        Ran::Gone => (Outcome::Failed(Errno(libc::ECONNABORTED)), None),
    };
    if matches!(outcome, Outcome::Failed(_)) && net::has_peer(fd) {
        // It was given up by a process that could not disconnect it.
        let _ = net::disconnect(fd);
    }
    REGISTRY.borrow(fd, |record| {
        if record.cookie() == flight.cookie {
            record.settle(flight, outcome);
        }
    });
    ARENA.reuse(flight.place);
    if let Some(report) = report {
        tell(&report);
    }
    match outcome {
        Outcome::Failed(_) => Standing::Failed,
        Outcome::Established | Outcome::Cancelled => Standing::Settled,
    }
}

#[cold]
#[inline(never)]
fn tell(Report { request, error }: &Report) {
    let (host, port) = (request.host, request.port);
    match error {
        None => log!(Notice, "connected through Tor to {host} port {port}"),
        Some(DriveError::Socket(errno @ Errno(libc::ECONNREFUSED))) => {
            let settings = runtime::loaded();
            let tor = SocketAddr::new(settings.tor_address, settings.tor_port);
            log!(Error, "can't reach the Tor port {tor}: {}", DialError::Connect(*errno));
        }
        Some(error) => log!(Error, "connect to {host} port {port}: {error}"),
    }
}

/// The errno that the failed handshake of `fd` owes, once.
pub fn take_error(fd: i32) -> Option<Errno> {
    let errno = REGISTRY.borrow(fd, |record| record.take_error()).flatten()?;
    // The kernel's own is the one that told callers without hooks.
    let _ = net::take_error(fd);
    Some(errno)
}

/// Waits until the handshake of `fd`, which stands as `standing` says, has ended, at most as long as
/// the socket's `option`, SO_SNDTIMEO or SO_RCVTIMEO, says; then the standing is not pending. A
/// cancellation point, at which nothing is held. `EAGAIN` after that time; `EINTR` if a signal was
/// handled that is not to restart the call.
pub fn wait(fd: i32, standing: Standing, option: i32) -> Result<Standing, Errno> {
    if !standing.is_pending() {
        return Ok(standing);
    }
    // As in `hooks::waits::wait_loop`: a signal ends a sleep, or nothing.
    let before = sys::block_signals();
    let waited = rounds(fd, standing, timeout(fd, option), before);
    sys::set_signals(before);
    waited
}

fn rounds(
    fd: i32,
    mut standing: Standing,
    limit: Option<Duration>,
    mask: u64,
) -> Result<Standing, Errno> {
    let end = limit.map(|limit| clock::now().saturating_add(limit));
    while standing.is_pending() {
        let now = clock::now();
        let left = match end.map(|end| end.checked_sub(now)) {
            None => Duration::MAX,
            Some(Some(left)) if !left.is_zero() => left,
            Some(_) => return Err(Errno(libc::EAGAIN)),
        };
        sleep(fd, standing, standing.slice(now.as_nanos() as u64).min(left), mask)?;
        standing = drive(fd);
    }
    Ok(standing)
}

fn sleep(fd: i32, standing: Standing, time: Duration, mask: u64) -> Result<(), Errno> {
    let events = if let Standing::Waits { events, .. } = standing { events } else { 0 };
    let mut entry = libc::pollfd { fd, events, revents: 0 };
    let limit = time::timespec(time);
    let saved = errno::get();
    // Nothing of the descriptor while another drives it, not even an error.
    let count = if events == 0 { 0 } else { 1 };
    let mask: *const libc::sigset_t = (&raw const mask).cast();
    // SAFETY: libc's ppoll, with at most one pollfd, a time and the kernel's mask of ours.
    let result = unsafe { real::ppoll(&raw mut entry, count, &raw const limit, mask) };
    if result >= 0 || errno::get() != libc::EINTR || sys::handlers_restart() {
        errno::set(saved);
        return Ok(());
    }
    Err(Errno(libc::EINTR))
}

/// A timeout option of the socket `fd`, `SO_SNDTIMEO` or `SO_RCVTIMEO`; `None` if there is none.
pub fn timeout(fd: i32, option: i32) -> Option<Duration> {
    // SAFETY: both are a timeval.
    let time = unsafe { net::option::<libc::timeval>(fd, libc::SOL_SOCKET, option) }.ok()?;
    let set = time.tv_sec != 0 || time.tv_usec != 0;
    set.then(|| Duration::new(time.tv_sec as u64, (time.tv_usec as u32).saturating_mul(1_000)))
}

/// Looks at the handshake at `place` for its own sake, by whatever descriptor this process has of
/// the socket.
pub fn attend(place: u32, pending: &Pending) {
    let cookie = pending.cookie();
    let fd = pending.descriptor_in(sys::getpid());
    // By a name of its own: another thread may close the program's at any moment, and open another
    // socket there, whose bytes the step would take.
    let own = fd.and_then(|fd| sys::duplicate(fd).ok());
    let safe = own.or(fd).filter(|fd| net::cookie(*fd) == Ok(cookie));
    // Without a descriptor there is only the end of another's handshake to take note of.
    let ran = pending.run(place, cookie, safe.unwrap_or(-1));
    if let Some(own) = own {
        let _ = sys::close(own);
    }
    let Some(fd) = fd else { return };
    match REGISTRY.borrow(fd, |record| record.flight()).flatten() {
        Some(flight) if flight.cookie.0 == cookie => {
            landed(fd, flight, ran);
        }
        _ => {
            if let Ran::Landed { report: Some(report), .. } = ran {
                tell(&report);
            }
        }
    }
}

/// How long a wait for epoll events may last before [`attend`] is due, if anything is in flight.
pub fn epoll_slice() -> Option<Duration> {
    if quiet() {
        return None;
    }
    let now = clock::now().as_nanos() as u64;
    let next = ARENA.nearest_deadline().map(|deadline| until(deadline, now));
    let shared = ARENA.is_shared().then_some(SHARED_SLICE);
    next.into_iter().chain(shared).min()
}

/// Ends the handshake of `fd`, if there is one, because the program lets go of the peer.
pub fn cancel(fd: i32) {
    let Some(flight) = REGISTRY.borrow(fd, |record| record.flight()).flatten() else { return };
    if let Some(pending) = ARENA.find(flight.place, flight.cookie.0) {
        pending.cancel(flight.cookie.0);
    }
    drive(fd);
}

/// A descriptor of `fd`'s socket is about to be sent to whoever receives it: a handshake in flight
/// outlives the last one that is left here.
pub fn pass(fd: i32) {
    let Some(flight) = REGISTRY.borrow(fd, |record| record.flight()).flatten() else { return };
    if let Some(pending) = ARENA.find(flight.place, flight.cookie.0) {
        pending.pass();
    }
}

/// Makes `fd`, which has come in a message, what it is if a process of this family has put its
/// handshake into flight; says whether that is so. Not for a socket that has another descriptor here.
pub fn adopt(fd: i32) -> bool {
    let Ok(cookie) = net::cookie(fd) else { return false };
    let Some((place, pending)) = ARENA.search(cookie) else { return false };
    let Some((destination, ran)) = pending.destination(place, cookie, fd) else { return false };
    let Ok(Some(held)) = tracked(fd) else { return false };
    let flight = sys::without_signals(|| {
        let claim = held.record().begin_connect().ok()?;
        held.record().launch(claim, Connection { destination }, place);
        held.record().flight()
    });
    put(held);
    flight.map(|flight| landed(fd, flight, ran)).is_some()
}

/// Runs `exec`, which starts a program: the sockets of handshakes in flight are not for it, as it
/// could neither finish nor use them. Whatever `exec` answers, they are as before here. `ENOMEM`.
pub fn without_half_spoken<R>(exec: impl FnOnce() -> R) -> Result<R, Errno> {
    if quiet() {
        return Ok(exec());
    }
    let (bound, _) = entries();
    with_words(words_for(bound), |changed| {
        for fd in entries().1.filter(|fd| drive(*fd).is_pending()) {
            let was_set = sys::set_close_on_exec(fd, true);
            changed.put(fd as usize, was_set == Ok(false));
        }
        let result = exec();
        for fd in (0..bound).filter(|fd| changed.has(*fd)) {
            let _ = sys::set_close_on_exec(fd as i32, false);
        }
        result
    })
}
