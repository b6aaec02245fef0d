//! The signal-safe epoch domain.
//!
//! A reader claims a cell by one CAS, which publishes what it protects; it reads its slot again, and
//! what it finds there stays until it releases the cell by one store. There is no registration, no
//! thread-local storage, no malloc and no lock: a handler that finds its thread's cell taken takes
//! another, and none waits for any other.
//!
//! - [`policy`]: what a claim publishes (epoch, era, hazard), and how (compare-and-swap, store);
//! - [`cell`]: the claim of a reader, and that of a mutation, who owns an arena meanwhile;
//! - [`generation`]: all the cells of one process, and the counter for when they are all taken;
//! - [`reclaim`]: the limbo lists, and when a node in them may be reused.
//!
//! Readers never reclaim. The thread that retires the sixteenth node of its arena does.

pub mod cell;
pub mod generation;
pub mod policy;
mod reclaim;

use core::marker::PhantomData;
use core::ops::Deref;
use core::ptr::{NonNull, null_mut};
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::audit::{Audit, Use};
use super::backends::Variant;
use super::domain::{Domain, Unreclaimed, insert_old};
use super::entry::{Entry, Slot, Steps};
use super::node::{List, Node};
use super::owned::empty_is_new;
use super::slab::Slab;
use super::{InsertError, Payload, SocketId};
use crate::atomics::mutant::mutant;
use crate::atomics::ordering::{TotalCount, TotalOrder};
use crate::atomics::{
    AtomicPtr, AtomicU32, AtomicU64, Place, barrier, const_new, in_place, map_array, unmap_array,
};
use cell::{Cell, Word};
use generation::Generation;
use policy::{BUSY, FIRST_EPOCH, FREE, Policy};

/// Claims that a reader tries before it takes the wait-free way.
const ATTEMPTS: usize = 8;
/// Distance by which a fork moves the clock: more than reclamation ever does while a child's first
/// mutation is under way, so that the epochs of parent and child are apart.
const FORK_STEP: u64 = 1 << 32;

/// On a cache line pair of its own.
#[repr(align(128))]
#[derive(Debug)]
struct Line<T>(T);

/// An epoch domain with policy `P`.
#[derive(Debug)]
pub struct EpochDomain<P, T> {
    /// The cells; null until they are needed, in this process or after a fork.
    generation: AtomicPtr<Generation<T>>,
    /// Nodes that were born before this are never freed: they were inherited by a fork, and a guard or a
    /// handle from before it may be the forking thread's; or a plain claim may protect them that no
    /// barrier could make visible.
    inherited_before: AtomicU64,
    clock: Line<AtomicU64>,
    slab: Slab<T>,
    /// Retired nodes of those who found every cell taken.
    orphans: AtomicPtr<Node<T>>,
    orphan_count: AtomicU32,
    /// Not 0 once the kernel has refused a barrier: later generations ask for none.
    barrier_refused: AtomicU32,
    policy: PhantomData<P>,
}

/// Kinds of guards, by their end.
#[derive(Debug)]
enum Pin<'d> {
    Cell(&'d Word),
    Overflow(&'d AtomicU64),
    /// The node will never be freed.
    Permanent,
}

impl Drop for Pin<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        match self {
            Pin::Cell(word) => word.release(),
            Pin::Overflow(overflow) => generation::leave_overflow(overflow),
            Pin::Permanent => {}
        }
    }
}

/// A protected node.
#[derive(Debug)]
pub struct Guard<'d, T> {
    node: &'d Node<T>,
    _pin: Pin<'d>,
}

impl<T> Deref for Guard<'_, T> {
    type Target = Node<T>;

    #[inline(always)]
    fn deref(&self) -> &Node<T> {
        self.node
    }
}

impl<P, T> EpochDomain<P, T> {
    const_new! {
        /// A domain without memory.
        pub fn new() -> EpochDomain<P, T> {
            EpochDomain {
                generation: AtomicPtr::new(null_mut()),
                inherited_before: AtomicU64::new(0),
                clock: Line(AtomicU64::new(FIRST_EPOCH)),
                slab: Slab::new(),
                orphans: AtomicPtr::new(null_mut()),
                orphan_count: AtomicU32::new(0),
                barrier_refused: AtomicU32::new(0),
                policy: PhantomData,
            }
        }
    }

