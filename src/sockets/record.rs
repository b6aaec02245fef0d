//! The record of one inet stream socket: which socket it is, and where its connect stands.

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::sync::atomic::{
    AtomicU32, AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, SeqCst},
};

use super::{Connection, Progress, SocketId, Standing};
use crate::sys::Errno;

/// The number of a slot in the table of handshakes.
pub type SlotId = u32;

/// Stands for an identity that the kernel was not asked for yet. It gives none of its sockets this one.
pub const UNASKED: SocketId = SocketId(0);

/// The right to connect one socket, taken by [`Record::begin_connect`]. It ends in
/// [`Record::publish`], [`Record::send_off`] or [`Record::abandon`]; it has no destructor, as it is
/// carried across system calls.
#[derive(Debug)]
#[must_use = "the record stays claimed"]
pub struct Claim(());

/// A handshake in flight, as one look at its record has shown it.
#[derive(Clone, Copy, Debug)]
pub struct InFlight {
    /// The socket.
    pub id: SocketId,
    /// The slot of its handshake.
    pub slot: SlotId,
    seen: State,
}

/// End of a handshake, for [`Record::complete`].
#[derive(Clone, Copy, Debug)]
pub struct End {
    /// `Connected`, `Failed`, or `Unconnected` if it was cancelled.
    pub progress: Progress,
    /// The socket could not be disconnected from Tor's port: its failure is told for ever.
    pub stays_connected: bool,
    /// The slot has the socket's epoll entries.
    pub keeps_slot: bool,
    /// A connect that waits tells the program.
    pub is_told: bool,
}

/// Records of this process that are claimed, in flight, or owe an error. While it is 0, no hook has
/// to look at any descriptor.
static IN_FLIGHT: AtomicU32 = AtomicU32::new(0);

/// The number of records of this process that are claimed, in flight, or owe the program an error.
/// Async-signal-safe.
#[inline(always)]
pub fn in_flight_count() -> u32 {
    // Relaxed: a thread that learned of a connect from its caller is ordered after the count by
    // that. For every other thread the call may as well have come first.
    IN_FLIGHT.load(Relaxed)
}

/// The state's tag; [`Progress`] is what it means to callers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Phase {
    Unconnected = 0,
    Claimed = 1,
    Connected = 2,
    InFlight = 3,
    Failed = 4,
}

/// The state of a record in one word, so that each step is one compare-and-swap: the phase, the
/// number of the attempt, the errno of a failure, the slot of the handshake plus 1, and the mark of a
/// failure that stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State(u64);

impl State {
    const UNCONNECTED: State = State(0);
    const PHASE: u64 = 0x7;
    const ATTEMPT: u64 = 1 << 3;
    const ATTEMPTS: u64 = 0x1fff << 3;
    const ERRNO: u32 = 16;
    /// Of `Connected`, in the place of an errno: no call of connect has told the program.
    const UNTOLD: u64 = 1 << Self::ERRNO;
    const SLOT: u32 = 32;
    /// The socket is still connected to Tor's port: the failure is told again and again.
    const STAYS: u64 = 1 << 63;

    const fn phase(self) -> Phase {
        match self.0 & Self::PHASE {
            0 => Phase::Unconnected,
            1 => Phase::Claimed,
            2 => Phase::Connected,
            3 => Phase::InFlight,
            _ => Phase::Failed,
        }
    }

    const fn errno(self) -> Errno {
        Errno((self.0 >> Self::ERRNO) as u16 as i32)
    }

    fn slot(self) -> Option<SlotId> {
        ((self.0 & !Self::STAYS) >> Self::SLOT).checked_sub(1).map(|slot| slot as SlotId)
    }

    /// The same slot and attempt in another phase, without an errno.
    const fn to(self, phase: Phase) -> State {
        State(self.0 & !(Self::PHASE | 0xffff << Self::ERRNO | Self::STAYS) | phase as u64)
    }

    const fn failed(self, errno: Errno) -> State {
        State(self.to(Phase::Failed).0 | (errno.0 as u16 as u64) << Self::ERRNO)
    }

    /// The same without a slot.
    const fn without_slot(self) -> State {
        State(self.0 & (u32::MAX as u64 | Self::STAYS))
    }

