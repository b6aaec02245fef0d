//! The right to change a slot: its run lock, held.

use core::net::SocketAddr;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::cancel::Cancel;
use super::entries::{Entries, Target};
use super::epoll_entry::EpollEntry;
use super::shared::Shared;
use super::slot::{Inner, Script, Slot};
use super::stage::Stage;
use super::token::Token;
use crate::sockets::verified::Inode;
use crate::sockets::{OwnSocket, Progress, SlotId, SocketId, Unverified, Verified};
use crate::socks5::{Credentials, Handshake, Request};
use crate::sys::{self, Errno, SignalsBlocked, StatusFlags, own_descriptors, time};

/// Plan of a handshake.
pub struct Plan<'a> {
    /// Request to the proxy.
    pub request: &'a Request,
    /// The user name and password for Tor.
    pub credentials: Option<&'a Credentials>,
    /// The address at which the socket reaches Tor.
    pub tor: SocketAddr,
    /// The status flags of the socket's open file description.
    pub flags: StatusFlags,
    /// Time at which it has to be over, in nanoseconds since boot.
    pub deadline: u64,
    /// The call waits for the end.
    pub waits: bool,
    /// The log is told of the success, too.
    pub tells_success: bool,
}

/// Number of tries for a run lock that is held for the time of a step.
pub(super) const TRIES: u32 = 10_000;

impl Slot {
    /// Takes the run lock, for the socket `id`, waiting for another thread's step if need be. `None` if
    /// the slot is another socket's, or other threads are at it all the time.
    pub fn lock_of(
        &self,
        slot: SlotId,
        id: SocketId,
        blocked: &SignalsBlocked,
    ) -> Option<Locked<'_>> {
        for _ in 0..TRIES {
            if let Some(locked) = self.try_lock_of(slot, id, blocked) {
                return Some(locked);
            }
            if !self.is_of(id) {
                return None;
            }
            sys::yield_now();
        }
        None
    }

    fn try_lock_of(
        &self,
        slot: SlotId,
        id: SocketId,
        blocked: &SignalsBlocked,
    ) -> Option<Locked<'_>> {
        let locked = self.try_lock_any(slot, blocked)?;
        if self.is_of(id) {
            return Some(locked);
        }
        locked.unlock();
        None
    }

    /// Takes the run lock if it is free.
    pub(super) fn try_lock_any(
        &self,
        slot: SlotId,
        blocked: &SignalsBlocked,
    ) -> Option<Locked<'_>> {
        self.lock.try_lock_quietly().then(|| Locked::new(self, slot, blocked))
    }
}

/// The right to change a slot, whose holder has blocked signals. It ends in [`Locked::unlock`] or
/// [`Locked::drive_until_quiet`]; it has no destructor, as it is held across system calls.
#[must_use = "the slot stays locked"]
pub struct Locked<'s> {
    pub(super) slot: &'s Slot,
    number: SlotId,
    /// This holder has started the handshake: what it has just compared, asked and read holds for the
    /// first step.
    pub(super) is_first: bool,
}

