//! loom's atomics, memory in which they can live, and small sizes so that models end.

pub use loom::sync::atomic::{AtomicI32, AtomicPtr, AtomicU32, AtomicU64};

use core::ptr::NonNull;
use std::sync::atomic::{AtomicIsize, AtomicU32 as Flags, Ordering::SeqCst};

pub const PAGE: usize = 4;
pub const CELLS: usize = 2;
pub const ARENAS: usize = 2;
pub const HOMES: usize = 2;
pub const NEAR: usize = 2;
pub const FAR: usize = 0;
pub const FIRST_CHUNK: u32 = 8;
pub const CHUNKS: usize = 1;
pub const BATCH: u32 = 1;
pub const RECLAIM_AT: u32 = 1;
pub const NOTED: usize = 1;
pub const ORPHANS_AT: u32 = 0;
pub const SETTLE_AT: u64 = 1;

/// A type that fresh memory holds. loom's atomics must be made, zeroes won't do.
///
/// # Safety
/// None here; the real trait has some.
pub unsafe trait Zeroed {
    /// What zeroed memory would be.
    fn zeroed() -> Self;
}

// SAFETY: see the trait.
unsafe impl<T> Zeroed for AtomicPtr<T> {
    fn zeroed() -> Self {
        AtomicPtr::new(core::ptr::null_mut())
    }
}

// SAFETY: see the trait.
unsafe impl Zeroed for AtomicU64 {
    fn zeroed() -> Self {
        AtomicU64::new(0)
    }
}

/// `count` values in leaked memory.
pub fn map_array<T: Zeroed>(count: usize) -> Option<NonNull<T>> {
    let values: Vec<T> = (0..count).map(|_| T::zeroed()).collect();
    NonNull::new(Box::leak(values.into_boxed_slice()).as_mut_ptr())
}

/// Leaks the loser, too.
///
/// # Safety
/// None here.
pub unsafe fn unmap_array<T: Zeroed>(_: NonNull<T>, _: usize) {}

/// Bytes that loom watches.
#[derive(Clone, Copy)]
pub struct Bytes<'b>(&'b [loom::cell::UnsafeCell<u8>]);

// SAFETY: loom finds what is read and written at once.
unsafe impl Send for Bytes<'_> {}

impl Bytes<'static> {
    /// Zeroes in leaked memory.
    pub fn leaked(length: usize) -> Self {
        let cells: Vec<_> = (0..length).map(|_| loom::cell::UnsafeCell::new(0)).collect();
        Bytes(Box::leak(cells.into_boxed_slice()))
    }
}

impl<'b> Bytes<'b> {
    /// Views no real memory.
    ///
    /// # Safety
    /// Never called.
    pub unsafe fn new(_: NonNull<u8>, _: u32) -> Self {
        unreachable!("a model makes its own")
    }

    pub fn length(self) -> u32 {
        self.0.len() as u32
    }

    /// A leaked copy.
    ///
    /// # Safety
    /// loom looks after it.
    pub unsafe fn get(self, offset: u32, length: u32) -> Option<&'b [u8]> {
        let cells = self.0.get(offset as usize..)?.get(..length as usize)?;
        // SAFETY: as above.
        let bytes: Vec<u8> = cells.iter().map(|cell| cell.with(|byte| unsafe { *byte })).collect();
        Some(bytes.leak())
    }

    /// # Safety
    /// loom looks after it.
    pub unsafe fn set(self, offset: u32, value: u8) {
        // SAFETY: as above.
        self.0[offset as usize].with_mut(|byte| unsafe { *byte = value });
    }
}

loom::thread_local! {
    static HOME: core::cell::Cell<usize> = core::cell::Cell::new(0);
}

/// Makes a model's thread start its search at this cell.
pub fn set_home(home: usize) {
    HOME.with(|place| place.set(home));
}

/// A number of the calling thread.
pub fn thread_hash() -> usize {
    HOME.with(core::cell::Cell::get)
}

/// A mistake that a model's twin makes, and that loom must find.
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
pub enum Bug {
    /// Accesses in the total order have no fence.
    MissingFence = 1,
    /// The reclaimer doesn't look at the counter of readers without a cell.
    IgnoredOverflow = 2,
    /// The reclaimer frees what a handle still counts.
    IgnoredCount = 4,
    /// Insert stores where it should compare and swap.
    StoreOnInsert = 8,
    /// A pop of the spill stack doesn't change the tag.
    NoTag = 16,
    /// The raise of a slot count is not followed by a second look at the slot.
    UnvalidatedShare = 32,
    /// The last slot count is forgotten without a retire.
    LostRetire = 64,
    /// A freshly duplicated slot is not brought up to date.
    NoSettle = 128,
    /// Who doesn't get the baton leaves no word with its holder.
    NoNotice = 256,
    /// The baton is given back whether or not there is news.
    IgnoredNotice = 512,
    /// The news are taken for known without another look.
    NoSecondLook = 1024,
    /// The last slot count is taken away, too, instead of being left standing.
    LastTokenTaken = 1 << 16,
    /// A reference is taken from the node that a slot named a moment ago, instead of from the slot.
    BlindIncrement = 1 << 17,
    /// The node is made up for what its slot gave only when the slot has forgotten it.
    LateSettlement = 1 << 18,
    /// Two callers may read the end of what is taken before either moves it.
    TornCursor = 1 << 19,
    /// The place of a name is told without the name.
    EarlyName = 1 << 20,
    /// The guard of a borrow ends before the read.
    UnguardedRead = 1 << 21,
    /// A young entry is made old by a store where it should be compared and swapped.
    StoreOnSecondLook = 1 << 22,
}

static PLANTED: Flags = Flags::new(0);

/// Plants these, and no others.
pub fn plant(bugs: &[Bug]) {
    PLANTED.store(bugs.iter().fold(0, |all, bug| all | *bug as u32), SeqCst);
}

/// Whether the mistake is to be made.
pub fn planted(bug: Bug) -> bool {
    PLANTED.load(SeqCst) & bug as u32 != 0
}

/// Records that are alive, or in limbo.
pub static ALIVE: AtomicIsize = AtomicIsize::new(0);

/// Shows loom who reads and writes a record, and that it is born and dies in turn.
pub struct Witness {
    memory: loom::cell::UnsafeCell<()>,
    alive: core::cell::Cell<bool>,
}

impl Witness {
    pub fn new() -> Self {
        let memory = loom::cell::UnsafeCell::new(());
        Witness { memory, alive: core::cell::Cell::new(false) }
    }

    pub fn reads(&self) {
        self.memory.with(|_| ());
        assert!(self.alive.get(), "a dead record is read");
    }

    pub fn writes(&self) {
        self.memory.with_mut(|_| ());
    }

    pub fn born(&self) {
        self.writes();
        assert!(!self.alive.replace(true), "a live record is born again");
        ALIVE.fetch_add(1, SeqCst);
    }

    pub fn dies(&self) {
        // A failed model drops what it has; its second panic would end the process.
        if std::thread::panicking() {
            return;
        }
        self.writes();
        assert!(self.alive.replace(false), "a dead record is freed again");
        ALIVE.fetch_sub(1, SeqCst);
    }
}
