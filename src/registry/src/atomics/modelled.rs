//! loom's atomics, and memory in which they can live.

pub use loom::sync::atomic::{AtomicI32, AtomicPtr, AtomicU32, AtomicU64};

use core::ptr::NonNull;

/// A type that fresh memory holds. loom's atomics must be made, zeroes won't do.
///
/// # Safety
/// None here; the real trait has some.
pub unsafe trait Zeroed {
    /// Value of zeroed memory.
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
pub struct SharedBytes<'b>(&'b [loom::cell::UnsafeCell<u8>]);

// SAFETY: loom finds what is read and written at once.
unsafe impl Send for SharedBytes<'_> {}

impl SharedBytes<'static> {
    /// Zeroes in leaked memory.
    pub fn leaked(length: usize) -> Self {
        let cells: Vec<_> = (0..length).map(|_| loom::cell::UnsafeCell::new(0)).collect();
        SharedBytes(Box::leak(cells.into_boxed_slice()))
    }
}

impl<'b> SharedBytes<'b> {
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

/// A place on a stack: in a model, each thread has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place(usize);

impl Place {
    pub fn number(self) -> u64 {
        self.0 as u64 + 1
    }

    pub fn hash(self, count: usize) -> usize {
        self.0 % count
    }
}

/// Calls `work` with the place of the thread.
pub fn in_place<R>(work: impl FnOnce(Place) -> R) -> R {
    work(Place(thread_hash()))
}
