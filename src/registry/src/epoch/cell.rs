//! Claim cells: the one word by which a reader says what it protects, and the arena that a mutation
//! has to itself meanwhile.
//!
//! The two are kinds of their own, so that a reader who never comes back keeps no memory but what
//! it protects, and a mutation who never comes back is none of the reclaimer's concern.

use core::cell::UnsafeCell;
use core::ptr::{NonNull, null};
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::super::Payload;
use super::super::entry::Slot;
use super::super::node::{List, Node};
use super::policy::{BUSY, FREE};
use crate::atomics::ordering::TotalOrder;
use crate::atomics::{AtomicU32, AtomicU64, Place, barrier};
use crate::sizes::NOTED;

/// The word of a cell.
///
/// # Life of a cell
/// ```text
///   UNUSED --list, claim (CAS)--> BUSY or a policy's word --release (store)--> FREE
///                                       ^                                       |
///                                       +------------- claim (CAS) -------------+
/// ```
/// A claim that is never released (its thread was cancelled, its handler jumped away) stays: to
/// guess that it is dead would not be safe.
#[derive(Debug)]
pub struct Word {
    word: AtomicU64,
    /// For the threads whose home this is: where one of them found a free cell last.
    pub hint: AtomicU32,
}

impl Word {
    #[cfg(crossbeam_loom)]
    fn new() -> Self {
        Word { word: AtomicU64::new(super::policy::UNUSED), hint: AtomicU32::new(0) }
    }

    /// Claims the cell, if its word is `current`, and publishes `word` in the same step.
    #[inline(always)]
    #[must_use = "a claimed cell must be released"]
    pub fn claim(&self, current: u64, word: u64) -> bool {
        // Total order: before a reader's load of the slot. Acquires a mutation's arena.
        self.word.replace_total(current, word).is_ok()
    }

    /// Ends a claim.
    #[inline(always)]
    pub fn release(&self) {
        // Release pairs with the next claim (the arena) and with the reclaimer's load (the counts
        // that were raised and the reads that were made under the guard).
        self.word.store(FREE, Release);
    }

    /// Claim count of a cell that is free or was never claimed: a hint for the search; the claim's
    /// CAS decides.
    pub fn vacancy(&self) -> Option<u64> {
        let seen = self.word.load(Relaxed);
        (seen <= FREE).then_some(seen)
    }

    /// Word that a reader has published, if any.
    pub fn published(&self) -> Option<u64> {
        // Total order: after the unlinking of everything in limbo; Acquire pairs with `release`.
        let word = self.word.load_total();
        (word > BUSY).then_some(word)
    }
}

/// A cell of either kind.
pub trait Cell {
    /// Its word.
    fn word(&self) -> &Word;
}

/// A reader's cell, alone on its cache line. A claim that is abandoned costs the cell and what it
/// protects.
#[repr(C, align(64))]
#[derive(Debug)]
pub struct Reader(Word);

impl Cell for Reader {
    #[inline(always)]
    fn word(&self) -> &Word {
        &self.0
    }
}

impl Reader {
    #[cfg(crossbeam_loom)]
    pub fn new() -> Self {
        Reader(Word::new())
    }
}

/// The cell of one place on a stack, alone on its cache line: the caller that is in that place may claim
/// it by a plain store, as no other one is there.
///
/// # Life of a cell
/// ```text
///   no owner --own (CAS)--> a place's --disown (swap)--> no place's, for good
///                           word: FREE <--claim, release (stores)--> a policy's word
/// ```
#[repr(C, align(64))]
#[derive(Debug)]
pub struct Placed {
    word: Word,
    owner: AtomicU64,
}

/// The owner of a cell that no place has, and that none shall have.
const NO_PLACE: u64 = u64::MAX;

impl Cell for Placed {
    #[inline(always)]
    fn word(&self) -> &Word {
        &self.word
    }
}

impl Placed {
    #[cfg(crossbeam_loom)]
    pub fn new() -> Self {
        Placed { word: Word::new(), owner: AtomicU64::new(0) }
    }