impl<'s> Locked<'s> {
    /// The caller has just taken the run lock.
    pub(super) fn new(slot: &'s Slot, number: SlotId, _: &SignalsBlocked) -> Locked<'s> {
        Locked { slot, number, is_first: false }
    }

    pub(super) fn inner(&self) -> &Inner {
        // SAFETY: the run lock.
        unsafe { &*self.slot.inner.get() }
    }

    pub(super) fn inner_mut(&mut self) -> &mut Inner {
        // SAFETY: the run lock.
        unsafe { &mut *self.slot.inner.get() }
    }

    /// Gives the slot to the socket `id`.
    pub(super) fn assign(&mut self, id: SocketId) {
        if self.inner().is_made {
            self.release_all();
        } else {
            // SAFETY: never made before, thus zeroed; the run lock.
            unsafe { Inner::make(self.slot.inner.get()) };
        }
        self.inner_mut().process = sys::process();
        // Release pairs with the Acquire in `Slot::id`.
        self.slot.id.store(id.0, Release);
        self.slot.state.assign();
        // Relaxed: tokens of the last socket have another serial number.
        self.slot.fired.store(0, Relaxed);
        self.slot.stuck.store(0, Relaxed);
    }

    /// Puts a handshake into the slot: from here on the kernel's epoll entries of the socket carry
    /// tokens. The caller goes on to connect the socket by `own`, then to
    /// [`Locked::drive_until_quiet`] or [`Locked::undo_start`]. `fd` is the program's descriptor.
    pub fn start(&mut self, fd: i32, own: OwnSocket, plan: &Plan<'_>) {
        self.close_own();
        self.is_first = true;
        let script = self.script_mut();
        (script.request, script.tor) = (*plan.request, plan.tor);
        script.handshake.renew(plan.request, plan.credentials);
        let inner = self.inner_mut();
        inner.tells_success = plan.tells_success;
        inner.inode = None;
        (inner.own, inner.keeps_own) = (own.into_number(), plan.waits);
        inner.stays_connected = false;
        // Relaxed: see `Slot::last_descriptor`.
        self.slot.last_descriptor.store(fd, Relaxed);
        // Relaxed throughout: the Release in `State::set` publishes them.
        self.slot.deadline.store(plan.deadline, Relaxed);
        self.slot.events.store(libc::POLLOUT as u32, Relaxed);
        self.slot.waiter.store(0, Relaxed);
        self.slot.cancel.forget();
        self.slot.state.set(Stage::InFlight);
        self.sync();
    }

    /// Calls `act` with the socket of the slot: by a descriptor of the library's own if there is one,
    /// else by a duplicate for the time of the call.
    pub fn with_socket<T>(&self, act: impl FnOnce(Verified<'_>) -> T) -> Result<T, Unverified> {
        let (inner, id) = (self.inner(), self.slot.id());
        if self.is_first && inner.own != 0 {
            return Ok(act(OwnSocket::of_number(inner.own).verified()));
        }
        let inode = inner.inode;
        let entries = inner.entries.iter().map(EpollEntry::own);
        let mut own = Some(inner.own).filter(|own| *own != 0).into_iter().chain(entries);
        match own.find_map(|own| Verified::kept(own, id, inode).ok()) {
            Some(socket) => Ok(act(socket)),
            None => {
                let own = OwnSocket::of_known(self.slot.last_descriptor(), id, inode)?;
                let result = act(own.verified());
                own.close();
                Ok(result)
            }
        }
    }

    /// Takes a start back: the socket could not be connected. The slot stays with a socket that has
    /// epoll entries, and is free otherwise; says whether it stays.
    pub fn undo_start(mut self) -> bool {
        self.slot.state.set(Stage::Idle);
        self.close_own();
        self.sync();
        self.leave()
    }

    /// Unlocks the slot, which is free then if no handshake is in flight and the socket has no epoll
    /// entry. Says whether it stays the socket's.
    pub fn leave(self) -> bool {
        let is_in_use = self.slot.is_in_flight() || !self.entries().is_empty();
        if !is_in_use {
            self.slot.state.set(Stage::Free);
        }
        self.unlock();
        is_in_use
    }

    pub(super) fn close_own(&mut self) {
        let own = core::mem::take(&mut self.inner_mut().own);
        if own != 0 {
            own_descriptors::close(own);
        }
    }

    /// Gives back what the last socket of the slot had.
    fn release_all(&mut self) {
        self.close_own();
        self.inner_mut().entries.delete_all();
        self.release_shared();
    }

    fn release_shared(&mut self) {
        // Relaxed: a hint.
        self.slot.is_shared.store(0, Relaxed);
        if let Some(shared) = self.inner_mut().shared.take() {
            // SAFETY: used by the holder of the run lock only, who has just forgotten it.
            unsafe { Shared::unmap(shared) };
        }
    }

    /// Unlocks without a step. Where other threads have left notices meanwhile, what they brought is
    /// done first.
    pub fn unlock(self) {
        if !self.slot.lock.unlock() {
            let _ = self.drive_until_quiet(None);
        }
    }

    /// Data of the driver. The slot has a socket.
    pub(super) fn script(&self) -> &Script {
        // SAFETY: written by `Inner::make`, before the slot's first socket.
        unsafe { self.inner().script.assume_init_ref() }
    }

    pub(super) fn script_mut(&mut self) -> &mut Script {
        // SAFETY: as in `script`.
        unsafe { self.inner_mut().script.assume_init_mut() }
    }

    /// The handshake's state, apart from the rest of the slot.
    ///
    /// # Safety
    /// The caller uses one of these at a time.
    pub(super) unsafe fn handshake(&mut self) -> &'s mut Handshake {
        // SAFETY: the caller's contract, and the run lock.
        unsafe { &mut (*self.slot.inner.get()).script.assume_init_mut().handshake }
    }

    /// Asks for the socket's inode: a filter may soon forbid other questions.
    pub(super) fn note_inode(&mut self) {
        let inode = self.with_socket(Inode::of).ok().flatten();
        self.inner_mut().inode = inode;
    }

    /// Ends the handshake here, and leaves the socket as it is: other processes go on with it.
    pub(super) fn give_up(&mut self) {
        for entry in self.inner_mut().entries.iter_mut() {
            entry.restore(false);
        }
        self.inner_mut().stays_connected = true;
        self.slot.state.set(Stage::Ended(Progress::Failed(Errno(libc::ECONNABORTED))));
    }

    /// Makes the kernel's epoll entries what they have to be at this stage.
    pub(super) fn sync(&mut self) {
        // Acquire pairs with the Release in `Slot::token_fired`. A plain load first: mostly there is none, and
        // who fires one drives next.
        let fired = match self.slot.fired.load(Acquire) {
            0 => 0,
            _ => self.slot.fired.swap(0, Acquire),
        };
        let fired_in = self.slot.fired_in.load(Relaxed);
        let (slot, serial) = (self.number, self.slot.state.serial());
        let in_flight = self.slot.is_in_flight();
        let waits_for = in_flight.then(|| self.slot.wait().events as u32);
        let inner = self.inner_mut();
        // SAFETY: mapped until `release_shared`, which needs the run lock.
        let shared = inner.shared.map(|shared| unsafe { shared.as_ref() });
        inner.entries.tokens_fired(fired, fired_in);
        let stuck = inner.entries.sync(&Target { slot, serial, waits_for, shared });
        // Relaxed: see `Slot::is_stuck`.
        self.slot.stuck.store(stuck, Relaxed);
        if !in_flight {
            self.close_own();
            self.release_shared();
        }
    }

    /// Gives the slot back if the last descriptor of its socket was closed.
    pub(super) fn end_if_closed(&mut self) {
        let closed = self.slot.cancel.made(self.slot.state.serial()) == Cancel::LastClose;
        if closed && !self.slot.is_in_flight() {
            // The kernel's entries go with the socket: other processes may have it, and the sets.
            self.inner_mut().entries.close_all();
            self.release_all();
            self.slot.state.set(Stage::Free);
        }
    }

    /// The socket is about to be shared with a forked process. `false` without memory: then only this
    /// process goes on with the handshake.
    pub(super) fn share(&mut self) -> bool {
        if self.inner().shared.is_none() {
            let Ok(shared) = Shared::map() else { return false };
            // SAFETY: a fresh mapping.
            let version = unsafe { shared.as_ref() }.publish(&self.script().handshake);
            let inner = self.inner_mut();
            (inner.shared, inner.version) = (Some(shared), version);
        }
        self.inner_mut().entries.iter_mut().for_each(EpollEntry::share);
        // Relaxed: a hint.
        self.slot.is_shared.store(1, Relaxed);
        true
    }

    /// Tells whether a handshake is in flight.
    pub fn is_in_flight(&self) -> bool {
        self.slot.is_in_flight()
    }

    /// Tells whether no socket has the slot.
    pub fn is_free(&self) -> bool {
        self.slot.stage() == Stage::Free
    }

    /// Tells whether a handshake should have ended `grace` nanoseconds ago, and has not.
    pub(super) fn is_overdue(&self, grace: u64) -> bool {
        let overdue_from = self.slot.deadline().saturating_add(grace);
        self.slot.is_in_flight() && !self.is_first && overdue_from <= time::monotonic_nanoseconds()
    }

    /// The epoll entries of the socket.
    pub fn entries(&self) -> &Entries {
        &self.inner().entries
    }

    /// The epoll entries of the socket, to change them.
    pub fn entries_mut(&mut self) -> &mut Entries {
        &mut self.inner_mut().entries
    }

    /// The token of entry `index` while the handshake is in flight.
    pub fn token(&self, index: usize) -> Option<Token> {
        let token = || Token::new(self.number, self.slot.state.serial(), index as u32);
        self.slot.is_in_flight().then(token)
    }
}
