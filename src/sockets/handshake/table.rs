//! The table of the handshakes of this process.

use core::ptr::{NonNull, null_mut};
use core::sync::atomic::{
    AtomicPtr, AtomicU32, AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed},
};

use super::locked::Locked;
use super::slot::Slot;
use super::stage::Stage;
use crate::sockets::{Record, SlotId, SocketId};
use crate::sys::{self, Errno, SignalsBlocked, time};

/// Slots of the first chunk; each is twice as long as the one before.
const FIRST_CHUNK: u32 = 64;
/// Chunks.
const CHUNKS: usize = 9;
/// Number of handshakes that can be in flight at once, with the sockets registered in epoll sets.
pub const CAPACITY: u32 = FIRST_CHUNK * ((1 << CHUNKS) - 1);
/// Time after its deadline at which a handshake that no thread drives is given up, in nanoseconds.
const GRACE: u64 = 60_000_000_000;

/// The slots, in chunks that are mapped when they are needed and stay. The memory is this process's
/// own: a forked child has a copy.
#[derive(Debug)]
pub struct Table {
    chunks: [AtomicPtr<Slot>; CHUNKS],
    /// Slots below this were used.
    used: AtomicU32,
    /// Slot at which the next search starts.
    cursor: AtomicU32,
    /// The earliest deadline of those in flight, inverted so that zero is none; may be too early.
    nearest: AtomicU64,
    /// Handshakes that were in flight when the process forked, ever.
    shared: AtomicU32,
}

/// The chunk of a slot, and the slot's index there.
const fn place(slot: SlotId) -> (usize, usize) {
    let chunk = (slot / FIRST_CHUNK + 1).ilog2();
    (chunk as usize, (slot - FIRST_CHUNK * ((1 << chunk) - 1)) as usize)
}

impl Default for Table {
    fn default() -> Self {
        Table::new()
    }
}

impl Table {
    /// Slots of the first chunk; each is twice as long as the one before.
    pub const FIRST_CHUNK: u32 = FIRST_CHUNK;
    /// The number of chunks.
    pub const CHUNK_COUNT: u32 = CHUNKS as u32;

    /// Address of the list of the addresses of the chunks.
    pub const fn chunks(&self) -> *const () {
        (&raw const self.chunks).cast()
    }

    /// A table without memory.
    pub const fn new() -> Self {
        Table {
            chunks: [const { AtomicPtr::new(null_mut()) }; CHUNKS],
            used: AtomicU32::new(0),
            cursor: AtomicU32::new(0),
            nearest: AtomicU64::new(0),
            shared: AtomicU32::new(0),
        }
    }

    /// The slot of number `slot`.
    pub fn get(&self, slot: SlotId) -> Option<&Slot> {
        if slot >= CAPACITY {
            return None;
        }
        let (chunk, index) = place(slot);
        // Acquire pairs with the AcqRel in `map`.
        let first = NonNull::new(self.chunks.get(chunk)?.load(Acquire))?;
        // SAFETY: a mapping that stays, of as many slots as `place` tells apart in this chunk.
        Some(unsafe { first.add(index).as_ref() })
    }

    /// The slot of number `slot`, if it is still that of the socket `id`.
    pub fn find(&self, slot: SlotId, id: SocketId) -> Option<&Slot> {
        self.get(slot).filter(|found| found.is_of(id))
    }

    /// The slot of `record`, locked; `None` if it has none. Errors: `EAGAIN` if other threads are at it
    /// all the time.
    pub fn lock_of(
        &self,
        record: &Record,
        blocked: &SignalsBlocked,
    ) -> Result<Option<(SlotId, Locked<'_>)>, Errno> {
        let id = record.id();
        let found = record.slot().and_then(|number| Some((number, self.find(number, id)?)));
        let Some((number, slot)) = found else { return Ok(None) };
        match slot.lock_of(number, id, blocked) {
            Some(locked) if !locked.is_free() => Ok(Some((number, locked))),
            Some(locked) => {
                locked.unlock();
                Ok(None)
            }
            None if slot.is_of(id) => Err(Errno(libc::EAGAIN)),
            None => Ok(None),
        }
    }

