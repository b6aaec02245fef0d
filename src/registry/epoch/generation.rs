//! All the cells between one fork and the next.

use core::sync::atomic::Ordering::{Relaxed, Release};

use super::super::ordering::TotalOrder;
use super::super::primitive::{AtomicU64, CELLS, HOMES, thread_hash};
use super::cell::{Arena, Cell};
use super::policy::{BUSY, FREE, UNUSED};

const USED_WORDS: usize = CELLS.div_ceil(64);

/// The claim cells of one process. A forked child gets new ones: of the parent's, those that other
/// threads held would stay claimed for ever.
#[repr(C)]
#[derive(Debug)]
pub struct Generation {
    cells: [Cell; CELLS],
    /// One bit a cell: it was claimed at least once.
    used: [AtomicU64; USED_WORDS],
    /// One bit a word of `used`: it is not zero.
    used_words: AtomicU64,
    /// Readers that found every cell taken. While there are any, nothing is reclaimed.
    overflow: AtomicU64,
}

// SAFETY: zeroed counters and cells; a zeroed arena is an empty one.
#[cfg(not(crossbeam_loom))]
unsafe impl super::super::primitive::Zeroed for Generation {}
// SAFETY: as above.
#[cfg(crossbeam_loom)]
unsafe impl super::super::primitive::Zeroed for Generation {
    fn zeroed() -> Self {
        Generation {
            cells: core::array::from_fn(|_| Cell::new()),
            used: core::array::from_fn(|_| AtomicU64::new(0)),
            used_words: AtomicU64::new(0),
            overflow: AtomicU64::new(0),
        }
    }
}

impl Generation {
    /// Where this thread starts its search.
    #[inline(always)]
    fn home_index() -> usize {
        thread_hash() % HOMES
    }

    /// The cell where this thread starts its search.
    #[inline(always)]
    pub fn home(&self) -> &Cell {
        &self.cells[Self::home_index()]
    }

    /// Claims a cell and publishes `word`; `None` if all are taken.
    #[inline]
    pub fn claim(&self, word: u64) -> Option<&Cell> {
        let home = self.home();
        if home.claim(FREE, word) { Some(home) } else { self.claim_elsewhere(word) }
    }

    /// Looks at every cell once, from where a free one was found last.
    #[cold]
    fn claim_elsewhere(&self, word: u64) -> Option<&Cell> {
        let home = self.home();
        // Relaxed: a hint.
        let start = match home.hint.load(Relaxed) {
            0 => Self::home_index(),
            hint => hint as usize,
        };
        for index in (start..CELLS).chain(0..start) {
            let cell = self.cells.get(index)?;
            let seen = cell.word_hint();
            if seen > FREE {
                continue;
            }
            if seen == UNUSED {
                self.list(index);
            }
            if cell.claim(seen, word) {
                if !core::ptr::eq(cell, home) {
                    home.hint.store(index as u32, Relaxed);
                }
                return Some(cell);
            }
        }
        None
    }

    /// Lets reclaimers look at this cell from now on. Both marks are in the total order before the
    /// claimant reads its slot, and are read there before the words.
    fn list(&self, index: usize) {
        mark(&self.used[index / 64], index % 64);
        mark(&self.used_words, index / 64);
    }

    /// Visits what every claimed cell has published.
    pub fn each_published(&self, mut visit: impl FnMut(u64)) {
        self.each_used(|cell| {
            if let Some(published) = cell.published() {
                visit(published);
            }
        });
    }

    /// Visits every cell that was ever claimed.
    fn each_used(&self, mut visit: impl FnMut(&Cell)) {
        each_bit(self.used_words.load_total(), |word| {
            each_bit(self.used[word].load_total(), |bit| visit(&self.cells[word * 64 + bit]));
        });
    }

    /// Nodes in the limbo lists of all cells that nobody holds at this moment.
    pub fn in_limbo(&self) -> u32 {
        let mut count = 0;
        self.each_used(|cell| {
            if cell.claim(FREE, BUSY) {
                // SAFETY: the claim makes the arena ours.
                count += unsafe { &*cell.arena() }.limbo.len();
                cell.release();
            }
        });
        count
    }

    /// How many claims there are, with those of readers without a cell.
    pub fn claims(&self) -> usize {
        let mut claims = self.overflow.load_total() as usize;
        self.each_used(|cell| claims += usize::from(cell.word_hint() > FREE));
        claims
    }

    /// Visits the arena of every cell that ever was claimed.
    ///
    /// # Safety
    /// As [`Audit::each_node`](crate::registry::Audit::each_node).
    pub unsafe fn each_arena(&self, mut visit: impl FnMut(&Arena)) {
        // SAFETY: nobody holds a claim, as the caller vouches.
        self.each_used(|cell| visit(unsafe { &*cell.arena() }));
    }

    /// The wait-free way to protect everything: before reading the slot.
    pub fn enter_overflow(&self) -> &AtomicU64 {
        use super::super::ordering::TotalCount;
        self.overflow.add_total(1);
        &self.overflow
    }

    /// Ends what `enter_overflow` began.
    pub fn leave_overflow(overflow: &AtomicU64) {
        // Release pairs with the load in `is_overflowing`, as in `Cell::release`.
        overflow.fetch_sub(1, Release);
    }

    /// Whether any reader is without a cell.
    pub fn is_overflowing(&self) -> bool {
        self.overflow.load_total() != 0
    }
}

fn mark(word: &AtomicU64, bit: usize) {
    let bit = 1 << bit;
    let mut seen = word.load_total();
    while seen & bit == 0 {
        match word.replace_total(seen, seen | bit) {
            Ok(()) => return,
            Err(other) => seen = other,
        }
    }
}

fn each_bit(mut word: u64, mut visit: impl FnMut(usize)) {
    while word != 0 {
        visit(word.trailing_zeros() as usize);
        word &= word - 1;
    }
}
