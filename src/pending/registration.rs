//! One registration of a socket in an epoll set, as the program sees it and as the kernel has it.

use core::sync::atomic::{
    AtomicI32, AtomicU32, AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

use super::Token;
use crate::sys::{self, Errno, net};

/// How many epoll sets (counting each descriptor of the socket) a pending handshake can be in.
pub const REGISTRATIONS: usize = 8;

/// Armed so that it fires at once when the connection to the Tor port is there: a thread that
/// sleeps in epoll_wait takes note of the handshake.
const KICK: u32 = (libc::EPOLLIN | libc::EPOLLOUT) as u32;
/// Nothing of a registration that waits for the handshake.
const SPENT: u32 = 0;

/// What the entry is, and what the kernel's entry carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
enum Status {
    Vacant = 0,
    /// Being filled in by one caller.
    Claimed = 1,
    /// The kernel has the program's events and data.
    Native = 2,
    /// The kernel has a token, once.
    Token = 3,
}

/// The registration of a descriptor in an epoll set. The program's wish (`events`, `data`) is
/// written by whoever calls epoll_ctl; the kernel's entry follows it by [`Registration::align`],
/// which only the holder of the baton calls. Zeroed memory is a vacant one.
#[derive(Debug)]
#[repr(C)]
pub struct Registration {
    status: AtomicU32,
    /// The process whose descriptors the next two are.
    process: AtomicI32,
    epoll: AtomicI32,
    fd: AtomicI32,
    events: AtomicU32,
    /// What the token in the kernel is armed for; `SPENT` after it has fired.
    armed: AtomicU32,
    data: AtomicU64,
}

impl Registration {
    fn is(&self, status: Status) -> bool {
        // Acquire pairs with the Release in `fill`: the fields that come with the status.
        self.status.load(Acquire) == status as u32
    }

    /// Whether it is the one of `fd` in `epoll`, both of process `process`.
    pub fn matches(&self, process: i32, epoll: i32, fd: i32) -> bool {
        // Relaxed: the fields came with the status.
        self.is_live()
            && self.fd.load(Relaxed) == fd
            && self.epoll.load(Relaxed) == epoll
            && self.process.load(Relaxed) == process
    }

    /// Whether it is in use.
    pub fn is_live(&self) -> bool {
        self.is(Status::Native) || self.is(Status::Token)
    }

    /// Whether the kernel's entry carries a token.
    pub fn is_token(&self) -> bool {
        self.is(Status::Token)
    }

    /// Whether the program wants EPOLLEXCLUSIVE.
    pub fn is_exclusive(&self) -> bool {
        // Relaxed: as in `matches`.
        self.events.load(Relaxed) & libc::EPOLLEXCLUSIVE as u32 != 0
    }

    /// Its descriptor in process `process`, if it is that process's.
    pub fn descriptor_in(&self, process: i32) -> Option<i32> {
        // Relaxed: as in `matches`.
        (self.is_live() && self.process.load(Relaxed) == process).then(|| self.fd.load(Relaxed))
    }

    /// Takes a vacant one for the calling thread, which goes on to [`Registration::fill`].
    pub fn claim(&self) -> bool {
        let (vacant, claimed) = (Status::Vacant as u32, Status::Claimed as u32);
        // AcqRel: the end of the former use comes before.
        self.status.compare_exchange(vacant, claimed, AcqRel, Relaxed).is_ok()
    }

    /// Says what a claimed one is. With `token`, the caller is about to give the kernel the token.
    pub fn fill(&self, process: i32, epoll: i32, fd: i32, events: u32, data: u64, token: bool) {
        // Relaxed: the Release below publishes them.
        self.process.store(process, Relaxed);
        self.epoll.store(epoll, Relaxed);
        self.fd.store(fd, Relaxed);
        self.wish(events, data);
        self.armed.store(KICK, Relaxed);
        let status = if token { Status::Token } else { Status::Native };
        // Release pairs with the Acquire in `is`.
        self.status.store(status as u32, Release);
    }

    /// Changes what the program wants.
    pub fn wish(&self, events: u32, data: u64) {
        // Relaxed: whoever aligns with half of it is told to look again by the baton.
        self.events.store(events, Relaxed);
        self.data.store(data, Relaxed);
    }

    /// Says that the caller is about to give the kernel the token.
    pub fn becomes_token(&self) {
        // Relaxed, then Release: as in `fill`.
        self.armed.store(KICK, Relaxed);
        self.status.store(Status::Token as u32, Release);
    }

    /// Forgets it: the kernel has no such entry any more.
    pub fn vacate(&self) {
        // Release: hands the entry to the next `claim`.
        self.status.store(Status::Vacant as u32, Release);
    }

    /// The token has come out of `epoll` in process `process`: it is not armed any more. That also
    /// shows how the set is reached, if the process has the socket `cookie` by the same number.
    pub fn spent(&self, process: i32, epoll: i32, cookie: u64) {
        // Relaxed: only numbers; a wrong one makes the kernel refuse.
        if net::cookie(self.fd.load(Relaxed)) == Ok(cookie) {
            self.process.store(process, Relaxed);
            self.epoll.store(epoll, Relaxed);
        }
        self.armed.store(SPENT, Relaxed);
    }

    /// The events and the operation flags of a token that fires at once.
    pub fn kick() -> u32 {
        KICK | libc::EPOLLONESHOT as u32
    }

    /// Makes the kernel's entry what it has to be: `token`, armed for `interest`, while the
    /// handshake of the socket `cookie` is in flight (`Some`), the program's own otherwise. Only
    /// the baton's holder calls this.
    pub fn align(&self, cookie: u64, token: Token, interest: Option<u32>) {
        let as_token = self.is(Status::Token);
        match interest {
            Some(_) if self.is(Status::Native) && self.reachable(cookie) => {
                self.becomes_token();
                let _ = self.modify(Self::kick(), token.encode());
            }
            Some(interest) if as_token => self.arm(cookie, token, interest),
            None if as_token && self.reachable(cookie) => self.restore(),
            _ => {}
        }
    }

    fn arm(&self, cookie: u64, token: Token, interest: u32) {
        // Relaxed: the baton orders the holders, and a firing that is missed here comes with news.
        let armed = self.armed.load(Relaxed);
        if armed == interest || armed == KICK || !self.reachable(cookie) {
            return;
        }
        self.armed.store(interest, Relaxed);
        let _ = self.modify(interest | libc::EPOLLONESHOT as u32, token.encode());
    }

    /// Gives the kernel what the program wants: it reports what is ready by then by itself.
    ///
    /// The status first: a caller of epoll_ctl that gives the kernel a token meanwhile says so after
    /// it and leaves news, so that this is done again.
    fn restore(&self) {
        let (token, native) = (Status::Token as u32, Status::Native as u32);
        // AcqRel: Acquire sees the wish that came with the status; the Release is for the next.
        if self.status.compare_exchange(token, native, AcqRel, Relaxed).is_err() {
            return;
        }
        // Relaxed: see `wish`.
        let (events, data) = (self.events.load(Relaxed), self.data.load(Relaxed));
        if self.modify(events, data).is_err() {
            // As above; not if the program has deleted it meanwhile.
            let _ = self.status.compare_exchange(native, token, AcqRel, Relaxed);
        }
    }

    /// The kernel refuses to modify an entry that is or becomes EPOLLEXCLUSIVE: that one is made
    /// anew.
    fn modify(&self, events: u32, data: u64) -> Result<(), Errno> {
        // Relaxed: as in `matches`.
        let (epoll, fd) = (self.epoll.load(Relaxed), self.fd.load(Relaxed));
        if self.events.load(Relaxed) & libc::EPOLLEXCLUSIVE as u32 == 0 {
            return sys::epoll_ctl(epoll, libc::EPOLL_CTL_MOD, fd, events, data);
        }
        let _ = sys::epoll_ctl(epoll, libc::EPOLL_CTL_DEL, fd, 0, 0);
        sys::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, fd, events, data)
    }

    /// Whether its descriptors are this process's and still name the socket. The registrations of a
    /// process that is gone (one that has forked and left) pass to whoever meets them.
    fn reachable(&self, cookie: u64) -> bool {
        let this = sys::getpid();
        // Relaxed: as in `spent`.
        let process = self.process.load(Relaxed);
        if process != this {
            if sys::exists(process) {
                return false;
            }
            self.process.store(this, Relaxed);
        }
        net::cookie(self.fd.load(Relaxed)) == Ok(cookie)
    }
}
