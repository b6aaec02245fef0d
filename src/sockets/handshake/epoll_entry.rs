//! The registration of a socket in an epoll set, as the program sees it and as the kernel has it.
//!
//! The kernel's entry is one of a duplicate of the library's own, never of the program's number: the
//! program may close the number in another thread and register another file under it in the same
//! set. As every entry has a duplicate of its own, a change can't meet another entry, even if the
//! number of the set is reused.

use super::token::Token;
use crate::sys::{self, Errno, own_descriptors};

/// The first events of a token: they come at once when the connection to Tor's port is there, so that
/// a thread that sleeps in epoll_wait takes note of the handshake.
const INITIAL: u32 = (libc::EPOLLIN | libc::EPOLLOUT) as u32;
/// The token has fired and is not armed.
const FIRED: u32 = 0;
/// The events that may go with EPOLLEXCLUSIVE (epoll_ctl(2)).
const WITH_EXCLUSIVE: u32 = (libc::EPOLLIN
    | libc::EPOLLOUT
    | libc::EPOLLERR
    | libc::EPOLLHUP
    | libc::EPOLLWAKEUP
    | libc::EPOLLET
    | libc::EPOLLEXCLUSIVE) as u32;

/// Request of the program: the events and the data of an `epoll_event`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interest {
    /// `EPOLLIN`, … and flags.
    pub events: u32,
    /// Anything.
    pub data: u64,
}

impl Interest {
    /// Tells whether the entry wakes one waiter only: it can't be modified (epoll_ctl(2)).
    pub const fn is_exclusive(self) -> bool {
        self.events & libc::EPOLLEXCLUSIVE as u32 != 0
    }

    /// Tells whether the kernel refuses to add an entry with these events.
    pub const fn is_invalid(self) -> bool {
        self.is_exclusive() && self.events & !WITH_EXCLUSIVE != 0
    }
}

/// Content of the kernel's entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kernel {
    /// The program's events and data.
    Requested,
    /// A token, armed for these events.
    Token(u32),
}

/// One entry. It belongs to the holder of the slot's run lock.
#[derive(Clone, Copy, Debug)]
pub struct EpollEntry {
    /// The program's numbers of the set and of the socket, which name the entry to the program.
    epoll: i32,
    fd: i32,
    /// The duplicate that names the entry to the kernel.
    own: i32,
    kernel: Kernel,
    requested: Interest,
    /// A process that was forked while the handshake was in flight has the kernel's entry, too.
    is_shared: bool,
    /// The kernel's entry can't be changed any more, as a filter forbids it: it tells nothing of what is
    /// to come.
    is_stuck: bool,
}

impl EpollEntry {
    /// An entry of the program's `fd` in `epoll` that the kernel knows by `own`, with what the
    /// program asked for. The kernel does not have it yet.
    pub fn new(epoll: i32, fd: i32, own: i32, requested: Interest) -> EpollEntry {
        let kernel = Kernel::Requested;
        EpollEntry { epoll, fd, own, kernel, requested, is_shared: false, is_stuck: false }
    }

    /// Tells whether the program knows it by `fd`.
    pub fn is_of(&self, fd: i32) -> bool {
        self.fd == fd
    }

    /// Tells whether the program has last reached its set by the number `epoll`.
    pub fn is_known_in(&self, epoll: i32) -> bool {
        self.epoll == epoll
    }

