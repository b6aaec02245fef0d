//! All the cells between one fork and the next.

use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::cell::{Arena, Cell, Mutator, Placed, Reader, Word};
use super::policy::{BUSY, FREE, UNUSED};
use crate::atomics::ordering::{TotalCount, TotalOrder};
use crate::atomics::{AtomicU32, AtomicU64, Place, thread_hash};
use crate::sizes::{ARENAS, CELLS, FAR, HOMES, NEAR, PLACES};

const WORDS: usize = CELLS.div_ceil(64);
const GROUPS: usize = WORDS.div_ceil(64);

/// The claim cells of one process. A forked child gets new ones: of the parent's, those that other
/// threads held would stay claimed for ever.
#[repr(C)]
#[derive(Debug)]
pub struct Generation<T> {
    /// The cells of readers, which a reclaimer looks at.
    pub readers: Cells<Reader, CELLS>,
    /// The cells that places on stacks have.
    placed: Cells<Placed, PLACES>,
    /// Says how `placed` may be used: one of the words below, or 0 where no barrier is to be had.
    barriers: AtomicU32,
    /// The cells of mutations. They protect nothing.
    pub mutators: Cells<Mutator<T>, ARENAS>,
    /// Readers that found every cell taken. While there are any, nothing is reclaimed.
    overflow: AtomicU64,
}

/// The kernel lets all threads pass a barrier when it is asked to.
const PASSED: u32 = 1;
/// It does so no more: places had cells before.
const REFUSED: u32 = 2;

/// Cells of one kind; `N` is at most `CELLS` and at least `HOMES`.
///
/// Cells that were abandoned lie side by side, as a search takes the first free one from a home on,
/// or from the frontier. So it finds one soon, however many there are.
#[repr(C)]
#[derive(Debug)]
pub struct Cells<C, const N: usize> {
    cells: [C; N],
    /// One bit a cell: it was claimed at least once.
    used: [AtomicU64; WORDS],
    /// One bit a word of `used`: it is not zero.
    used_words: [AtomicU64; GROUPS],
    /// One bit a word of `used_words`: it is not zero.
    used_groups: AtomicU64,
    /// Cell at which a search far from its home ended last.
    frontier: AtomicU32,
}

const _: () = assert!(GROUPS <= 64 && HOMES <= ARENAS && ARENAS <= CELLS && PLACES <= CELLS);

// SAFETY: zeroed counters and cells; a zeroed arena is an empty one.
#[cfg(not(crossbeam_loom))]
unsafe impl<T> crate::atomics::Zeroed for Generation<T> {}
// SAFETY: as above.
#[cfg(crossbeam_loom)]
unsafe impl<T> crate::atomics::Zeroed for Generation<T> {
    fn zeroed() -> Self {
        Generation {
            readers: Cells::of(Reader::new),
            placed: Cells::of(Placed::new),
            barriers: AtomicU32::new(0),
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
            used_words: core::array::from_fn(|_| AtomicU64::new(0)),
            used_groups: AtomicU64::new(0),
            frontier: AtomicU32::new(0),
        }
    }

    /// Cell at which this thread starts its search.
    #[inline(always)]
    fn home_index() -> usize {
        thread_hash() % HOMES
    }

    /// The cell where this thread starts its search.
    #[inline(always)]
    pub fn home(&self) -> &C {
        &self.cells[Self::home_index()]
    }

    /// Claims the cell where this thread starts its search and publishes `word`.
    #[inline(always)]
    pub fn claim_home(&self, word: u64) -> Option<&Word> {
        let home = self.home().word();
        home.claim(FREE, word).then_some(home)
    }

    /// Claims a cell and publishes `word`; `None` if all that were looked at are taken.
    #[inline(always)]
    pub fn claim(&self, word: u64) -> Option<&C> {
        let home = self.home();
        if home.word().claim(FREE, word) { Some(home) } else { self.claim_elsewhere(word) }
    }

    /// Claims a cell when the home is taken: most often the one that was found free last.
    pub fn claim_elsewhere(&self, word: u64) -> Option<&C> {
        // Relaxed: a hint.
        let last = match self.home().word().hint.load(Relaxed) {
            0 => self.home(),
            hint => self.cells.get(hint as usize)?,
        };
        if last.word().claim(FREE, word) { Some(last) } else { self.search(word) }
    }

    /// Looks at some cells near the home, and then at many more from where a free one was found last.
    #[cold]
    fn search(&self, word: u64) -> Option<&C> {
        let home = Self::home_index();
        if let Ok(near) = self.first_free(home, NEAR, word) {
            return self.found(near);
        }
        // Relaxed throughout: a hint.
        let found = self.first_free(self.frontier.load(Relaxed) as usize, FAR, word);
        let (Ok(end) | Err(end)) = found;
        self.frontier.store(end as u32, Relaxed);
        self.found(found.ok()?)
    }

    /// Claims the first free one of `count` cells from `start` on, and tells its index; else where the
    /// next ones begin.
    fn first_free(&self, start: usize, count: usize, word: u64) -> Result<usize, usize> {
        let mut index = start;
        for _ in 0..count.min(N) {
            let Some(cell) = self.cells.get(index) else { return Err(0) };
            if let Some(seen) = cell.word().vacancy() {
                if seen == UNUSED {
                    self.list(index);
                }
                if cell.word().claim(seen, word) {
                    return Ok(index);
                }
            }
            index = (index + 1) % N;
        }
        Err(index)
    }