    /// Claims the cell for the caller, who is in `place`, and publishes `word`; says whether it could.
    #[inline(always)]
    #[must_use = "a claimed cell must be released"]
    pub fn claim(&self, place: Place, word: u64) -> bool {
        // Acquire pairs with `own`: the cell is listed. The caller's load of the clock comes before;
        // after `disown` and a later epoch it finds another owner here.
        // Relaxed: what is written there is written in this place, by the caller or by one who is gone.
        if self.owner.load(Acquire) != place.number() || self.word.word.load(Relaxed) > FREE {
            return false;
        }
        barrier::here();
        self.word.word.store(word, Relaxed);
        // Pairs with `barrier::everywhere` in `reclaim`: before a reader's load of the slot.
        barrier::here();
        true
    }

    /// Tells whether any place ever owned it, or none shall.
    pub fn is_taken(&self) -> bool {
        // Relaxed: a hint; the CAS in `own` decides.
        self.owner.load(Relaxed) != 0
    }

    /// Gives the cell, which is listed, to the caller's place, if no other has it.
    pub fn own(&self, place: Place) {
        // Total order: after the marks of the list, and either before `disown`, or in vain.
        let _ = self.owner.replace_total(0, place.number());
    }

    /// Takes the cell from its place for good.
    pub fn disown(&self) {
        // Total order: before the clock moves; see `claim`.
        self.owner.swap_total(NO_PLACE);
    }
}

/// A mutation's cell, alone on its cache line. A claim that is abandoned costs the cell and the
/// nodes in its arena.
#[repr(C, align(64))]
#[derive(Debug)]
pub struct Mutator<T> {
    word: Word,
    arena: UnsafeCell<Arena<T>>,
}

/// Plain memory of the thread that holds the cell.
#[derive(Debug)]
pub struct Arena<T> {
    /// Nodes to allocate from.
    pub free: List<T>,
    /// Retired nodes that a guard or a handle may still use.
    pub limbo: List<T>,
    /// Number of nodes that may be in limbo before the clock moves.
    pub patience: u32,
    /// Number of nodes that may be in limbo before they are looked at.
    pub look_at: u32,
    /// Slots to look at again.
    pub noted: Noted<T>,
}

impl<T> Arena<T> {
    /// An arena without nodes.
    pub const fn new() -> Self {
        Arena {
            free: List::new(),
            limbo: List::new(),
            patience: 0,
            look_at: 0,
            noted: Noted::new(),
        }
    }
}

impl<T: Payload> Arena<T> {
    /// Takes a node back that no other thread has seen since it was revived.
    pub fn give_back(&mut self, node: NonNull<Node<T>>) {
        // SAFETY: nodes are never unmapped; this one is the caller's.
        unsafe { node.as_ref() }.died();
        self.free.push(node);
    }
}

/// A few slots.
#[derive(Debug)]
pub struct Noted<T> {
    length: u32,
    slots: [*const Slot<T>; NOTED],
}

impl<T> Noted<T> {
    const fn new() -> Self {
        Noted { length: 0, slots: [null(); NOTED] }
    }

    /// Adds one; says whether there was room.
    #[inline(always)]
    #[must_use = "a slot that isn't noted must not become young"]
    pub fn push(&mut self, slot: &Slot<T>) -> bool {
        let Some(place) = self.slots.get_mut(self.length as usize) else { return false };
        *place = slot;
        self.length += 1;
        true
    }

    /// Takes one out.
    pub fn pop(&mut self) -> Option<NonNull<Slot<T>>> {
        let last = self.length.checked_sub(1)?;
        self.length = last;
        NonNull::new(self.slots.get(last as usize)?.cast_mut())
    }
}

// SAFETY: the arena is touched by the holder of the claim only, and the claim is handed on by the
// Release in `Word::release` and the CAS in `Word::claim`.
unsafe impl<T: Sync> Sync for Mutator<T> {}

impl<T> Cell for Mutator<T> {
    #[inline(always)]
    fn word(&self) -> &Word {
        &self.word
    }
}

impl<T> Mutator<T> {
    #[cfg(crossbeam_loom)]
    pub fn new() -> Self {
        Mutator { word: Word::new(), arena: UnsafeCell::new(Arena::new()) }
    }

    /// The arena of a claimed cell.
    #[inline(always)]
    pub fn arena(&self) -> *mut Arena<T> {
        self.arena.get()
    }
}
