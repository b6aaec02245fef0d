//! One handshake in flight, and the epoll entries of its socket.

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use core::ptr::NonNull;
use core::sync::atomic::{
    AtomicI32, AtomicU32, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};

use super::cancel::{Cancel, CancelRequest};
use super::entries::Entries;
use super::run_lock::RunLock;
use super::shared::Shared;
use super::stage::{Stage, State};
use super::token::Token;
use crate::sockets::verified::Inode;
use crate::sockets::{SocketId, Wait};
use crate::socks5::{Handshake, Request};
use crate::sys;

/// Data of the driver.
pub(super) struct Script {
    pub(super) handshake: Handshake,
    /// Request, for the report.
    pub(super) request: Request,
    /// The address at which the socket reaches Tor.
    pub(super) tor: SocketAddr,
}

impl Script {
    const EMPTY: Script = Script {
        handshake: Handshake::EMPTY,
        request: Request::resolve_address(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        tor: SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0)),
    };
}

/// One slot of the table. Zeroed memory is a free one.
///
/// | field | written by |
/// | --- | --- |
/// | `state`, `id`, `deadline`, `events`, `is_shared`, `stuck`, `inner` | the holder of the run lock |
/// | `cancel`, `fired` | every thread, before it tries the run lock |
/// | `waiter` | the thread whose connect waits |
#[repr(C)]
pub struct Slot {
    pub(super) lock: RunLock,
    /// `POLLIN` or `POLLOUT`, and from bit [`Slot::AWAITS`] on the message: what the handshake waits
    /// for.
    pub(super) events: AtomicU32,
    pub(super) state: State,
    pub(super) id: AtomicU64,
    /// In nanoseconds since boot.
    pub(super) deadline: AtomicU64,
    pub(super) cancel: CancelRequest,
    /// Tokens that have come out of a set, one bit for each entry.
    pub(super) fired: AtomicU32,
    /// The set that the last of them came out of.
    pub(super) fired_in: AtomicI32,
    /// The thread whose connect waits for the end, 0 for none; it may be gone.
    pub(super) waiter: AtomicI32,
    /// Set if forked processes have the socket, too.
    pub(super) is_shared: AtomicU32,
    /// A descriptor of the program by which the socket was used.
    pub(super) last_descriptor: AtomicI32,
    /// Entries that the kernel keeps as they are, as a filter forbids to change them: one bit for each.
    pub(super) stuck: AtomicU32,
    pub(super) inner: UnsafeCell<Inner>,
}

/// Data that only the holder of the run lock touches, and only while a socket has the slot.
pub(super) struct Inner {
    /// True once the fields with a value other than zero were made.
    pub(super) is_made: bool,
    /// The library's own descriptor by which the handshake is driven while a connect waits for its
    /// end; 0 is none.
    pub(super) own: i32,
    /// `own` is kept until the handshake ends. Otherwise it is closed before the lock is given back,
    /// so that a program with many sockets in flight does not run out of descriptors.
    pub(super) keeps_own: bool,
    /// The inode of the socket, for the time when a filter forbids other questions.
    pub(super) inode: Option<Inode>,
    /// The process that this slot is of. A child that was forked behind the hooks has a copy.
    pub(super) process: i32,
    pub(super) shared: Option<NonNull<Shared>>,
    /// The handshake has failed, and the socket is still connected to Tor's port.
    pub(super) stays_connected: bool,
    /// The step of `shared` that `script` has seen.
    pub(super) version: u32,
    pub(super) entries: Entries,
    /// Written with the others that are made.
    pub(super) script: MaybeUninit<Script>,
    /// The log is told of a handshake that has succeeded, too.
    pub(super) tells_success: bool,
}

// SAFETY: everything but `inner` is atomic, and that belongs to the holder of the run lock.
unsafe impl Sync for Slot {}

impl Slot {
    /// Place of the number of the message in `events`.
    pub(super) const AWAITS: u32 = 16;

    pub(super) fn stage(&self) -> Stage {
        self.state.stage()
    }

    /// Tells whether a token with this serial number is of the socket in this slot.
    pub fn has_serial(&self, serial: u32) -> bool {
        Token::new(0, self.state.serial(), 0) == Token::new(0, serial, 0)
    }

