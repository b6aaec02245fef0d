//! The descriptors by which the library acts on a socket.
//!
//! A number of the program's may name another file by the time it is used. A duplicate of the
//! library's own does not change hands, so its `SO_COOKIE`, read on the duplicate itself, says
//! which socket it names for as long as it is open.

use core::marker::PhantomData;
use core::net::SocketAddr;

use super::SocketId;
use crate::policy::Refusal;
use crate::policy::address::{encode, loopback_like};
use crate::socks5::Handshake;
use crate::sys::net::{self, Answer};
use crate::sys::{self, Errno, StatusFlags};
use crate::tor::{Advance, DriveError, advance, target};

/// Reason that a descriptor could not be verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unverified {
    /// The number names no socket, or another one.
    Other,
    /// The kernel did not say: a table of descriptors is full, or a filter forbids the question.
    Unknown(Errno),
}

impl Unverified {
    /// The errno for a program that wants the socket.
    pub fn errno(self) -> Errno {
        match self {
            Unverified::Other => Errno(libc::EBADF),
            Unverified::Unknown(errno) => errno,
        }
    }

    pub(super) fn of(errno: Errno) -> Unverified {
        match Answer::<()>::from(Err(errno)) {
            Answer::Is(()) | Answer::NotASocket(_) => Unverified::Other,
            Answer::Unknown(errno) => Unverified::Unknown(errno),
        }
    }
}

/// Compares the socket that `fd` names at this moment with `id`.
pub fn compare(fd: i32, id: SocketId) -> Result<(), Unverified> {
    match net::cookie(fd) {
        Ok(cookie) if cookie == id.0 => Ok(()),
        Ok(_) => Err(Unverified::Other),
        Err(errno) => Err(Unverified::of(errno)),
    }
}

/// Leaves the socket `id`, if `fd` names it, as it was before the connect, so that the program may try again.
pub fn disconnect(fd: i32, id: SocketId) {
    if let Ok(own) = OwnSocket::of(fd, id) {
        own.verified().disconnect();
        own.close();
    }
}

/// The identity of a socket where a filter forbids to ask for its `SO_COOKIE`: its inode. It is unique
/// while the socket is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inode(u64, u64);

impl Inode {
    /// The inode of a socket; none if the kernel does not say.
    pub fn of(socket: Verified<'_>) -> Option<Inode> {
        sys::identity(socket.0).ok().map(|(device, inode)| Inode(device, inode))
    }

    fn is_at(self, fd: i32) -> bool {
        sys::identity(fd) == Ok((self.0, self.1))
    }
}

/// A descriptor of the library's own for one socket. It is closed by [`OwnSocket::close`], or kept
/// as a number by [`OwnSocket::into_number`]; it has no destructor.
#[derive(Debug)]
#[must_use = "the descriptor stays open"]
pub struct OwnSocket(i32);

impl OwnSocket {
    /// Duplicates `fd` and compares the duplicate with `id`.
    pub fn of(fd: i32, id: SocketId) -> Result<OwnSocket, Unverified> {
        OwnSocket::checked(fd, |own| compare(own, id))
    }

    /// Duplicates `fd`; `check` says whether the duplicate names the socket.
    pub(super) fn checked(
        fd: i32,
        check: impl FnOnce(i32) -> Result<(), Unverified>,
    ) -> Result<OwnSocket, Unverified> {
        let own = OwnSocket(sys::own_descriptors::duplicate(fd).map_err(Unverified::of)?);
        match check(own.0) {
            Ok(()) => Ok(own),
            Err(unverified) => {
                own.close();
                Err(unverified)
            }
        }
    }

    /// As [`OwnSocket::of`]; where the kernel does not tell the duplicate's `SO_COOKIE`, its inode is
    /// compared.
    pub fn of_known(fd: i32, id: SocketId, inode: Option<Inode>) -> Result<OwnSocket, Unverified> {
        match (OwnSocket::of(fd, id), inode) {
            (Err(unknown @ Unverified::Unknown(_)), Some(inode)) => {
                let number = sys::own_descriptors::duplicate(fd).map_err(Unverified::of)?;
                let own = OwnSocket(number);
                if inode.is_at(number) {
                    return Ok(own);
                }
                own.close();
                Err(unknown)
            }
            (own, _) => own,
        }
    }

    /// The descriptor of `number`, which [`OwnSocket::into_number`] gave a moment ago. After a wait it
    /// is compared again, by [`Verified::kept`].
    pub(super) fn of_number(number: i32) -> OwnSocket {
        OwnSocket(number)
    }