    const fn with_slot(self, slot: SlotId) -> State {
        State(self.without_slot().0 | (slot as u64 + 1) << Self::SLOT)
    }

    /// The number wraps; a look that is 8,192 attempts old is not told from a fresh one.
    const fn next_attempt(self) -> State {
        State(self.0 & !Self::ATTEMPTS | self.0.wrapping_add(Self::ATTEMPT) & Self::ATTEMPTS)
    }
}

/// One inet stream socket, however many descriptors name it. The layout is C's: see
/// [`Image`](super::Image).
#[derive(Debug)]
#[repr(C)]
pub struct Record {
    /// Written once, if it begins as [`UNASKED`]. It guards nothing else: Relaxed. A thread that finds the
    /// slot of a handshake here finds the identity, too, which was written before.
    id: AtomicU64,
    state: AtomicU64,
    connection: UnsafeCell<MaybeUninit<Connection>>,
}

// SAFETY: `connection` is written only by the holder of the one claim, before the Release of
// `Connected` or `InFlight`, and read only after an Acquire load has seen `Connected`.
unsafe impl Sync for Record {}

impl Record {
    /// A record of the socket `id`, not connected yet.
    pub const fn new(id: SocketId) -> Self {
        Record {
            id: AtomicU64::new(id.0),
            state: AtomicU64::new(State::UNCONNECTED.0),
            connection: UnsafeCell::new(MaybeUninit::uninit()),
        }
    }

    /// Makes a new record in memory that no other caller reads but by [`Record::has_slot_at`].
    ///
    /// # Safety
    /// `memory` is good for a record, and the caller's.
    #[inline(always)]
    pub(super) unsafe fn renew_at(memory: *mut Record, id: SocketId) {
        // SAFETY: the caller's; these are atomic, and the connection may stay as it is.
        unsafe {
            // Relaxed: what makes the record visible releases both.
            (*memory).id.store(id.0, Relaxed);
            (*memory).state.store(State::UNCONNECTED.0, Relaxed);
        }
    }

    /// Tells whether the record at `memory`, in any life of this memory, has a slot.
    ///
    /// # Safety
    /// A record was made at `memory` before.
    #[inline(always)]
    pub(super) unsafe fn has_slot_at(memory: *const Record) -> bool {
        // SeqCst, after the entry went, pairs with the fence in `Sockets::end_if_closed`. If the slot comes
        // first, this load finds it; if the load comes first, the connect finds that the entry has gone.
        // SAFETY: an atomic that was written before.
        State(unsafe { (*memory).state.load(SeqCst) }).slot().is_some()
    }

    /// The identity of the socket; [`UNASKED`] while no call has needed it. Async-signal-safe.
    pub fn id(&self) -> SocketId {
        SocketId(self.id.load(Relaxed))
    }

    /// Gives an [`UNASKED`] record the identity of its socket. Says whether it has that identity now.
    /// Async-signal-safe.
    pub fn identify(&self, id: SocketId) -> bool {
        match self.id.compare_exchange(UNASKED.0, id.0, Relaxed, Relaxed) {
            Ok(_) => true,
            Err(other) => other == id.0,
        }
    }

    /// State of the connect, as far as the record knows: `Busy` while a handshake is in flight.
    /// Async-signal-safe.
    pub fn progress(&self) -> Progress {
        let state = self.state();
        match state.phase() {
            Phase::Unconnected => Progress::Unconnected,
            Phase::Claimed | Phase::InFlight => Progress::Busy,
            Phase::Connected => Progress::Connected,
            Phase::Failed => Progress::Failed(state.errno()),
        }
    }

    /// Takes the right to connect in one atomic step. The error is where the connect stands instead.
    /// Async-signal-safe.
    pub fn begin_connect(&self) -> Result<Claim, Progress> {
        // Relaxed: see `in_flight_count`. Before the claim, so that a claimed record is counted.
        IN_FLIGHT.fetch_add(1, Relaxed);
        let begun = self.change(|state| match state.phase() {
            Phase::Unconnected => Ok(state.to(Phase::Claimed).next_attempt()),
            _ => Err(()),
        });
        match begun {
            Ok(_) => Ok(Claim(())),
            Err(()) => {
                end_in_flight();
                Err(self.progress())
            }
        }
    }

