//! The questions that wait for Tor, each with a connection to the SOCKS port of its own. All of these are
//! in one epoll set: who waits for that sees every question, also one that is asked meanwhile.

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::net::SocketAddr;
use core::sync::atomic::{
    AtomicI32, AtomicU32, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use core::time::Duration;

use crate::policy::address::encode;
use crate::resolver::dns::Question;
use crate::socks5::{Answer, Credentials, Handshake, Request};
use crate::sys::{self, Errno, OwnedSocket, net, time};
use crate::tor::{Advance, DialError, DriveError, ResolveError, advance, confine_like_others};

/// As many questions as wait at a time. One more is lost, as a datagram may be; its program asks again.
const QUESTIONS: usize = 128;

/// A question and where its answer goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The question itself.
    pub question: Question,
    /// The program's socket: the descriptor that asked, and its `SO_COOKIE`.
    pub fd: i32,
    /// See `fd`.
    pub cookie: u64,
    /// Set if it came by the library's end of a stream; then `fd` is that end.
    pub is_stream: bool,
}

/// Way to ask Tor.
#[derive(Clone, Copy, Debug)]
pub struct Tor<'c> {
    /// The SOCKS port.
    pub port: SocketAddr,
    /// The user name and password that choose the circuit, if any.
    pub credentials: Option<&'c Credentials>,
    /// Time limit of an answer.
    pub timeout: Duration,
    /// See [`Resolver::is_confined`](crate::tor::Resolver::is_confined).
    pub is_confined: bool,
}

/// Plain data that begins as zeroes.
pub struct Questions {
    places: [Place; QUESTIONS],
    count: AtomicU32,
    /// The descriptor of the epoll set, 0 while there is none. Facts by themselves: Relaxed.
    set: AtomicI32,
}

/// | state | who may touch `waiting` |
/// | --- | --- |
/// | [`FREE`] | none |
/// | [`BUSY`] | the thread that has made it so, with signals blocked |
/// | [`WAITING`] | none |
struct Place {
    state: AtomicU32,
    /// Until when it waits, in nanoseconds since boot. A fact by itself: Relaxed.
    deadline: AtomicU64,
    waiting: UnsafeCell<MaybeUninit<Waiting>>,
}

const FREE: u32 = 0;
const BUSY: u32 = 1;
const WAITING: u32 = 2;

// SAFETY: all but `waiting` is atomic, and that belongs to the thread that has made the place busy.
unsafe impl Sync for Place {}

struct Waiting {
    asked: Asked,
    socket: OwnedSocket,
    cookie: u64,
    handshake: Handshake,
    /// Events that the set waits for: `POLLIN` or `POLLOUT`, 0 if it does not have the connection.
    events: i16,
}

impl Questions {
    /// Tells whether any question waits, by one load.
    #[inline(always)]
    pub fn any(&self) -> bool {
        // Relaxed: nothing is read through it.
        self.count.load(Relaxed) != 0
    }

    /// Makes the set, so that who waits from now on will see a question of another thread.
    /// Gives it. Errors: those of epoll_create1(2).
    pub fn prepare(&self) -> Result<i32, Errno> {
        self.set_or_new()
    }

    /// Asks Tor. Errors: no connection to Tor. A question that waits already, and one for which there
    /// is no place, is not asked.
    pub fn ask(&self, asked: Asked, request: &Request, tor: Tor<'_>) -> Result<(), ResolveError> {
        if self.has(&asked) {
            return Ok(());
        }
        let set = self.set_or_new().map_err(ResolveError::Socket)?;
        sys::without_signals(|_| {
            // Acquire pairs with the Release of the last owner.
            let free =
                |place: &&Place| place.state.compare_exchange(FREE, BUSY, Acquire, Relaxed).is_ok();
            let Some(place) = self.places.iter().find(free) else { return Ok(()) };
            let mut waiting = match dial(tor, request) {
                Ok((socket, cookie, handshake)) => {
                    Waiting { asked, socket, cookie, handshake, events: 0 }
                }
                Err(error) => {
                    place.state.store(FREE, Release);
                    return Err(error);
                }
            };
            // Mostly the request is sent at once; what fails here does so again when it is driven.
            let events = match advance(waiting.socket.fd(), &mut waiting.handshake) {
                Ok(Advance::Waits(events)) => events,
                Ok(Advance::Done(_)) | Err(_) => libc::POLLOUT,
            };
            waiting.watch(set, events);
            let deadline = time::monotonic().saturating_add(tor.timeout).as_nanos() as u64;
            place.deadline.store(deadline, Relaxed);
            // SAFETY: the place is busy by this thread.
            unsafe { (*place.waiting.get()).write(waiting) };
            self.count.fetch_add(1, Relaxed);
            // Release pairs with the Acquire in `take`.
            place.state.store(WAITING, Release);
            Ok(())
        })
    }

    /// The epoll set, which is readable when a question can go on.
    pub fn set(&self) -> Option<i32> {
        Some(self.set.load(Relaxed)).filter(|fd| *fd != 0)
    }

    fn set_or_new(&self) -> Result<i32, Errno> {
        if let Some(set) = self.set() {
            return Ok(set);
        }
        let fresh = OwnedSocket::kept_epoll()?;
        match self.set.compare_exchange(0, fresh.fd(), Relaxed, Relaxed) {
            Ok(_) => Ok(fresh.fd()),
            Err(first) => {
                fresh.close();
                Ok(first)
            }
        }
    }

    /// Tells whether this very question of the same socket waits.
    pub fn has(&self, asked: &Asked) -> bool {
        self.places.iter().any(|place| place.waits_for(asked))
    }