    /// Records that were ever in use at the same time, and those in limbo or in free lists: what
    /// the registry's memory is. For tests and benches.
    pub fn nodes(&self) -> u32 {
        self.slab.handed_out()
    }
}

impl<P: Policy, T> EpochDomain<P, T> {
    /// Claims every cell and never releases it, as cancelled threads would.
    #[cfg(test)]
    pub fn abandon_all_cells(&self) {
        let generation = self.generation().expect("memory for cells");
        while generation.readers.claim(BUSY).is_some() {}
        while generation.mutators.claim(BUSY).is_some() {}
    }

    /// Claims that were made by plain stores.
    #[cfg(all(test, not(crossbeam_loom)))]
    pub fn plain_claims(&self) -> usize {
        self.generation().map_or(0, Generation::plain_claims)
    }

    /// Gives the place of a model's thread a cell.
    #[cfg(all(test, crossbeam_loom))]
    pub fn own_place_of(&self, home: usize) {
        crate::atomics::set_home(home);
        in_place(|place| self.generation().expect("memory for cells").own_placed(place));
        crate::atomics::set_home(0);
    }

    /// Claims the arena of the calling thread and never releases it, as a handler that jumps out
    /// of a mutation would.
    #[cfg(test)]
    pub fn abandon_arena(&self) {
        let generation = self.generation().expect("memory for cells");
        assert!(generation.mutators.claim(BUSY).is_some());
    }

    /// The cells, mapped at first use; `None` without memory.
    fn generation(&self) -> Option<&Generation<T>> {
        // Total order: after the swap in `after_fork_in_child`, which another thread may have made.
        // SAFETY: generations are never unmapped once they are visible.
        unsafe { self.generation.load_total().as_ref() }.or_else(|| self.map_generation())
    }

    #[cold]
    fn map_generation(&self) -> Option<&Generation<T>> {
        let fresh = map_array::<Generation<T>>(1)?;
        // Relaxed: a generation that misses the refusal finds out by itself.
        if P::BARRIER && self.barrier_refused.load(Relaxed) == 0 && barrier::prepare() {
            // SAFETY: mapped and zeroed.
            unsafe { fresh.as_ref() }.allow_places();
        }
        let place = &self.generation;
        // Total order as in `generation`.
        let current = match place.replace_total(null_mut(), fresh.as_ptr()) {
            Ok(()) => fresh.as_ptr(),
            Err(other) => {
                // SAFETY: another caller's won; no other thread has seen this one.
                unsafe { unmap_array(fresh, 1) };
                other
            }
        };
        // SAFETY: as above.
        unsafe { current.as_ref() }
    }

    fn is_current(&self, generation: &Generation<T>) -> bool {
        // Total order: after the load of the slot, or the unlinking, that the caller asks about.
        let is_current = core::ptr::eq(self.generation.load_total(), generation);
        mutant!(SwitchIgnored: is_current => true)
    }
}

