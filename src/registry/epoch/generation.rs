//! All the cells between one fork and the next.

use core::sync::atomic::Ordering::{Relaxed, Release};

use super::super::ordering::{TotalCount, TotalOrder};
use super::super::primitive::{ARENAS, AtomicU64, CELLS, HOMES, thread_hash};
use super::cell::{Arena, Cell, Mutator, Reader};
use super::policy::{BUSY, FREE, UNUSED};

const USED_WORDS: usize = CELLS.div_ceil(64);

/// The claim cells of one process. A forked child gets new ones: of the parent's, those that other
/// threads held would stay claimed for ever.
#[repr(C)]
#[derive(Debug)]
pub struct Generation {
    /// The cells of readers, which a reclaimer looks at.
    pub readers: Cells<Reader, CELLS>,
    /// The cells of mutations. They protect nothing.
    pub mutators: Cells<Mutator, ARENAS>,
    /// Readers that found every cell taken. While there are any, nothing is reclaimed.
    overflow: AtomicU64,
}

/// Cells of one kind; `N` is at most `CELLS` and at least `HOMES`.
#[repr(C)]
#[derive(Debug)]
pub struct Cells<C, const N: usize> {
    cells: [C; N],
    /// One bit a cell: it was claimed at least once.
    used: [AtomicU64; USED_WORDS],
    /// One bit a word of `used`: it is not zero.
    used_words: AtomicU64,
}

// SAFETY: zeroed counters and cells; a zeroed arena is an empty one.
#[cfg(not(crossbeam_loom))]
unsafe impl super::super::primitive::Zeroed for Generation {}
// SAFETY: as above.
#[cfg(crossbeam_loom)]
unsafe impl super::super::primitive::Zeroed for Generation {
    fn zeroed() -> Self {
        Generation {
            readers: Cells::of(Reader::new),
            mutators: Cells::of(Mutator::new),
            overflow: AtomicU64::new(0),
        }
    }
}

impl<C: Cell, const N: usize> Cells<C, N> {
    #[cfg(crossbeam_loom)]
    fn of(new: impl Fn() -> C) -> Self {
        Cells {
            cells: core::array::from_fn(|_| new()),
            used: core::array::from_fn(|_| AtomicU64::new(0)),
            used_words: AtomicU64::new(0),
        }
    }

    /// Where this thread starts its search.
    #[inline(always)]
    fn home_index() -> usize {
        thread_hash() % HOMES
    }

    /// The cell where this thread starts its search.
    #[inline(always)]
    pub fn home(&self) -> &C {
        &self.cells[Self::home_index()]
    }

    /// Claims a cell and publishes `word`; `None` if all are taken.
    #[inline(always)]
    pub fn claim(&self, word: u64) -> Option<&C> {
        let home = self.home();
        if home.word().claim(FREE, word) { Some(home) } else { self.claim_elsewhere(word) }
    }

    /// Claims a cell when the home is taken: most often the one that was found free last.
    pub fn claim_elsewhere(&self, word: u64) -> Option<&C> {
        // Relaxed: a hint.
        let start = match self.home().word().hint.load(Relaxed) {
            0 => Self::home_index(),
            hint => hint as usize,
        };
        let last = self.cells.get(start)?;
        if last.word().claim(FREE, word) { Some(last) } else { self.search(start, word) }
    }

    /// Looks at every cell once, from `start`.
    #[cold]
    fn search(&self, start: usize, word: u64) -> Option<&C> {
        for index in (start..N).chain(0..start) {
            let cell = self.cells.get(index)?;
            let Some(seen) = cell.word().vacancy() else { continue };
            if seen == UNUSED {
                self.list(index);
            }
            if cell.word().claim(seen, word) {
                let home = self.home();
                if !core::ptr::eq(cell, home) {
                    home.word().hint.store(index as u32, Relaxed);
                }
                return Some(cell);
            }
        }
        None
    }

    /// Lets those who visit look at this cell from now on. Both marks are in the total order before
    /// the claimant reads its slot, and are read there before the words.
    fn list(&self, index: usize) {
        mark(&self.used[index / 64], index % 64);
        mark(&self.used_words, index / 64);
    }

    /// Visits every cell that was ever claimed.
    fn each_used(&self, mut visit: impl FnMut(&C)) {
        each_bit(self.used_words.load_total(), |word| {
            each_bit(self.used[word].load_total(), |bit| visit(&self.cells[word * 64 + bit]));
        });
    }

    /// How many are claimed.
    fn claims(&self) -> usize {
        let mut claims = 0;
        self.each_used(|cell| claims += usize::from(cell.word().vacancy().is_none()));
        claims
    }
}

impl Generation {
    /// Visits what every reader has published.
    pub fn each_published(&self, mut visit: impl FnMut(u64)) {
        self.readers.each_used(|cell| {
            if let Some(published) = cell.word().published() {
                visit(published);
            }
        });
    }

    /// Nodes in the limbo lists of all arenas that nobody holds at this moment.
    pub fn in_limbo(&self) -> u32 {
        let mut count = 0;
        self.mutators.each_used(|cell| {
            if cell.word().claim(FREE, BUSY) {
                // SAFETY: the claim makes the arena ours.
                count += unsafe { &*cell.arena() }.limbo.len();
                cell.word().release();
            }
        });
        count
    }

    /// How many claims there are, with those of readers without a cell.
    pub fn claims(&self) -> usize {
        self.overflow.load_total() as usize + self.readers.claims() + self.mutators.claims()
    }

    /// Visits every arena that ever was claimed.
    ///
    /// # Safety
    /// As [`Audit::each_node`](crate::registry::Audit::each_node).
    pub unsafe fn each_arena(&self, mut visit: impl FnMut(&Arena)) {
        // SAFETY: nobody holds a claim, as the caller vouches.
        self.mutators.each_used(|cell| visit(unsafe { &*cell.arena() }));
    }

    /// The wait-free way to protect everything: before reading the slot.
    pub fn enter_overflow(&self) -> &AtomicU64 {
        self.overflow.add_total(1);
        &self.overflow
    }

    /// Ends what `enter_overflow` began.
    pub fn leave_overflow(overflow: &AtomicU64) {
        // Release pairs with the load in `is_overflowing`, as in `Word::release`.
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