    /// Time limit of a wait for the questions.
    pub fn longest_wait(&self) -> Option<Duration> {
        let waiting = self.places.iter().filter(|place| place.is_waiting());
        let next = waiting.map(|place| place.deadline.load(Relaxed)).min()?;
        Some(Duration::from_nanos(next.saturating_sub(time::monotonic_nanoseconds())))
    }

    /// Goes as far as it goes without waiting, and gives what has ended to `answer`.
    pub fn drive(&self, mut answer: impl FnMut(&Asked, Result<Answer, ResolveError>)) {
        for place in self.places.iter().filter(|place| place.is_waiting()) {
            let ended = sys::without_signals(|_| {
                if !place.take() {
                    return None;
                }
                let Some(result) = place.advance(self.set()) else {
                    // Release pairs with the Acquire in `take`.
                    place.state.store(WAITING, Release);
                    return None;
                };
                // SAFETY: it was written before the place was waiting, and is busy by this thread.
                let waiting = unsafe { (*place.waiting.get()).assume_init_read() };
                let asked = waiting.asked;
                waiting.socket.close();
                self.count.fetch_sub(1, Relaxed);
                // Release pairs with the Acquire in `ask`.
                place.state.store(FREE, Release);
                Some((asked, result))
            });
            if let Some((asked, result)) = ended {
                answer(&asked, result);
            }
        }
    }

    /// In a forked child, where the descriptors were closed: the questions are the parent's.
    pub fn forget(&self) {
        // Relaxed: no other thread is here.
        self.places.iter().for_each(|place| place.state.store(FREE, Relaxed));
        self.count.store(0, Relaxed);
        self.set.store(0, Relaxed);
    }
}

impl Waiting {
    /// Lets the set wait for `events` of the connection, or no more for it if they are 0.
    fn watch(&mut self, set: i32, events: i16) {
        let operation = match (self.events, events) {
            (before, after) if before == after => return,
            (0, _) => libc::EPOLL_CTL_ADD,
            (_, 0) => libc::EPOLL_CTL_DEL,
            _ => libc::EPOLL_CTL_MOD,
        };
        // The bits of poll(2) are epoll's.
        let done = sys::epoll_ctl(set, operation, self.socket.fd(), events as u32, 0);
        if done.is_ok() {
            self.events = events;
        }
    }
}

impl Place {
    fn is_waiting(&self) -> bool {
        // Relaxed: `take` synchronises.
        self.state.load(Relaxed) == WAITING
    }

    fn take(&self) -> bool {
        // Acquire pairs with the Release of the thread that has made it waiting.
        self.state.compare_exchange(WAITING, BUSY, Acquire, Relaxed).is_ok()
    }

    /// Tells whether this very question of the same socket waits here.
    fn waits_for(&self, asked: &Asked) -> bool {
        self.is_waiting()
            && sys::without_signals(|_| {
                if !self.take() {
                    return false;
                }
                // SAFETY: as in `advance`.
                let waiting = unsafe { (*self.waiting.get()).assume_init_ref() };
                let same = waiting.asked.question == asked.question
                    && waiting.asked.cookie == asked.cookie;
                // Release pairs with the Acquire in `take`.
                self.state.store(WAITING, Release);
                same
            })
    }

    /// Drives the question; `Some` is its outcome. The caller has made the place busy.
    fn advance(&self, set: Option<i32>) -> Option<Result<Answer, ResolveError>> {
        // SAFETY: written before the place was waiting, and busy by this thread.
        let waiting = unsafe { (*self.waiting.get()).assume_init_mut() };
        let fd = waiting.socket.fd();
        if net::cookie(fd) != Ok(waiting.cookie) {
            return Some(Err(ResolveError::Socket(Errno(libc::EBADF))));
        }
        let ended = match advance(fd, &mut waiting.handshake) {
            Ok(Advance::Done(answer)) => Some(Ok(answer)),
            Err(error) => Some(Err(ResolveError::Drive(error))),
            Ok(Advance::Waits(_)) if self.is_over() => {
                Some(Err(ResolveError::Drive(DriveError::TimedOut)))
            }
            Ok(Advance::Waits(events)) => {
                set.inspect(|set| waiting.watch(*set, events));
                None
            }
        };
        if ended.is_some() {
            // Not by closing it alone: a forked child may still have it.
            set.inspect(|set| waiting.watch(*set, 0));
        }
        ended
    }

    fn is_over(&self) -> bool {
        self.deadline.load(Relaxed) <= time::monotonic_nanoseconds()
    }
}

/// A connection to the SOCKS port that is under way, its `SO_COOKIE`, and what is to be said there.
fn dial(tor: Tor<'_>, request: &Request) -> Result<(OwnedSocket, u64, Handshake), ResolveError> {
    let domain = if tor.port.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    let socket = OwnedSocket::kept_stream(domain).map_err(ResolveError::Socket)?;
    confine_like_others(socket.fd(), tor.is_confined);
    let (bytes, length) = encode(&tor.port);
    let dialled = match net::connect(socket.fd(), &bytes[..length]) {
        Ok(()) | Err(Errno(libc::EINPROGRESS | libc::EINTR)) => {
            net::cookie(socket.fd()).map_err(ResolveError::Socket)
        }
        Err(errno) => Err(ResolveError::Dial(tor.port, DialError::Connect(errno))),
    };
    match dialled {
        Ok(cookie) => Ok((socket, cookie, Handshake::new(request, tor.credentials))),
        Err(error) => {
            socket.close();
            Err(error)
        }
    }
}