impl<P: Policy, T: Payload> EpochDomain<P, T> {
    /// The node that `slot` holds, if the cell of `generation`, which was claimed with `word`,
    /// protects it. Else the claim is released.
    #[inline(always)]
    fn validate<'d>(
        &'d self,
        slot: &Slot<T>,
        generation: &Generation<T>,
        cell: &'d Word,
        word: u64,
    ) -> Option<Guard<'d, T>> {
        let pin = Pin::Cell(cell);
        // Total order: after the claim, or after the barrier that is part of a plain one. Acquires the
        // record.
        let seen = if P::BARRIER { slot.look_behind_barrier() } else { slot.look() };
        // SAFETY: slots lead to nodes, which are never unmapped.
        let node = unsafe { seen.named()?.as_ref() };
        let current = !P::WATCHES_GENERATION || self.is_current(generation);
        (current && P::protects(word, node)).then_some(Guard { node, _pin: pin })
    }

    /// As `protect`, of a slot that named `seen` just now, by a caller who is in `place` if the policy
    /// wants one.
    #[inline(always)]
    fn protect_in(
        &self,
        place: Option<Place>,
        slot: &Slot<T>,
        seen: NonNull<Node<T>>,
    ) -> Option<Guard<'_, T>> {
        // The clock before the generation: a fork changes them the other way round, so that an
        // epoch of the child is never published in a cell of the parent.
        let word = P::word(&self.clock.0, seen.as_ptr());
        // Total order as in `generation`.
        // SAFETY: generations are never unmapped once they are visible.
        if let Some(generation) = unsafe { self.generation.load_total().as_ref() } {
            let claimed = match place {
                Some(place) => generation.claim_placed(place, word),
                None => generation.readers.claim_home(word),
            };
            if let Some(cell) = claimed
                && let Some(guard) = self.validate(slot, generation, cell, word)
            {
                return Some(guard);
            }
        }
        self.protect_again(place, slot)
    }

    /// As `protect_in`, when the first attempt failed: the cell is taken, the slot is changing, or
    /// there are no cells yet.
    #[cold]
    fn protect_again(&self, place: Option<Place>, slot: &Slot<T>) -> Option<Guard<'_, T>> {
        for _ in 0..ATTEMPTS {
            let seen = Entry::of(slot.load(Acquire)).named()?;
            let word = P::word(&self.clock.0, seen.as_ptr());
            let Some(generation) = self.generation() else {
                // No memory for cells, thus none for new nodes: this one is inherited.
                // SAFETY: nodes are never unmapped.
                return Some(Guard { node: unsafe { seen.as_ref() }, _pin: Pin::Permanent });
            };
            let claimed = match place {
                Some(place) => {
                    // For the next time.
                    generation.own_placed(place);
                    generation.readers.claim(word)
                }
                None => generation.readers.claim_elsewhere(word),
            };
            let Some(cell) = claimed else { break };
            if let Some(guard) = self.validate(slot, generation, cell.word(), word) {
                return Some(guard);
            }
        }
        self.protect_everything(slot)
    }

    /// As `insert`, when the home cell is taken or there are no cells yet.
    #[cold]
    fn insert_elsewhere(
        &self,
        slot: &Slot<T>,
        seen: Entry<T>,
        cookie: SocketId,
    ) -> Result<(), InsertError> {
        let generation = self.generation().ok_or(InsertError::Exhausted)?;
        match generation.mutators.claim_elsewhere(BUSY) {
            Some(cell) => self.insert_slowly(generation, cell, slot, seen, cookie),
            None => insert_old(self, slot, seen, cookie),
        }
    }

    /// The wait-free way: while the counter is up, nothing is reclaimed.
    fn protect_everything(&self, slot: &Slot<T>) -> Option<Guard<'_, T>> {
        loop {
            let generation = self.generation()?;
            let pin = Pin::Overflow(generation.enter_overflow());
            // Total order: after the counter. Acquires the record.
            // SAFETY: as in `validate`.
            let node = unsafe { slot.look().named()?.as_ref() };
            if self.is_current(generation) {
                return Some(Guard { node, _pin: pin });
            }
        }
    }
}

// SAFETY: see `policy` for what a claim protects, and `reclaim` for what is freed. A count is at
// least 1 until the node is freed, since only `reclaim` takes the registry's reference.
unsafe impl<P: Policy, T: Payload> Domain for EpochDomain<P, T> {
    type Payload = T;

    const VARIANT: &'static Variant = P::VARIANT;

    type Guard<'d>
        = Guard<'d, T>
    where
        T: 'd;

