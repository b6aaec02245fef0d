//! The floor: an array of atomics and nothing else. It stores a number instead of leading to a
//! record, so there is no memory to protect; nothing that keeps the guarantees can be faster.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

use crate::registry::subject::{FIRST_VACANT, Kind, Subject};

/// Descriptors that have a place.
pub const LENGTH: usize = FIRST_VACANT as usize + 16_384;
/// Marks a place that is taken.
const TAKEN: u64 = 1 << 63;

/// A word for each descriptor.
pub struct Array(Vec<AtomicU64>);

impl Kind for Array {
    const NAME: &'static str = "array";
    const ROLE: &'static str = "floor: a word a descriptor, no records, no guarantees";
    const ALLOCATOR: &'static str = "none";

    fn new() -> Self {
        Array((0..LENGTH).map(|_| AtomicU64::new(0)).collect())
    }
}

impl Subject for Array {
    #[inline(always)]
    fn insert(&self, fd: i32, number: u64) -> bool {
        let place = self.0.get(fd as usize);
        // As a table that publishes records would: AcqRel.
        place
            .is_some_and(|place| place.compare_exchange(0, number | TAKEN, AcqRel, Relaxed).is_ok())
    }

    #[inline(always)]
    fn remove(&self, fd: i32) -> bool {
        self.0.get(fd as usize).is_some_and(|place| place.swap(0, AcqRel) != 0)
    }

    #[inline(always)]
    fn borrow(&self, fd: i32) -> Option<u64> {
        let word = self.0.get(fd as usize)?.load(Acquire);
        (word != 0).then_some(word & !TAKEN)
    }

    #[inline(always)]
    fn counted(&self, fd: i32) -> Option<u64> {
        self.borrow(fd)
    }

    fn hold(&self, fd: i32, meanwhile: &mut dyn FnMut()) {
        self.borrow(fd);
        meanwhile();
    }
}
