//! The driver of a handshake: the holder of its run lock.

use core::net::SocketAddr;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::cancel::Cancel;
use super::entries::{Entries, Target};
use super::epoll_entry::EpollEntry;
use super::image::Awaits;
use super::look::{Look, Owner, Report};
use super::run_lock::TryLock;
use super::shared::{Shared, TryLease};
use super::slot::{Inner, Slot};
use super::stage::Stage;
use super::token::Token;
use crate::sockets::record::End;
use crate::sockets::verified::Inode;
use crate::sockets::{OwnSocket, Progress, SlotId, SocketId, Unverified, Verified};
use crate::socks5::{Credentials, Handshake, Request};
use crate::sys::{self, Errno, own_descriptors, time};
use crate::tor::{Advance, DriveError};

/// Plan of a handshake.
pub struct Plan<'a> {
    /// Request to the proxy.
    pub request: &'a Request,
    /// The user name and password for Tor.
    pub credentials: Option<&'a Credentials>,
    /// The address at which the socket reaches Tor.
    pub tor: SocketAddr,
    /// When it has to be over, in nanoseconds since boot.
    pub deadline: u64,
}

/// Number of tries for a run lock that is held for the time of a step.
const TRIES: u32 = 10_000;

impl Slot {
    /// Drives the handshake of the socket `id` as far as it goes without waiting, brings the kernel's
    /// epoll entries in line, and tells the record if it has ended. Without `owner` the record learns
    /// of the end at its next look. `fd` is a descriptor of the socket.
    pub fn drive(
        &self,
        number: SlotId,
        id: SocketId,
        owner: Option<Owner<'_>>,
        fd: Option<i32>,
    ) -> Look {
        sys::without_signals(|| {
            if self.lock.try_lock() == TryLock::Notified {
                return Look::at(Progress::Busy);
            }
            let locked = Locked::new(self, number);
            if self.is_of(id) {
                if let Some(fd) = fd {
                    // Relaxed: see `Slot::last_descriptor`.
                    self.last_descriptor.store(fd, Relaxed);
                }
                return locked.drive_until_quiet(owner);
            }
            locked.unlock();
            owner.map_or(Look::at(Progress::Unconnected), Look::lost)
        })
    }

    /// Takes the run lock, for the socket `id`, waiting for another thread's step if need be. The
    /// caller has blocked signals. `None` if the slot is another socket's, or other threads are at
    /// it all the time.
    pub fn lock_of(&self, slot: SlotId, id: SocketId) -> Option<Locked<'_>> {
        for _ in 0..TRIES {
            if let Some(locked) = self.try_lock_of(slot, id) {
                return Some(locked);
            }
            if !self.is_of(id) {
                return None;
            }
            sys::yield_now();
        }
        None
    }

    fn try_lock_of(&self, slot: SlotId, id: SocketId) -> Option<Locked<'_>> {
        let locked = self.try_lock_any(slot)?;
        if self.is_of(id) {
            return Some(locked);
        }
        locked.unlock();
        None
    }

    /// Takes the run lock if it is free. The caller has blocked signals.
    pub(super) fn try_lock_any(&self, slot: SlotId) -> Option<Locked<'_>> {
        self.lock.try_lock_quietly().then(|| Locked::new(self, slot))
    }

    /// The last descriptor that this process had of the socket `id` is closed. A socket that forked
    /// processes have, too, is left to them.
    pub(super) fn last_descriptor_closed(&self, slot: SlotId, id: SocketId) {
        self.request(id, Cancel::LastClose);
        // Where another thread holds the run lock, it looks again.
        let _ = self.drive(slot, id, None, None);
    }

    /// In a forked child: frees what belonged to threads that the child lacks. Handshakes that the
    /// child can't share are given up here; the parent goes on with them.
    pub(super) fn after_fork_in_child(&self, slot: SlotId) {
        let was_locked = self.lock.reset_in_child();
        // Relaxed: the child has one thread.
        self.waiter.store(0, Relaxed);
        let Some(mut locked) = self.try_lock_any(slot) else { return };
        let inner = locked.inner_mut();
        inner.process = sys::process();
        if inner.shared.is_some() && was_locked {
            // A step was half done here: the transcript says how far it came.
            inner.version = u32::MAX;
        }
        if self.is_in_flight() && inner.shared.is_none() {
            locked.give_up();
        }
        locked.unlock();
    }
}

/// The right to change a slot, whose holder has blocked signals. It ends in [`Locked::unlock`] or
/// [`Locked::drive_until_quiet`]; it has no destructor, as it is held across system calls.
#[must_use = "the slot stays locked"]
pub struct Locked<'s> {
    slot: &'s Slot,
    number: SlotId,
    /// This holder has started the handshake: what it has just compared, asked and read holds for the
    /// first step.
    is_first: bool,
}