    #[inline(always)]
    fn protect<'d>(&'d self, slot: &Slot<T>) -> Option<Guard<'d, T>> {
        // Acquire: the policy may look at the node. A miss ends here and has written nothing.
        let seen = Entry::of(slot.load(Acquire)).named()?;
        if P::BARRIER {
            in_place(|place| self.protect_in(Some(place), slot, seen))
        } else {
            self.protect_in(None, slot, seen)
        }
    }

    fn hold(&self, node: NonNull<Node<T>>) -> Guard<'_, T> {
        let word = P::word(&self.clock.0, node.as_ptr());
        let pin = match self.generation() {
            None => Pin::Permanent,
            Some(generation) => match generation.readers.claim(word) {
                Some(cell) => Pin::Cell(cell.word()),
                None => Pin::Overflow(generation.enter_overflow()),
            },
        };
        // SAFETY: nodes are never unmapped; this one can't be retired before the caller's slot
        // count is given up, which is after the claim.
        Guard { node: unsafe { node.as_ref() }, _pin: pin }
    }

    #[inline]
    fn allocate(&self, cookie: SocketId) -> Option<NonNull<Node<T>>> {
        let generation = self.generation()?;
        let node = match generation.mutators.claim(BUSY) {
            Some(cell) => {
                // SAFETY: the claim makes the arena ours.
                let node = self.allocate_from(unsafe { &mut (*cell.arena()).free });
                cell.word().release();
                node
            }
            None => {
                let mut list = List::new();
                let node = self.allocate_from(&mut list);
                self.slab.push(list);
                node
            }
        }?;
        // SAFETY: nodes are never unmapped; this one is ours.
        unsafe { node.as_ref() }.revive(cookie, self.clock.0.load_total());
        Some(node)
    }

    #[inline(always)]
    fn insert(&self, slot: &Slot<T>, seen: Entry<T>, cookie: SocketId) -> Result<(), InsertError> {
        // The generation before the fork's mark: see `may_retire`.
        // Total order as in `generation`.
        // SAFETY: generations are never unmapped once they are visible.
        let Some(generation) = (unsafe { self.generation.load_total().as_ref() }) else {
            return self.insert_elsewhere(slot, seen, cookie);
        };
        let home = generation.mutators.home();
        if home.word().claim(FREE, BUSY) {
            self.insert_quickly(generation, home, slot, seen, cookie)
        } else {
            self.insert_elsewhere(slot, seen, cookie)
        }
    }

    fn release(&self, node: NonNull<Node<T>>) {
        let cell = self.generation().and_then(|generation| generation.mutators.claim(BUSY));
        match cell {
            Some(cell) => {
                // SAFETY: the claim makes the arena ours.
                unsafe { &mut *cell.arena() }.give_back(node);
                cell.word().release();
            }
            None => {
                // SAFETY: nodes are never unmapped; the caller owns this one.
                unsafe { node.as_ref() }.died();
                self.slab.push(List::one(node));
            }
        }
    }

    fn retire(&self, node: NonNull<Node<T>>) {
        // The generation before the fork's mark: see `may_retire`.
        let Some(generation) = self.generation() else { return };
        if self.may_retire(node) {
            self.retire_in(generation, node);
        }
    }

    #[inline(always)]
    fn put(&self, node: NonNull<Node<T>>) {
        // Release pairs with the Acquire in `is_unreferenced`: what the holder did comes first.
        // SAFETY: the handle keeps the node until here.
        unsafe { node.as_ref() }.count.fetch_sub(1, Release);
    }

    fn after_fork_in_child(&self) {
        // The child may have threads by now: who finds that the owner is this process may go on in the
        // parent's cells before this is done. What such a thread inserts is born before the mark, and never
        // freed. What it frees was unlinked before the swap, or it finds its cells no longer current.
        // Relaxed: a tick that is missed is far less than the step.
        let mark = self.clock.0.load(Relaxed) + FORK_STEP;
        // Release, and the order of the three: see `retire` and `protect`.
        self.inherited_before.store(mark, Release);
        self.generation.swap_total(null_mut());
        self.clock.0.add_total(FORK_STEP);
    }
}

impl<P: Policy, T: Payload> Unreclaimed for EpochDomain<P, T> {
    fn in_limbo(&self) -> u32 {
        self.generation().map_or(0, Generation::in_limbo)
    }
}

impl<P: Policy, T: Payload> Audit for EpochDomain<P, T> {
    fn handed_out(&self) -> u32 {
        self.slab.handed_out()
    }

    fn claims(&self) -> usize {
        self.generation().map_or(0, Generation::claims)
    }

    unsafe fn each_node(&self, visit: &mut dyn FnMut(u32, Use)) {
        // SAFETY: as the caller vouches.
        unsafe {
            self.slab.each_spilled(|node| visit(node.number.get(), Use::Free));
            if let Some(generation) = self.generation() {
                generation.each_arena(|arena| {
                    arena.free.each(|node| visit(node.number.get(), Use::Free));
                    arena.limbo.each(|node| node.visit_retired(visit));
                });
            }
        }
        let mut orphan = self.orphans.load(Acquire);
        // SAFETY: nodes are never unmapped, and no thread adopts these meanwhile.
        while let Some(node) = unsafe { orphan.as_ref() } {
            // SAFETY: as the caller vouches.
            unsafe { node.visit_retired(visit) };
            orphan = node.next.get();
        }
    }
}

empty_is_new! { [P: Policy, T: Payload] EpochDomain<P, T> }