    /// Makes `connection` visible, for good. Async-signal-safe.
    pub fn publish(&self, claim: Claim, connection: Connection) {
        let Claim(()) = claim;
        self.write(connection);
        // The holder of the claim is the only one who changes the phase.
        let _ = self.change(|state| Ok::<_, ()>(state.to(Phase::Connected)));
        end_in_flight();
    }

    /// Makes `connection` visible, if the record is unconnected. Async-signal-safe.
    pub fn publish_now(&self, connection: Connection) {
        if let Ok(claim) = self.begin_connect() {
            self.publish(claim, connection);
        }
    }

    /// Puts the handshake in `slot` into flight: every thread that uses the socket drives it from
    /// now on, and `connection` becomes visible if it ends well. Async-signal-safe.
    pub fn send_off(&self, claim: Claim, connection: Connection, slot: SlotId) -> InFlight {
        let Claim(()) = claim;
        self.write(connection);
        let next = |state: State| state.to(Phase::InFlight).with_slot(slot);
        // The last descriptor may be closed meanwhile: the attempt is the one of this step.
        let before = self.change(|state| Ok::<_, core::convert::Infallible>(next(state)));
        let seen = next(before.unwrap_or(State::UNCONNECTED));
        InFlight { id: self.id(), slot, seen }
    }

    /// Gives the claim back after a failure; the next connect may begin. Async-signal-safe.
    pub fn abandon(&self, claim: Claim) {
        let Claim(()) = claim;
        let _ = self.change(|state| Ok::<_, ()>(state.to(Phase::Unconnected)));
        end_in_flight();
    }

    /// The handshake that is in flight, if there is one. Async-signal-safe.
    pub fn in_flight(&self) -> Option<InFlight> {
        let seen = self.state();
        let slot = seen.slot().filter(|_| seen.phase() == Phase::InFlight)?;
        Some(InFlight { id: self.id(), slot, seen })
    }

    /// Takes note of how the handshake that `attempt` saw has ended, unless another caller has, or a
    /// later one is in flight. Async-signal-safe.
    pub fn complete(&self, attempt: InFlight, end: End) {
        let seen = if end.keeps_slot { attempt.seen } else { attempt.seen.without_slot() };
        let next = match end.progress {
            Progress::Connected if end.is_told => seen.to(Phase::Connected),
            Progress::Connected => State(seen.to(Phase::Connected).0 | State::UNTOLD),
            Progress::Failed(errno) if end.stays_connected => {
                State(seen.failed(errno).0 | State::STAYS)
            }
            Progress::Failed(errno) => seen.failed(errno),
            Progress::Unconnected => seen.to(Phase::Unconnected),
            Progress::Busy | Progress::Waiting(_) => return,
        };
        let seen = attempt.seen;
        // As in `change`; the caller that wins the compare-and-swap counts.
        let completed = self.state.compare_exchange(seen.0, next.0, AcqRel, Acquire).is_ok();
        if completed && next.phase() != Phase::Failed {
            end_in_flight();
        }
    }

    /// Tells whether the handshake has ended well and no call of connect has said so, once.
    /// Async-signal-safe.
    pub fn take_success(&self) -> bool {
        let taken = self.change(|state| match state.phase() {
            Phase::Connected if state.0 & State::UNTOLD != 0 => Ok(State(state.0 & !State::UNTOLD)),
            _ => Err(()),
        });
        taken.is_ok()
    }

    /// The connect that waited has ended for another reason, while the handshake ended well: the next one
    /// tells the program. Async-signal-safe.
    pub fn leave_success(&self) {
        let _ = self.change(|state| match state.phase() {
            Phase::Connected => Ok(State(state.0 | State::UNTOLD)),
            _ => Err(()),
        });
    }

    /// The errno of a failed handshake, once; the record is unconnected then. Async-signal-safe.
    pub fn take_error(&self) -> Option<Errno> {
        let taken = self.change(|state| match state.phase() {
            Phase::Failed if state.0 & State::STAYS == 0 => Ok(state.to(Phase::Unconnected)),
            Phase::Failed => Err(Some(state.errno())),
            _ => Err(None),
        });
        match taken {
            Ok(before) => {
                end_in_flight();
                Some(before.errno())
            }
            Err(stays) => stays,
        }
    }

