//! crossbeam-epoch as its authors mean it, under an array of pointers: the crate's own pins, which find
//! their thread by thread-local storage.

use std::sync::Arc;
use std::sync::atomic::AtomicPtr;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

use std::ptr::null_mut;

use super::array::LENGTH;
use super::shared::{self, Record};
use crate::registry::subject::{Kind, Subject};

/// An array of pointers to reference-counted records.
pub struct Crossbeam(Vec<AtomicPtr<Record>>);

impl Crossbeam {
    /// Calls `read` with the record of `fd`, under a pin.
    #[inline(always)]
    fn pinned<T>(&self, fd: i32, read: impl FnOnce(&Record) -> T) -> Option<T> {
        let slot = self.0.get(fd as usize)?;
        // Relaxed: a miss reads nothing.
        if slot.load(Relaxed).is_null() {
            return None;
        }
        let _pin = crossbeam_epoch::pin();
        // SAFETY: the pin keeps the table's reference; it is put only after it was unlinked.
        unsafe { slot.load(Acquire).as_ref() }.map(read)
    }
}

impl Kind for Crossbeam {
    const NAME: &'static str = "crossbeam";
    const ROLE: &'static str =
        "external: crossbeam-epoch's own pins under a plain array, bags of 64; not signal-safe";
    const ALLOCATOR: &'static str = "malloc";

    fn new() -> Self {
        Crossbeam((0..LENGTH).map(|_| AtomicPtr::new(null_mut())).collect())
    }
}

impl Subject for Crossbeam {
    #[inline(always)]
    fn insert(&self, fd: i32, number: u64) -> bool {
        let Some(slot) = self.0.get(fd as usize) else { return false };
        let record = Arc::into_raw(Record::counted(number)).cast_mut();
        // AcqRel releases the record to `pinned`.
        let vacant = slot.compare_exchange(null_mut(), record, AcqRel, Relaxed).is_ok();
        if !vacant {
            // SAFETY: no other thread has seen it.
            drop(unsafe { Arc::from_raw(record) });
        }
        vacant
    }

    #[inline(always)]
    fn remove(&self, fd: i32) -> bool {
        let Some(slot) = self.0.get(fd as usize) else { return false };
        let pin = crossbeam_epoch::pin();
        let record = slot.swap(null_mut(), AcqRel).cast_const();
        if record.is_null() {
            return false;
        }
        // SAFETY: unlinked just now, by us; the table's reference, which is put once.
        unsafe { pin.defer_unchecked(move || drop(Arc::from_raw(record))) };
        true
    }

    #[inline(always)]
    fn borrow(&self, fd: i32) -> Option<u64> {
        self.pinned(fd, |record| record.number())
    }

    #[inline(always)]
    fn counted(&self, fd: i32) -> Option<u64> {
        let counted = self.pinned(fd, |record| {
            // SAFETY: from `Arc::into_raw`; the pin keeps the table's reference.
            unsafe {
                Arc::increment_strong_count(record);
                Arc::from_raw(record)
            }
        });
        counted.map(|record| record.number())
    }

    fn hold(&self, fd: i32, meanwhile: &mut dyn FnMut()) {
        self.pinned(fd, |_| meanwhile());
    }

    fn unreclaimed(&self, retired: u64) -> Option<u64> {
        shared::unreclaimed(retired)
    }
}