    /// The socket.
    pub fn verified(&self) -> Verified<'_> {
        Verified(self.0, PhantomData)
    }

    /// The number, to wait for what the socket gives.
    pub fn number(&self) -> i32 {
        self.0
    }

    /// The number, for a field that outlives the call. It comes back by [`Verified::kept`].
    pub fn into_number(self) -> i32 {
        self.0
    }

    /// Closes the descriptor.
    pub fn close(self) {
        sys::own_descriptors::close(self.0);
    }
}

/// A socket whose identity was checked on a descriptor of the library's own. Only this can be sent
/// to, received from, connected, disconnected, or registered in an epoll set.
#[derive(Clone, Copy, Debug)]
pub struct Verified<'s>(i32, PhantomData<&'s OwnSocket>);

impl Verified<'_> {
    /// The socket `id` by `number`, which [`OwnSocket::into_number`] gave. The comparison is made
    /// again: the program may have closed the number by a raw system call.
    pub fn kept(number: i32, id: SocketId, inode: Option<Inode>) -> Result<Self, Unverified> {
        match (compare(number, id), inode) {
            (Err(Unverified::Unknown(_)), Some(inode)) if inode.is_at(number) => {}
            (compared, _) => compared?,
        }
        Ok(Verified(number, PhantomData))
    }

    /// Drives `handshake` as far as it goes without waiting.
    pub fn advance(self, handshake: &mut Handshake) -> Result<Advance, DriveError> {
        advance(self.0, handshake)
    }

    /// The socket's address family.
    pub fn domain(self) -> Result<i32, Errno> {
        net::socket_number(self.0, libc::SO_DOMAIN)
    }

    /// The status flags of the open file description.
    pub fn status_flags(self) -> Result<StatusFlags, Errno> {
        sys::status_flags(self.0)
    }

    /// Starts to connect the socket to `address` without waiting. A socket whose calls wait is
    /// connected by sendto(2) with `MSG_FASTOPEN` and no data: this call alone can be told not to
    /// wait. Where the kernel's settings forbid that, `O_NONBLOCK` is set for the time of the call.
    pub fn start_connect(self, address: &SocketAddr, flags: StatusFlags) -> Result<(), Errno> {
        let (bytes, length) = encode(address);
        let bytes = bytes.get(..length).unwrap_or(&[]);
        if !flags.is_nonblocking() {
            match started(|| net::connect_now(self.0, bytes)) {
                Err(Errno(libc::EOPNOTSUPP)) => {}
                result => return result,
            }
        }
        sys::without_blocking(self.0, flags, || started(|| net::connect(self.0, bytes)))
    }

    /// Lets go of the peer and forgets the pending error: the program may connect again.
    pub fn disconnect(self) {
        let _ = net::disconnect(self.0);
        self.clear_error();
    }

    /// Lets go of the peer, as Linux does with a socket that is connecting: `ECONNRESET` is pending.
    pub fn reset(self) {
        let _ = net::disconnect(self.0);
    }

    /// Makes the kernel report an error on a socket whose handshake has failed, also to callers that
    /// no hook sees: the socket is connected to a port on which no program can listen. `tor` is the
    /// address that the socket was connected to.
    pub fn refuse(self, tor: &SocketAddr) {
        let _ = net::disconnect(self.0);
        let nowhere = SocketAddr::new(loopback_like(tor.ip()), 0);
        let _ = self.status_flags().and_then(|flags| self.start_connect(&nowhere, flags));
    }

    /// Clears the pending error.
    pub fn clear_error(self) {
        let _ = net::take_error(self.0);
    }

    /// The address by which the socket, one of `domain`, reaches the SOCKS port at `tor`; see
    /// [`target`].
    pub fn target(self, domain: i32, tor: SocketAddr) -> Result<SocketAddr, Refusal> {
        target(self.0, domain, tor)
    }
}

/// Calls connect without a wait.
fn started(connect: impl Fn() -> Result<(), Errno>) -> Result<(), Errno> {
    let once = || match connect() {
        Err(Errno(libc::EINPROGRESS | libc::EINTR)) => Ok(()),
        // Linux answers 0 once to the first connect after one that did not wait has succeeded.
        Ok(()) => Err(Errno(libc::EISCONN)),
        result => result,
    };
    match once() {
        // What an earlier failure has left behind; told once.
        Err(Errno(libc::ECONNABORTED)) => once(),
        result => result,
    }
}
