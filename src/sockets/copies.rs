//! Count of the calls that make another descriptor of a socket, and of the closes beside them.
//!
//! A call begins its copy, and then looks at the entry of its source. A close takes the entry away, and then looks
//! whether a copy is under way. At least one of the two sees the other: the call finds no entry, or the close is
//! counted. (Dekker's pattern: the accesses are in the total order.)

use crate::registry::atomics::ordering::{TotalCount, TotalOrder};
use crate::registry::atomics::{AtomicU64, const_new};

/// Number that a call gives a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Number {
    /// One that is free, which the kernel chooses.
    Free,
    /// One that the program has chosen. Another thread may give another file the same at once: of two such calls, or
    /// of such a call and another copy, each counts as a close for the other.
    Chosen,
}

/// Copies that are under way, and the closes since the process began that were made beside one.
#[derive(Debug)]
pub struct Copies {
    under_way: AtomicU64,
    closes: AtomicU64,
}

/// Number of closes when a copy began.
#[derive(Clone, Copy, Debug)]
pub struct Closes(u64);

impl Copies {
    const_new! {
        /// None.
        pub fn new() -> Self {
            Copies { under_way: AtomicU64::new(0), closes: AtomicU64::new(0) }
        }
    }

    /// Begins a copy, which [`Copies::end`] ends: before the look at the entry of its source. Async-signal-safe.
    pub fn begin(&self, number: Number) -> Closes {
        // In this order; pairs with `note_close`. A close that misses the first access has taken its entry away
        // before. So has one that the second has counted. A call that closes the copy begins after both.
        let others = self.under_way.add_total(1);
        let closes = Closes(self.closes.load_total());
        if number == Number::Chosen && others != 0 {
            self.count_close();
        }
        closes
    }

    /// Ends a copy. Async-signal-safe.
    pub fn end(&self) {
        self.under_way.add_total(u64::MAX);
    }

    /// Tells whether a close was counted since a copy began: asked after the entry of the copy was made.
    /// Async-signal-safe.
    pub fn has_closed_since(&self, begun: Closes) -> bool {
        self.closes.load_total() != begun.0
    }

    /// Counts a close, if a copy is under way: after the entry went, and before the kernel closes. Async-signal-safe.
    #[inline(always)]
    pub fn note_close(&self) {
        if self.under_way.load_total() != 0 {
            self.count_close();
        }
    }

    #[cold]
    #[inline(never)]
    fn count_close(&self) {
        self.closes.add_total(1);
    }

    /// Copies under way, and closes.
    #[cfg(all(test, not(crossbeam_loom)))]
    pub fn counts(&self) -> (u64, u64) {
        (self.under_way.load_total(), self.closes.load_total())
    }
}

#[cfg(all(test, crossbeam_loom))]
mod models;