    /// Asks the kernel whether the set that `epoll` names now has the entry.
    pub fn is_in(&self, epoll: i32) -> bool {
        let Interest { events, data } = armed(Token::NONE, FIRED);
        match sys::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, self.own, events, data) {
            Ok(()) => {
                let _ = sys::epoll_ctl(epoll, libc::EPOLL_CTL_DEL, self.own, 0, 0);
                false
            }
            // It stays as it is.
            result => result == Err(Errno(libc::EEXIST)),
        }
    }

    /// The program reaches its set by the number `epoll`.
    pub fn reach_by(&mut self, epoll: i32) {
        self.epoll = epoll;
    }

    /// The duplicate that names the entry to the kernel.
    pub fn own(&self) -> i32 {
        self.own
    }

    /// Request of the program.
    pub fn requested(&self) -> Interest {
        self.requested
    }

    /// Notes what the program asks for from now on.
    pub fn request(&mut self, interest: Interest) {
        self.requested = interest;
    }

    /// Tells whether the kernel's entry carries a token.
    pub fn is_token(&self) -> bool {
        matches!(self.kernel, Kernel::Token(_))
    }

    /// A forked process has the kernel's entry from now on, too.
    pub fn share(&mut self) {
        self.is_shared = true;
    }

    /// Tells whether a filter keeps the kernel's entry from being changed.
    pub fn is_stuck(&self) -> bool {
        self.is_stuck
    }

    /// Tells whether a forked process has the kernel's entry, too.
    pub fn is_shared(&self) -> bool {
        self.is_shared
    }

    /// The token has come out of the set `epoll`: it is not armed any more, and the set is reached by
    /// that number.
    pub fn token_fired(&mut self, epoll: i32) {
        self.reach_by(epoll);
        if self.is_token() {
            self.kernel = Kernel::Token(FIRED);
        }
    }

    /// Adds the kernel's entry: with `token`, or with what the program asked for. Errors: those of
    /// epoll_ctl(2).
    pub fn add(&mut self, token: Option<Token>) -> Result<(), Errno> {
        if self.requested.is_invalid() {
            return Err(Errno(libc::EINVAL));
        }
        match token {
            None => self.control(libc::EPOLL_CTL_ADD, self.requested),
            Some(token) => {
                self.kernel = Kernel::Token(INITIAL);
                self.control(libc::EPOLL_CTL_ADD, armed(token, INITIAL))
            }
        }
    }

    /// Gives the kernel's entry a token, armed for what comes first.
    pub fn hide(&mut self, token: Token) -> Result<(), Errno> {
        self.kernel = Kernel::Token(INITIAL);
        let result = self.modify(armed(token, INITIAL));
        self.note(result);
        result
    }

    /// Arms the token for `events`, unless it is.
    pub fn arm(&mut self, token: Token, events: u32) {
        if let Kernel::Token(armed_for) = self.kernel
            && armed_for != events
            && armed_for != INITIAL
        {
            self.kernel = Kernel::Token(events);
            self.note(self.modify(armed(token, events)));
        }
    }

    /// Takes note of what became of a change.
    fn note(&mut self, result: Result<(), Errno>) {
        // What only a filter or a security module answers for an entry that is there.
        self.is_stuck = matches!(result, Err(Errno(libc::EPERM | libc::EACCES | libc::ENOSYS)));
    }

    /// Gives the kernel what the program asked for: it reports what is ready by then by itself.
    /// Without `in_kernel` another process has done so.
    pub fn restore(&mut self, in_kernel: bool) {
        self.kernel = Kernel::Requested;
        if in_kernel && self.modify(self.requested).is_err() {
            // A filter forbids to modify it, or the set was closed, and another one may have its number.
            self.note(self.renew(self.requested));
        }
    }

    /// Takes the entry out of the kernel's set, and closes its duplicate. Errors: those of
    /// epoll_ctl(2); the duplicate is closed all the same.
    pub fn delete(self) -> Result<(), Errno> {
        let result = self.remove();
        self.close();
        result
    }

    /// Takes the entry out of the kernel's set. Errors: those of epoll_ctl(2).
    pub fn remove(&self) -> Result<(), Errno> {
        self.control(libc::EPOLL_CTL_DEL, Interest { events: 0, data: 0 })
    }

    /// Closes the duplicate: of an entry that the kernel does not have, or that goes with the socket.
    pub fn close(self) {
        own_descriptors::close(self.own);
    }

    /// Changes the kernel's entry. The kernel refuses to modify one that is or becomes
    /// EPOLLEXCLUSIVE: that one is made anew. Errors: those of epoll_ctl(2).
    pub fn modify(&self, interest: Interest) -> Result<(), Errno> {
        if !self.requested.is_exclusive() {
            return self.control(libc::EPOLL_CTL_MOD, interest);
        }
        self.renew(interest)
    }

    /// Makes the kernel's entry anew, in the set that has it only.
    fn renew(&self, interest: Interest) -> Result<(), Errno> {
        self.remove()?;
        self.control(libc::EPOLL_CTL_ADD, interest)
    }

    fn control(&self, operation: i32, Interest { events, data }: Interest) -> Result<(), Errno> {
        sys::epoll_ctl(self.epoll, operation, self.own, events, data)
    }
}

/// A token that fires once for `events`.
const fn armed(token: Token, events: u32) -> Interest {
    Interest { events: events | libc::EPOLLONESHOT as u32, data: token.encode() }
}