    /// The slot of the handshake, or of the epoll entries of a socket that is not connecting.
    /// Async-signal-safe.
    pub fn slot(&self) -> Option<SlotId> {
        self.state().slot()
    }

    /// Gives an unconnected record without a slot the slot of its epoll entries. The error is the
    /// slot that another thread has given it, or `None` if it is past that. Async-signal-safe.
    pub fn set_slot(&self, slot: SlotId) -> Result<(), Option<SlotId>> {
        self.change(|state| match (state.phase(), state.slot()) {
            (Phase::Unconnected, None) => Ok(state.with_slot(slot)),
            (_, other) => Err(other),
        })
        .map(drop)
    }

    /// Takes out the slot of the epoll entries: for the record that comes in this one's place, or
    /// because the last entry went. `None` while a handshake is there. Async-signal-safe.
    pub fn take_slot(&self) -> Option<SlotId> {
        let taken = self.change(|state| match state.phase() {
            Phase::Unconnected | Phase::Connected => Ok(state.without_slot()),
            Phase::Claimed | Phase::InFlight | Phase::Failed => Err(()),
        });
        taken.ok()?.slot()
    }

    /// In a forked child, which lacks the thread that had claimed the record: the next connect may
    /// begin. Async-signal-safe.
    pub fn forget_claim(&self) {
        let forgotten = self.change(|state| match state.phase() {
            Phase::Claimed => Ok(state.to(Phase::Unconnected)),
            _ => Err(()),
        });
        if forgotten.is_ok() {
            end_in_flight();
        }
    }

    /// No thread of this process will ask for the outcome any more: the last descriptor is closed. Gives
    /// the slot, once, as another record of the socket may come to have it. Async-signal-safe.
    pub(super) fn close(&self) -> Option<SlotId> {
        let closed = self.change(|state| match state.phase() {
            _ if state.slot().is_none() => Err(()),
            Phase::InFlight | Phase::Failed => Ok(state.to(Phase::Unconnected).without_slot()),
            _ => Ok(state.without_slot()),
        });
        let before = closed.ok()?;
        if matches!(before.phase(), Phase::InFlight | Phase::Failed) {
            end_in_flight();
        }
        before.slot()
    }

    /// The connection, if one was published. Async-signal-safe.
    pub fn connection(&self) -> Option<&Connection> {
        // SAFETY: Connected was seen with Acquire, so the Connection is written and immutable.
        (self.state().phase() == Phase::Connected)
            .then(|| unsafe { (*self.connection.get()).assume_init_ref() })
    }

    /// State of a record whose word this is.
    pub(super) fn standing(state: u64) -> Standing {
        match State(state).phase() {
            Phase::Unconnected => Standing::Unconnected,
            Phase::Claimed => Standing::Claimed,
            Phase::Connected => Standing::Connected,
            Phase::InFlight => Standing::InFlight,
            Phase::Failed => Standing::Failed(State(state).errno()),
        }
    }

    /// The slot of a record whose state is this word.
    pub(super) fn slot_in(state: u64) -> Option<SlotId> {
        State(state).slot()
    }

    fn state(&self) -> State {
        // Acquire pairs with the AcqRel in `change` and `complete`.
        State(self.state.load(Acquire))
    }

    /// Replaces the state; gives the one before. AcqRel: Release shows what was written before
    /// (`connection`) to a thread that sees the new phase, Acquire sees the end of the attempt
    /// before.
    fn change<E>(&self, next: impl Fn(State) -> Result<State, E>) -> Result<State, E> {
        let mut state = self.state();
        loop {
            let changed = next(state)?;
            match self.state.compare_exchange_weak(state.0, changed.0, AcqRel, Acquire) {
                Ok(_) => return Ok(state),
                Err(other) => state = State(other),
            }
        }
    }

    fn write(&self, connection: Connection) {
        // SAFETY: the caller has the one claim, and no reader looks before Connected.
        unsafe { (*self.connection.get()).write(connection) };
    }
}

fn end_in_flight() {
    // Relaxed: see `in_flight_count`.
    IN_FLIGHT.fetch_sub(1, Relaxed);
}

#[cfg(test)]
mod tests;