    /// Tells whether the slot is that of the socket `id`.
    pub fn is_of(&self, id: SocketId) -> bool {
        self.id() == id
    }

    /// The socket in this slot.
    pub fn id(&self) -> SocketId {
        // Acquire pairs with the Release in `Locked::assign`.
        SocketId(self.id.load(Acquire))
    }

    /// Tells whether a handshake is in flight here.
    pub fn is_in_flight(&self) -> bool {
        self.stage() == Stage::InFlight
    }

    /// Time at which the handshake has to be over, in nanoseconds since boot.
    pub fn deadline(&self) -> u64 {
        // Relaxed: a number by itself.
        self.deadline.load(Relaxed)
    }

    /// Tells whether forked processes have the socket, too. Relaxed: a hint for how often to look.
    pub fn is_shared(&self) -> bool {
        self.is_shared.load(Relaxed) != 0
    }

    /// A descriptor of the program by which the socket was used. Relaxed: the record tells whether it
    /// still names the socket.
    pub fn last_descriptor(&self) -> i32 {
        self.last_descriptor.load(Relaxed)
    }

    /// Event and deadline of the handshake in flight; `None` if a thread drives it, or if another
    /// process may have driven it, so that it must be looked at.
    pub fn waiting_for(&self) -> Option<Wait> {
        let rests = self.is_in_flight() && !self.lock.is_locked() && !self.is_shared();
        rests.then(|| self.wait())
    }

    pub(super) fn wait(&self) -> Wait {
        // Relaxed: a reader that comes too early is woken too early.
        Wait { events: self.events.load(Relaxed) as i16, deadline: self.deadline() }
    }

    /// Requests the end of the handshake of the socket `id`, whose slot it may not be any more. A
    /// thread that drives next ends it.
    pub(super) fn request(&self, id: SocketId, cancel: Cancel) {
        let serial = self.state.serial();
        // After the serial number, which a newer socket gets after its id.
        if self.is_of(id) {
            self.cancel.make(serial, cancel);
        }
    }

    /// The program gives the handshake up: the next driver disconnects the socket.
    pub fn cancel(&self, id: SocketId) {
        self.request(id, Cancel::ByProgram);
    }

    /// The token of entry `index` has come out of the set `epoll`.
    pub fn token_fired(&self, index: u32, epoll: i32) {
        // Relaxed, then Release: pairs with the Acquire in `sync`; the caller drives next.
        self.fired_in.store(epoll, Relaxed);
        self.fired.fetch_or(1 << index, Release);
    }

    /// Tells whether a filter keeps the kernel's entry `index` from being changed. Relaxed: the caller has
    /// just driven, or looks again under the run lock.
    pub fn is_stuck(&self, index: u32) -> bool {
        self.stuck.load(Relaxed) >> index & 1 != 0
    }

    /// Makes the thread `me` the one whose connect waits for the end, unless another one is.
    pub fn register_waiter(&self, me: i32) -> bool {
        // Relaxed throughout: decides nothing but the errno of the threads that don't wait.
        let seen = self.waiter.load(Relaxed);
        let is_free = seen == 0 || seen == me || sys::thread_has_ended(seen);
        is_free && self.waiter.compare_exchange(seen, me, Relaxed, Relaxed).is_ok()
    }

    /// The thread `me` waits no longer.
    pub fn stop_waiting(&self, me: i32) {
        // Relaxed: as in `register_waiter`.
        let _ = self.waiter.compare_exchange(me, 0, Relaxed, Relaxed);
    }

    pub(super) fn has_waiter(&self) -> bool {
        let waiter = self.waiter.load(Relaxed);
        waiter != 0 && sys::thread_is_alive(waiter)
    }
}

impl Inner {
    /// Makes what zeroed memory is not already.
    ///
    /// # Safety
    /// `inner` is zeroed memory, and the caller has the run lock.
    pub(super) unsafe fn make(inner: *mut Inner) {
        // SAFETY: the caller's.
        unsafe {
            (&raw mut (*inner).entries).write(Entries::NONE);
            (&raw mut (*inner).shared).write(None);
            (&raw mut (*inner).inode).write(None);
            (*inner).script.write(Script::EMPTY);
            (&raw mut (*inner).is_made).write(true);
        }
    }
}
