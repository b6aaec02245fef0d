//! A claim cell: the one word by which a thread or a handler says what it protects, and the arena
//! that belongs to it meanwhile.

use core::cell::UnsafeCell;
use core::sync::atomic::Ordering::{Relaxed, Release};

use super::super::node::List;
use super::super::ordering::TotalOrder;
use super::super::primitive::{AtomicU32, AtomicU64};
use super::policy::{BUSY, FREE};

/// Plain memory of whoever holds the cell.
#[derive(Debug)]
pub struct Arena {
    /// Nodes to allocate from.
    pub free: List,
    /// Retired nodes that a guard or a handle may still use.
    pub limbo: List,
    /// Nodes that the last reclamation had to leave in limbo.
    pub survivors: u32,
}

impl Arena {
    /// An arena without nodes.
    pub const fn new() -> Self {
        Arena { free: List::new(), limbo: List::new(), survivors: 0 }
    }
}

/// One cell, alone on its cache line.
///
/// # Life of a cell
/// ```text
///   UNUSED --list, claim (CAS)--> BUSY or a policy's word --release (store)--> FREE
///                                       ^                                       |
///                                       +------------- claim (CAS) -------------+
/// ```
/// A claim that is never released (its thread was cancelled, its handler jumped away) stays: the
/// cell and what it protects are lost, which is safe; to guess that it is dead would not be.
#[repr(C, align(64))]
#[derive(Debug)]
pub struct Cell {
    word: AtomicU64,
    /// For the threads whose home this is: where one of them found a free cell last.
    pub hint: AtomicU32,
    arena: UnsafeCell<Arena>,
}

// SAFETY: the arena is touched by the holder of the claim only, and the claim is handed on by the
// Release in `release` and the CAS in `claim`.
unsafe impl Sync for Cell {}

impl Cell {
    #[cfg(crossbeam_loom)]
    pub fn new() -> Self {
        let arena = UnsafeCell::new(Arena::new());
        Cell { word: AtomicU64::new(super::policy::UNUSED), hint: AtomicU32::new(0), arena }
    }

    /// Claims the cell, if its word is `current`, and publishes `word` in the same step.
    #[inline(always)]
    #[must_use = "a claimed cell must be released"]
    pub fn claim(&self, current: u64, word: u64) -> bool {
        // Total order: before the claimant's load of the slot; acquires the arena.
        self.word.replace_total(current, word).is_ok()
    }

    /// Ends a claim.
    #[inline(always)]
    pub fn release(&self) {
        // Release pairs with the next claim (the arena) and with the reclaimer's load (the counts
        // that were raised and the reads that were made under the guard).
        self.word.store(FREE, Release);
    }

    /// The word as a hint for the search: the claim's CAS decides.
    pub fn word_hint(&self) -> u64 {
        self.word.load(Relaxed)
    }

    /// What a reader has published, if anything.
    pub fn published(&self) -> Option<u64> {
        // Total order: after the unlinking of everything in limbo; Acquire pairs with `release`.
        let word = self.word.load_total();
        (word > BUSY).then_some(word)
    }

    /// The arena of a claimed cell.
    pub fn arena(&self) -> *mut Arena {
        self.arena.get()
    }
}
