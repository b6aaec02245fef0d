//! seize's hyaline reclamation under an array of pointers: the descriptor table with another
//! domain.

use std::ptr::null_mut;
use std::sync::Arc;
use std::sync::atomic::AtomicPtr;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

use seize::{Collector, Guard};

use super::array::LENGTH;
use super::shared::{self, Record};
use crate::registry::subject::{Kind, Subject};

/// An array of pointers to reference-counted records.
pub struct Seize {
    collector: Collector,
    slots: Vec<AtomicPtr<Record>>,
}

impl Seize {
    /// Calls `read` with the record of `fd`, under a guard.
    #[inline(always)]
    fn guarded<T>(&self, fd: i32, read: impl FnOnce(&Record) -> T) -> Option<T> {
        let slot = self.slots.get(fd as usize)?;
        // Relaxed: a miss reads nothing.
        if slot.load(Relaxed).is_null() {
            return None;
        }
        let guard = self.collector.enter();
        // SAFETY: protected by the guard, and retired only after it was unlinked.
        unsafe { guard.protect(slot, Acquire).as_ref() }.map(read)
    }
}

impl Kind for Seize {
    const NAME: &'static str = "seize";
    const ROLE: &'static str =
        "external: hyaline reclamation under a plain array, in batches of 32";
    const ALLOCATOR: &'static str = "malloc";

    fn new() -> Self {
        let slots = (0..LENGTH).map(|_| AtomicPtr::new(null_mut())).collect();
        Seize { collector: Collector::new(), slots }
    }
}

impl Subject for Seize {
    #[inline(always)]
    fn insert(&self, fd: i32, number: u64) -> bool {
        let Some(slot) = self.slots.get(fd as usize) else { return false };
        let record = Arc::into_raw(Record::counted(number)).cast_mut();
        // AcqRel releases the record to `guarded`.
        let vacant = slot.compare_exchange(null_mut(), record, AcqRel, Relaxed).is_ok();
        if !vacant {
            // SAFETY: no other thread has seen it.
            drop(unsafe { Arc::from_raw(record) });
        }
        vacant
    }

    #[inline(always)]
    fn remove(&self, fd: i32) -> bool {
        let Some(slot) = self.slots.get(fd as usize) else { return false };
        let guard = self.collector.enter();
        let record = guard.swap(slot, null_mut(), AcqRel);
        if record.is_null() {
            return false;
        }
        // SAFETY: unlinked just now, by us; the table's reference, which is put once.
        unsafe { guard.defer_retire(record, |record, _| drop(Arc::from_raw(record))) };
        true
    }

    #[inline(always)]
    fn borrow(&self, fd: i32) -> Option<u64> {
        self.guarded(fd, |record| record.number())
    }

    #[inline(always)]
    fn counted(&self, fd: i32) -> Option<u64> {
        let counted = self.guarded(fd, |record| {
            // SAFETY: from `Arc::into_raw`; the guard keeps the table's reference.
            unsafe {
                Arc::increment_strong_count(record);
                Arc::from_raw(record)
            }
        });
        counted.map(|record| record.number())
    }

    fn hold(&self, fd: i32, meanwhile: &mut dyn FnMut()) {
        self.guarded(fd, |_| meanwhile());
    }

    fn unreclaimed(&self, retired: u64) -> Option<u64> {
        shared::unreclaimed(retired)
    }
}
