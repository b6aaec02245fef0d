//! The steps of a handshake, which the holder of its run lock takes.

use core::sync::atomic::Ordering::Relaxed;

use super::cancel::Cancel;
use super::image::Awaits;
use super::locked::{Locked, TRIES};
use super::look::{Look, Owner, Report, Step};
use super::run_lock::TryLock;
use super::shared::{Shared, TryLease};
use super::slot::Slot;
use super::stage::Stage;
use crate::sockets::record::End;
use crate::sockets::{Progress, SlotId, SocketId};
use crate::sys::{self, Errno, SignalsBlocked, time};
use crate::tor::{Advance, DriveError};

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
        blocked: &SignalsBlocked,
    ) -> Look {
        if self.lock.try_lock() == TryLock::Notified && !self.lock_after_end(id) {
            return Look::at(Progress::Busy);
        }
        let locked = Locked::new(self, number, blocked);
        if self.is_of(id) {
            if let Some(fd) = fd {
                // Relaxed: see `Slot::last_descriptor`.
                self.last_descriptor.store(fd, Relaxed);
            }
            return locked.drive_until_quiet(owner);
        }
        locked.unlock();
        owner.map_or(Look::at(Progress::Unconnected), Look::lost)
    }

    /// Takes the run lock from a thread that has ended the handshake of the socket `id`. The kernel tells of the
    /// end before that thread unlocks, and a program that was told must not meet a connect under way. `false`
    /// where the handshake goes on, or the thread is kept from unlocking.
    #[cold]
    fn lock_after_end(&self, id: SocketId) -> bool {
        let has_ended = || matches!(self.stage(), Stage::Ended(_)) && self.is_of(id);
        (0..TRIES).take_while(|_| has_ended()).any(|_| {
            sys::yield_now();
            self.lock.try_lock_quietly()
        })
    }

    /// The last descriptor that this process had of the socket `id` is closed. A socket that forked
    /// processes have, too, is left to them.
    pub(super) fn last_descriptor_closed(&self, slot: SlotId, id: SocketId) {
        self.request(id, Cancel::LastClose);
        // Where another thread holds the run lock, it looks again.
        let _ = sys::without_signals(|blocked| self.drive(slot, id, None, None, blocked));
    }

    /// In a forked child: frees what belonged to threads that the child lacks. Handshakes that the
    /// child can't share are given up here; the parent goes on with them.
    pub(super) fn after_fork_in_child(&self, slot: SlotId, blocked: &SignalsBlocked) {
        let was_locked = self.lock.reset_in_child();
        // Relaxed: the child has one thread.
        self.waiter.store(0, Relaxed);
        let Some(mut locked) = self.try_lock_any(slot, blocked) else { return };
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

impl Locked<'_> {
    /// Drives the handshake, again while other threads leave notices, and unlocks. If it has ended,
    /// `owner` is told before that; then the slot is free, unless the socket has epoll entries.
    pub fn drive_until_quiet(mut self, owner: Option<Owner<'_>>) -> Look {
        let mut last = Step::at(Progress::Unconnected);
        let mut waiter = None;
        loop {
            if self.slot.is_in_flight() {
                last = self.step();
            }
            if self.is_first {
                waiter = self.end_first_step();
            }
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
            let tells_success = self.inner().tells_success;
            let report = last.end.filter(|end| end.is_err() || tells_success);
            let report = report.map(|end| self.report(end.err()));
            // Before this another thread can't change it.
            if self.slot.lock.unlock() {
                return Look { progress, report, waiter };
            }
        }
    }

    /// From here on the handshake is another holder's as well. Gives the thread, if its connect waits: the kernel
    /// is asked for it once the request is on its way.
    fn end_first_step(&mut self) -> Option<i32> {
        self.is_first = false;
        let waiter = self.inner().keeps_own.then(sys::gettid);
        if let Some(me) = waiter {
            // Relaxed: see `Slot::register_waiter`.
            self.slot.waiter.store(me, Relaxed);
        }
        waiter
    }

    fn tell(&mut self, owner: Owner<'_>, progress: Progress) {
        let keeps_slot = !self.entries().is_empty();
        let stays_connected = self.inner().stays_connected;
        // Relaxed: if the thread stops waiting at this moment, the next connect answers EISCONN at once.
        let is_told = self.slot.waiter.load(Relaxed) != 0;
        owner.complete(End { progress, stays_connected, keeps_slot, is_told });
        if !keeps_slot {
            self.slot.state.set(Stage::Free);
        }
    }

    /// One step of a handshake in flight.
    fn step(&mut self) -> Step {
        if !self.is_first && self.inner().process != sys::process() {
            // A child that was forked behind the hooks: the parent goes on with it.
            self.give_up();
            return Step::at(Progress::Busy);
        }
        let Some(shared) = self.inner().shared else { return self.advance() };
        // SAFETY: mapped until `release_shared`, which needs the run lock.
        let shared = unsafe { shared.as_ref() };
        if let Some(end) = shared.end() {
            self.slot.state.set(Stage::Ended(end));
            return Step::at(end);
        }
        if self.slot.cancel.made(self.slot.state.serial()) == Cancel::LastClose {
            // The other processes go on, and are told of no end.
            self.give_up();
            return Step::at(Progress::Unconnected);
        }
        let lease = match shared.try_lease(time::monotonic_nanoseconds()) {
            TryLease::Busy => return Step::at(Progress::Busy),
            TryLease::Leased(lease) => lease,
            TryLease::Recovered(lease) => {
                let step = self.fail(None);
                shared.set_end(step.progress);
                let _ = shared.release(lease);
                return step;
            }
        };
        let version = shared.version();
        let is_ours = version == self.inner().version || self.catch_up(shared);
        self.inner_mut().version = version;
        let step = if is_ours { self.advance() } else { self.fail(None) };
        let version = shared.publish(&self.script().handshake);
        self.inner_mut().version = version;
        if let Stage::Ended(end) = self.slot.stage() {
            shared.set_end(end);
        }
        let _ = shared.release(lease);
        step
    }

    fn catch_up(&mut self, shared: &Shared) -> bool {
        shared.catch_up(&mut self.script_mut().handshake)
    }

    /// Does what the handshake asks for, or what the program has requested meanwhile.
    fn advance(&mut self) -> Step {
        match self.slot.cancel.made(self.slot.state.serial()) {
            Cancel::None => {}
            Cancel::ByProgram | Cancel::LastClose => {
                let socket = self.with_socket(|socket| socket.reset());
                self.inner_mut().stays_connected = socket.is_err();
                self.slot.state.set(Stage::Ended(Progress::Unconnected));
                return Step::at(Progress::Unconnected);
            }
        }
        // SAFETY: the only one.
        let handshake = unsafe { self.handshake() };
        let advanced = self
            .with_socket(|socket| socket.advance(handshake))
            // The next thread that uses the socket supplies a descriptor: wait, at most until the
            // deadline.
            .unwrap_or(Ok(Advance::Waits(self.slot.wait().events)));
        match advanced {
            Ok(Advance::Done(_)) => {
                self.slot.state.set(Stage::Ended(Progress::Connected));
                Step { progress: Progress::Connected, end: Some(Ok(())) }
            }
            Ok(Advance::Waits(_)) if self.is_overdue(0) => self.fail(Some(DriveError::TimedOut)),
            Ok(Advance::Waits(events)) => {
                let awaits = Awaits::of(&self.script().handshake).number();
                // Relaxed: see `Slot::wait`.
                self.slot.events.store(events as u32 | awaits << Slot::AWAITS, Relaxed);
                Step::at(Progress::Waiting(self.slot.wait()))
            }
            Err(error) => self.fail(Some(error)),
        }
    }

    /// Ends the handshake with an error: `ECONNABORTED` without a reason of its own. The socket is
    /// disconnected; one whose connect does not wait tells of the error itself, too.
    fn fail(&mut self, error: Option<DriveError>) -> Step {
        let errno = error.map_or(Errno(libc::ECONNABORTED), |error| error.errno());
        let tor = self.script().tor;
        let has_waiter = match self.is_first {
            true => self.inner().keeps_own,
            false => self.slot.has_waiter(),
        };
        let disconnected = self.with_socket(|socket| match has_waiter {
            true => socket.disconnect(),
            false => socket.refuse(&tor),
        });
        self.inner_mut().stays_connected = disconnected.is_err();
        let progress = Progress::Failed(errno);
        self.slot.state.set(Stage::Ended(progress));
        Step { progress, end: error.map(Err) }
    }

    fn report(&self, error: Option<DriveError>) -> Report {
        Report { request: self.script().request, error }
    }
}

#[cfg(all(test, not(crossbeam_loom)))]
mod tests {
    use super::super::TABLE;
    use super::*;

    #[test]
    fn a_thread_that_was_told_of_the_end_meets_no_connect_under_way() {
        let id = SocketId(u64::MAX - 1);
        let look = |slot: &Slot, number| {
            sys::without_signals(|blocked| slot.drive(number, id, None, None, blocked).progress)
        };
        sys::without_signals(|blocked| {
            let (number, locked) = TABLE.allocate(id, blocked).expect("there is memory");
            let slot = locked.slot;
            slot.state.set(Stage::Ended(Progress::Connected));
            std::thread::scope(|scope| {
                let other = scope.spawn(|| look(slot, number));
                while !slot.lock.is_notified() {
                    sys::yield_now();
                }
                locked.unlock();
                assert_eq!(other.join().expect("no panic"), Progress::Connected);
            });
            let locked = slot.lock_of(number, id, blocked).expect("no other thread");
            assert!(!locked.leave());
        });
    }
}