    fn get_or_map(&self, slot: SlotId) -> Result<&Slot, Errno> {
        match self.get(slot) {
            Some(found) => Ok(found),
            None => {
                self.map(place(slot).0)?;
                self.get(slot).ok_or(Errno(libc::EAGAIN))
            }
        }
    }

    #[cold]
    fn map(&self, chunk: usize) -> Result<(), Errno> {
        let place = self.chunks.get(chunk).ok_or(Errno(libc::EAGAIN))?;
        let size = (FIRST_CHUNK as usize * size_of::<Slot>()) << chunk;
        // Zeroed memory is free slots.
        let fresh: NonNull<Slot> = sys::map_zeroed(size)?.cast();
        // AcqRel: Release publishes the slots, Acquire sees another thread's chunk.
        if place.compare_exchange(null_mut(), fresh.as_ptr(), AcqRel, Acquire).is_err() {
            // SAFETY: no other thread has seen it.
            unsafe { sys::unmap(fresh.cast(), size) };
        }
        Ok(())
    }

    /// A slot for the socket `id`, idle and locked. Errors: `ENOMEM`; `EAGAIN` when all are taken.
    pub fn allocate(
        &self,
        id: SocketId,
        blocked: &SignalsBlocked,
    ) -> Result<(SlotId, Locked<'_>), Errno> {
        // Relaxed: a bound by itself.
        let used = self.used.load(Relaxed).min(CAPACITY);
        // One round over the slots that were used, then a fresh one, then any that is overdue.
        for _ in 0..used.min(FIRST_CHUNK) {
            if let Some(found) = self.take_next(used, id, is_free, blocked) {
                return Ok(found);
            }
        }
        loop {
            let fresh = self.used.load(Relaxed);
            if fresh >= CAPACITY {
                break;
            }
            let slot = self.get_or_map(fresh)?;
            // The counter first: `each` visits only what it counts.
            self.used.fetch_max(fresh + 1, Relaxed);
            if let Some(found) = take(slot, fresh, id, is_free, blocked) {
                return Ok(found);
            }
        }
        let rounds = || (0..CAPACITY).map(|_| ());
        let spare = rounds().find_map(|()| self.take_next(CAPACITY, id, is_free, blocked));
        let overdue = || rounds().find_map(|()| self.take_next(CAPACITY, id, is_overdue, blocked));
        spare.or_else(overdue).ok_or(Errno(libc::EAGAIN))
    }