impl<'s> Locked<'s> {
    fn new(slot: &'s Slot, number: SlotId) -> Locked<'s> {
        Locked { slot, number, is_first: false }
    }

    fn inner(&self) -> &Inner {
        // SAFETY: the run lock.
        unsafe { &*self.slot.inner.get() }
    }

    fn inner_mut(&mut self) -> &mut Inner {
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
    /// [`Locked::drive_until_quiet`] or [`Locked::undo_start`]. `waiter` is the thread whose connect
    /// waits, if any; `fd` is the program's descriptor.
    pub fn start(&mut self, fd: i32, own: OwnSocket, plan: &Plan<'_>, waiter: Option<i32>) {
        self.close_own();
        self.write_script(plan);
        self.is_first = true;
        let inner = self.inner_mut();
        inner.inode = None;
        (inner.own, inner.keeps_own) = (own.into_number(), waiter.is_some());
        inner.stays_connected = false;
        // Relaxed: see `Slot::last_descriptor`.
        self.slot.last_descriptor.store(fd, Relaxed);
        // Relaxed throughout: the Release in `State::set` publishes them.
        self.slot.deadline.store(plan.deadline, Relaxed);
        self.slot.events.store(libc::POLLOUT as u32, Relaxed);
        self.slot.waiter.store(waiter.unwrap_or(0), Relaxed);
        self.slot.cancel.forget();
        self.slot.state.set(Stage::InFlight);
        self.sync();
    }

    /// In a frame of its own, and in place: a script is large, and some stacks are small.
    #[inline(never)]
    fn write_script(&mut self, plan: &Plan<'_>) {
        let script = self.inner_mut().script.as_mut_ptr();
        // SAFETY: the slot's own memory, and the caller has the run lock.
        unsafe {
            (&raw mut (*script).request).write(*plan.request);
            (&raw mut (*script).tor).write(plan.tor);
            (&raw mut (*script).handshake).write(Handshake::new(plan.request, plan.credentials));
        }
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

    fn close_own(&mut self) {
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

    /// Drives the handshake, again while other threads leave notices, and unlocks. If it has ended,
    /// `owner` is told before that; then the slot is free, unless the socket has epoll entries.
    pub fn drive_until_quiet(mut self, owner: Option<Owner<'_>>) -> Look {
        let mut last = Look::at(Progress::Unconnected);
        loop {
            if self.slot.is_in_flight() {
                last = self.step();
            }
            self.end_first_step();
            self.sync();
            if self.slot.stuck.load(Relaxed) != 0 && self.slot.is_in_flight() {
                // A set would tell of nothing more, and its program wait for ever.
                last = self.fail(Some(DriveError::Socket(Errno(libc::EPERM))));
                self.sync();
            }
            self.end_if_closed();
            let progress = match self.slot.stage() {
                Stage::InFlight if last.progress == Progress::Busy => Progress::Busy,
                Stage::InFlight => Progress::Waiting(self.slot.wait()),
                Stage::Ended(progress) => {
                    if let Some(owner) = owner {
                        self.tell(owner, progress);
                    }
                    progress
                }
                Stage::Free | Stage::Idle => Progress::Unconnected,
            };
            if !self.inner().keeps_own {
                self.close_own();
            }
            // Before this another thread can't change it.
            if self.slot.lock.unlock() {
                return Look { progress, ..last };
            }
        }
    }

    /// From here on the handshake is another holder's as well, which may be under a filter by then.
    fn end_first_step(&mut self) {
        if self.is_first && self.slot.is_in_flight() {
            let inode = self.with_socket(Inode::of).ok().flatten();
            self.inner_mut().inode = inode;
        }
        self.is_first = false;
    }

    fn tell(&mut self, owner: Owner<'_>, progress: Progress) {
        let keeps_slot = !self.entries().is_empty();
        let stays_connected = self.inner().stays_connected;
        owner.complete(End { progress, stays_connected, keeps_slot });
        if !keeps_slot {
            self.slot.state.set(Stage::Free);
        }
    }

    /// Unlocks without a step. Where other threads have left notices meanwhile, what they brought is
    /// done first.
    pub fn unlock(self) {
        if !self.slot.lock.unlock() {
            let _ = self.drive_until_quiet(None);
        }
    }

    /// One step of a handshake in flight.
    fn step(&mut self) -> Look {
        if !self.is_first && self.inner().process != sys::process() {
            // A child that was forked behind the hooks: the parent goes on with it.
            self.give_up();
            return Look::at(Progress::Busy);
        }
        let Some(shared) = self.inner().shared else { return self.advance() };
        // SAFETY: mapped until `release_shared`, which needs the run lock.
        let shared = unsafe { shared.as_ref() };
        if let Some(end) = shared.end() {
            self.slot.state.set(Stage::Ended(end));
            return Look::at(end);
        }
        let lease = match shared.try_lease(time::monotonic_nanoseconds()) {
            TryLease::Busy => return Look::at(Progress::Busy),
            TryLease::Leased(lease) => lease,
            TryLease::Recovered(lease) => {
                let look = self.fail(None);
                shared.set_end(look.progress);
                let _ = shared.release(lease);
                return look;
            }
        };
        let version = shared.version();
        let is_ours = version == self.inner().version || self.catch_up(shared);
        self.inner_mut().version = version;
        let look = if is_ours { self.advance() } else { self.fail(None) };
        // SAFETY: written by `start`, and the caller has the run lock.
        let version = shared.publish(unsafe { &self.inner().script.assume_init_ref().handshake });
        self.inner_mut().version = version;
        if let Stage::Ended(end) = self.slot.stage() {
            shared.set_end(end);
        }
        let _ = shared.release(lease);
        look
    }

    fn catch_up(&mut self, shared: &Shared) -> bool {
        // SAFETY: written by `start`, and the caller has the run lock.
        shared.catch_up(unsafe { self.script() })
    }

    /// Does what the handshake asks for, or what the program has requested meanwhile.
    fn advance(&mut self) -> Look {
        match self.slot.cancel.made(self.slot.state.serial()) {
            Cancel::None => {}
            Cancel::LastClose if self.inner().shared.is_some() => {
                // The other processes go on.
                self.give_up();
                return Look::at(Progress::Unconnected);
            }
            Cancel::ByProgram | Cancel::LastClose => {
                let socket = self.with_socket(|socket| socket.disconnect());
                self.inner_mut().stays_connected = socket.is_err();
                self.slot.state.set(Stage::Ended(Progress::Unconnected));
                return Look::at(Progress::Unconnected);
            }
        }
        // SAFETY: written by `start`, and the caller has the run lock.
        let handshake = unsafe { self.script() };
        let advanced = self
            .with_socket(|socket| socket.advance(handshake))
            // The next thread that uses the socket supplies a descriptor: wait, at most until the
            // deadline.
            .unwrap_or(Ok(Advance::Waits(self.slot.wait().events)));
        match advanced {
            Ok(Advance::Done(_)) => {
                self.slot.state.set(Stage::Ended(Progress::Connected));
                Look { report: Some(self.report(None)), ..Look::at(Progress::Connected) }
            }
            Ok(Advance::Waits(_)) if self.is_overdue(0) => self.fail(Some(DriveError::TimedOut)),
            Ok(Advance::Waits(events)) => {
                // SAFETY: as above, and the one before is not used any more.
                let awaits = Awaits::of(unsafe { self.script() }).number();
                // Relaxed: see `Slot::wait`.
                self.slot.events.store(events as u32 | awaits << Slot::AWAITS, Relaxed);
                Look::at(Progress::Waiting(self.slot.wait()))
            }
            Err(error) => self.fail(Some(error)),
        }
    }

    /// The handshake's state, apart from the rest of the slot.
    ///
    /// # Safety
    /// [`Locked::start`] has written the script, and the caller uses one of these at a time.
    unsafe fn script(&mut self) -> &'s mut Handshake {
        // SAFETY: the caller's contract, and the run lock.
        unsafe { &mut (*self.slot.inner.get()).script.assume_init_mut().handshake }
    }

    /// Ends the handshake with an error: `ECONNABORTED` without a reason of its own. The socket is
    /// disconnected; one whose connect does not wait tells of the error itself, too.
    fn fail(&mut self, error: Option<DriveError>) -> Look {
        let errno = error.map_or(Errno(libc::ECONNABORTED), |error| error.errno());
        // SAFETY: written by `start`, and the caller has the run lock.
        let tor = unsafe { self.inner().script.assume_init_ref() }.tor;
        let has_waiter = self.slot.has_waiter();
        let disconnected = self.with_socket(|socket| match has_waiter {
            true => socket.disconnect(),
            false => socket.refuse(&tor),
        });
        self.inner_mut().stays_connected = disconnected.is_err();
        let progress = Progress::Failed(errno);
        self.slot.state.set(Stage::Ended(progress));
        Look { progress, report: error.map(|error| self.report(Some(error))) }
    }

    fn report(&self, error: Option<DriveError>) -> Report {
        // SAFETY: written by `start`, and the caller has the run lock.
        Report { request: unsafe { self.inner().script.assume_init_ref() }.request, error }
    }

    /// Ends the handshake here, and leaves the socket as it is: other processes go on with it.
    fn give_up(&mut self) {
        for entry in self.inner_mut().entries.iter_mut() {
            entry.restore(false);
        }
        self.inner_mut().stays_connected = true;
        self.slot.state.set(Stage::Ended(Progress::Failed(Errno(libc::ECONNABORTED))));
    }

    /// Makes the kernel's epoll entries what they have to be at this stage.
    fn sync(&mut self) {
        // Acquire pairs with the Release in `Slot::token_fired`.
        let fired = self.slot.fired.swap(0, Acquire);
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
    fn end_if_closed(&mut self) {
        let closed = self.slot.cancel.made(self.slot.state.serial()) == Cancel::LastClose;
        if closed && !self.slot.is_in_flight() {
            self.release_all();
            self.slot.state.set(Stage::Free);
        }
    }

    /// The socket is about to be shared with a forked process. `false` without memory: then only this
    /// process goes on with the handshake.
    pub(super) fn share(&mut self) -> bool {
        if self.inner().shared.is_none() {
            let Ok(shared) = Shared::map() else { return false };
            // SAFETY: a fresh mapping; written by `start`, and the caller has the run lock.
            let version = unsafe {
                shared.as_ref().publish(&self.inner().script.assume_init_ref().handshake)
            };
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
