//! haphazard's hazard pointers under an array of pointers: the descriptor table with another domain.

use std::cell::RefCell;
use std::ops::Deref;
use std::ptr::null_mut;
use std::sync::Arc;
use std::sync::atomic::AtomicPtr;
use std::sync::atomic::Ordering::{AcqRel, Relaxed};

use haphazard::raw::Pointer;
use haphazard::{Domain, HazardPointer};

use super::array::LENGTH;
use super::shared::{self, Record};
use crate::registry::subject::{Kind, Subject};

thread_local! {
    /// The thread's own, so that a lookup does not have to take one from the domain.
    static MINE: RefCell<HazardPointer<'static>> = RefCell::new(HazardPointer::new());
}

/// The table's reference to a record.
struct Named(Arc<Record>);

impl Deref for Named {
    type Target = Record;

    fn deref(&self) -> &Record {
        &self.0
    }
}

// SAFETY: as `Arc` has them; other references only read.
unsafe impl Pointer<Record> for Named {
    fn into_raw(self) -> *mut Record {
        Arc::into_raw(self.0).cast_mut()
    }

    unsafe fn from_raw(record: *mut Record) -> Self {
        // SAFETY: the caller's.
        Named(unsafe { Arc::from_raw(record) })
    }
}

/// An array of pointers to reference-counted records.
pub struct Haphazard(Vec<AtomicPtr<Record>>);

impl Haphazard {
    /// Calls `read` with the record of `fd`, under the hazard pointer.
    #[inline(always)]
    fn guarded<T>(&self, fd: i32, read: impl FnOnce(&Record) -> T) -> Option<T> {
        let slot = self.0.get(fd as usize)?;
        // Relaxed: a miss reads nothing.
        if slot.load(Relaxed).is_null() {
            return None;
        }
        MINE.with_borrow_mut(|mine| {
            // SAFETY: retired in the same domain, only after it was unlinked.
            let result = unsafe { mine.protect(slot) }.map(read);
            mine.reset_protection();
            result
        })
    }
}

impl Kind for Haphazard {
    const NAME: &'static str = "haphazard";
    const ROLE: &'static str = "external: hazard pointers under a plain array";
    const ALLOCATOR: &'static str = "malloc";

    fn new() -> Self {
        Haphazard((0..LENGTH).map(|_| AtomicPtr::new(null_mut())).collect())
    }
}

impl Subject for Haphazard {
    #[inline(always)]
    fn insert(&self, fd: i32, number: u64) -> bool {
        let Some(slot) = self.0.get(fd as usize) else { return false };
        let record = Named(Record::counted(number)).into_raw();
        // AcqRel releases the record to `guarded`.
        let vacant = slot.compare_exchange(null_mut(), record, AcqRel, Relaxed).is_ok();
        if !vacant {
            // SAFETY: no other thread has seen it.
            drop(unsafe { Named::from_raw(record) });
        }
        vacant
    }

    #[inline(always)]
    fn remove(&self, fd: i32) -> bool {
        let Some(slot) = self.0.get(fd as usize) else { return false };
        let record = slot.swap(null_mut(), AcqRel);
        if record.is_null() {
            return false;
        }
        // SAFETY: unlinked just now, by us; the table's reference, which is put once.
        unsafe { Domain::global().retire_ptr::<_, Named>(record) };
        true
    }

    #[inline(always)]
    fn borrow(&self, fd: i32) -> Option<u64> {
        self.guarded(fd, Record::number)
    }

    #[inline(always)]
    fn counted(&self, fd: i32) -> Option<u64> {
        let counted = self.guarded(fd, |record| {
            // SAFETY: the hazard pointer keeps the table's reference.
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