    /// Remembers the cell `index` for the threads whose home is this one's.
    fn found(&self, index: usize) -> Option<&C> {
        let (home, cell) = (self.home(), self.cells.get(index)?);
        if !core::ptr::eq(cell, home) {
            home.word().hint.store(index as u32, Relaxed);
        }
        Some(cell)
    }

    /// Lets those who visit look at this cell from now on. The marks are in the total order before
    /// the claimant reads its slot, and are read there before the words.
    fn list(&self, index: usize) {
        let (word, group) = (index / 64, index / 64 / 64);
        mark(&self.used[word], index % 64);
        mark(&self.used_words[group], word % 64);
        mark(&self.used_groups, group);
    }

    /// Visits every cell that was ever claimed.
    fn each_used(&self, mut visit: impl FnMut(&C)) {
        each_bit(self.used_groups.load_total(), 0, |group| {
            each_bit(self.used_words[group].load_total(), group * 64, |word| {
                each_bit(self.used[word].load_total(), word * 64, |cell| visit(&self.cells[cell]));
            });
        });
    }

    /// Number of claimed cells.
    fn claims(&self) -> usize {
        let mut claims = 0;
        self.each_used(|cell| claims += usize::from(cell.word().vacancy().is_none()));
        claims
    }
}

impl<T> Generation<T> {
    /// Lets places have cells. Before the generation is visible.
    pub fn allow_places(&self) {
        // Relaxed: what makes the generation visible releases it.
        self.barriers.store(PASSED, Relaxed);
    }

    /// Claims the cell of the caller's place and publishes `word`; `None` if the place has none, or it is
    /// taken by a claim that was abandoned.
    #[inline(always)]
    pub fn claim_placed(&self, place: Place, word: u64) -> Option<&Word> {
        let cell = self.placed.cells.get(place.hash(PLACES))?;
        cell.claim(place, word).then_some(cell.word())
    }

    /// Gives the caller's place a cell from now on, if it may and the cell is no place's yet.
    pub fn own_placed(&self, place: Place) {
        let index = place.hash(PLACES);
        // Relaxed: a hint; `disown_all` has taken the cells before it says so.
        if self.barriers.load(Relaxed) == PASSED && !self.placed.cells[index].is_taken() {
            self.placed.list(index);
            self.placed.cells[index].own(place);
        }
    }

    /// Tells whether some place may have a claim that a reclaimer doesn't see without a barrier.
    pub fn has_placed(&self) -> bool {
        // Total order, as in `each_used`: a place whose mark is not seen reads its slot later.
        self.placed.used_groups.load_total() != 0
    }

    /// Tells whether barriers were found to be refused, and [`Generation::refuse`] was called.
    pub fn is_refused(&self) -> bool {
        // Acquire pairs with `refuse`.
        self.barriers.load(Acquire) == REFUSED
    }

    /// Takes the cells from all places for good.
    pub fn disown_all(&self) {
        self.placed.cells.iter().for_each(Placed::disown);
    }

    /// Remembers that no barrier is to be had any more.
    pub fn refuse(&self) {
        // Release: what was done before is done for all who see this.
        self.barriers.store(REFUSED, Release);
    }

    /// Visits what every reader has published.
    pub fn each_published(&self, mut visit: impl FnMut(u64)) {
        let mut look = |word: &Word| word.published().into_iter().for_each(&mut visit);
        self.readers.each_used(|cell| look(cell.word()));
        self.placed.each_used(|cell| look(cell.word()));
    }

    /// Nodes in the limbo lists of all arenas that no thread holds at this moment.
    pub fn in_limbo(&self) -> u32 {
        let mut count = 0;
        self.mutators.each_used(|cell| {
            if cell.word().claim(FREE, BUSY) {
                // SAFETY: the claim makes the arena ours.
                count += unsafe { &*cell.arena() }.limbo.length();
                cell.word().release();
            }
        });
        count
    }

    /// Number of claims, with those of readers without a cell.
    pub fn claims(&self) -> usize {
        let cells = self.readers.claims() + self.placed.claims() + self.mutators.claims();
        self.overflow.load_total() as usize + cells
    }

    /// Counts the claims that were made by plain stores.
    #[cfg(all(test, not(crossbeam_loom)))]
    pub fn plain_claims(&self) -> usize {
        self.placed.claims()
    }

    /// Visits every arena that ever was claimed.
    ///
    /// # Safety
    /// As [`Audit::each_node`](crate::Audit::each_node).
    pub unsafe fn each_arena(&self, mut visit: impl FnMut(&Arena<T>)) {
        // SAFETY: no thread holds a claim, as the caller vouches.
        self.mutators.each_used(|cell| visit(unsafe { &*cell.arena() }));
    }

    /// The wait-free way to protect everything: before reading the slot.
    pub fn enter_overflow(&self) -> &AtomicU64 {
        self.overflow.add_total(1);
        &self.overflow
    }

    /// Tells whether any reader is without a cell.
    pub fn is_overflowing(&self) -> bool {
        self.overflow.load_total() != 0
    }
}

/// Ends what `enter_overflow` began.
pub fn leave_overflow(overflow: &AtomicU64) {
    // Release pairs with the load in `is_overflowing`, as in `Word::release`.
    overflow.fetch_sub(1, Release);
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

/// Visits the numbers of the bits that are set in `word`, the first of which has the number `first`.
fn each_bit(mut word: u64, first: usize, mut visit: impl FnMut(usize)) {
    while word != 0 {
        visit(first + word.trailing_zeros() as usize);
        word &= word - 1;
    }
}