    fn take_next(
        &self,
        used: u32,
        id: SocketId,
        may_take: fn(&Locked<'_>) -> bool,
        blocked: &SignalsBlocked,
    ) -> Option<(SlotId, Locked<'_>)> {
        // Relaxed: a starting point.
        let number = self.cursor.fetch_add(1, Relaxed) % used;
        let slot = self.get(number)?;
        // A first look without the lock.
        if matches!(slot.stage(), Stage::Idle | Stage::Ended(_)) {
            return None;
        }
        take(slot, number, id, may_take, blocked)
    }

    /// The last descriptor that this process had of the socket `id` is closed.
    pub fn last_descriptor_closed(&self, slot: SlotId, id: SocketId) {
        if let Some(found) = self.find(slot, id) {
            found.last_descriptor_closed(slot, id);
            self.reuse(slot);
        }
    }

    /// The handshake in `slot` has ended: the next one comes here, to memory that has been touched.
    pub fn reuse(&self, slot: SlotId) {
        // Relaxed: as in `take_next`.
        self.cursor.store(slot, Relaxed);
    }

    /// Notes a deadline, in nanoseconds since boot.
    pub fn note_deadline(&self, deadline: u64) {
        // Relaxed: a bound by itself; a thread that sleeps too long is woken by the token.
        if self.nearest.load(Relaxed) < !deadline {
            self.nearest.fetch_max(!deadline, Relaxed);
        }
    }

    /// Time at which the next handshake runs out of time, in nanoseconds since boot; may be too early.
    pub fn nearest_deadline(&self) -> Option<u64> {
        // Relaxed: as in `note_deadline`.
        Some(self.nearest.load(Relaxed)).filter(|&d| d != 0).map(|d| !d)
    }

    /// Prepares a fork: handshakes in flight get a part that the child shares.
    pub fn before_fork(&self) {
        // Without the lock only the parent goes on with it.
        self.each_in_flight(|locked| {
            if locked.share() {
                // Relaxed: as in `is_shared`.
                self.shared.store(1, Relaxed);
            }
        });
    }

    /// Prepares a filter of the program's own, under which the kernel may not tell a `SO_COOKIE`.
    pub fn before_filter(&self) {
        // Without the lock the handshake ends in an error.
        self.each_in_flight(|locked| locked.note_inode());
    }

    /// Visits the handshakes in flight, but those whose run lock other threads take all the time.
    fn each_in_flight(&self, mut visit: impl FnMut(&mut Locked<'_>)) {
        self.each(|number, slot| {
            if !slot.is_in_flight() {
                return;
            }
            sys::without_signals(|blocked| {
                if let Some(mut locked) = slot.lock_of(number, slot.id(), blocked) {
                    if locked.is_in_flight() {
                        visit(&mut locked);
                    }
                    locked.unlock();
                }
            });
        });
    }

    /// In a forked child: takes over what the child shares with its parent, and gives up the rest.
    pub fn after_fork_in_child(&self) {
        sys::forget_process();
        self.each(|number, slot| {
            sys::without_signals(|blocked| slot.after_fork_in_child(number, blocked));
        });
    }

    /// Tells whether a handshake was ever shared with a forked process.
    pub fn is_shared(&self) -> bool {
        // Relaxed: a hint for how often to look.
        self.shared.load(Relaxed) != 0
    }

    /// Visits every slot that has a socket.
    pub fn each<'a>(&'a self, mut visit: impl FnMut(SlotId, &'a Slot)) {
        // Relaxed: as in `allocate`.
        for number in 0..self.used.load(Relaxed).min(CAPACITY) {
            if let Some(slot) = self.get(number)
                && slot.stage() != Stage::Free
            {
                visit(number, slot);
            }
        }
    }

    /// Visits the handshakes in flight that need a thread: those whose time is over, and those that
    /// another process may drive.
    pub fn each_overdue<'a>(&'a self, mut visit: impl FnMut(SlotId, &'a Slot)) {
        // Relaxed: as in `note_deadline`; those that go on are noted again below.
        self.nearest.store(0, Relaxed);
        let now = time::monotonic_nanoseconds();
        self.each(|number, slot| {
            if !slot.is_in_flight() {
                return;
            }
            if slot.is_shared() || slot.deadline() <= now {
                visit(number, slot);
            }
            if slot.is_in_flight() && slot.deadline() > now {
                self.note_deadline(slot.deadline());
            }
        });
    }
}

fn take<'s>(
    slot: &'s Slot,
    number: SlotId,
    id: SocketId,
    may_take: fn(&Locked<'_>) -> bool,
    blocked: &SignalsBlocked,
) -> Option<(SlotId, Locked<'s>)> {
    let mut locked = slot.try_lock_any(number, blocked)?;
    if !may_take(&locked) {
        locked.unlock();
        return None;
    }
    locked.assign(id);
    Some((number, locked))
}

fn is_free(locked: &Locked<'_>) -> bool {
    locked.is_free()
}

/// A handshake that no thread has driven to its end in time.
fn is_overdue(locked: &Locked<'_>) -> bool {
    locked.is_overdue(GRACE)
}

#[cfg(all(test, not(crossbeam_loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_deadline_is_the_earliest_that_was_noted() {
        let table = Table::new();
        assert_eq!(table.nearest_deadline(), None);
        for (deadline, nearest) in [(7, 7), (9, 7), (5, 5)] {
            table.note_deadline(deadline);
            assert_eq!(table.nearest_deadline(), Some(nearest));
        }
    }

    #[test]
    fn every_slot_has_a_place_of_its_own() {
        let mut next = [0; CHUNKS];
        for slot in 0..CAPACITY {
            let (chunk, index) = place(slot);
            assert_eq!(index, next[chunk], "{slot}");
            next[chunk] += 1;
        }
        assert_eq!(next[CHUNKS - 1], (FIRST_CHUNK as usize) << (CHUNKS - 1));
    }
}
