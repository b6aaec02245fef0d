//! sharded-slab's records under an array of their keys: a generation in each key and a count in each
//! place, where others have a domain.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

use sharded_slab::Slab;

use super::array::LENGTH;
use super::shared::{self, Record};
use crate::registry::subject::{Kind, Subject};

/// Marks a place that is taken.
const TAKEN: usize = 1 << 63;

/// An array of keys, each of a record in the slab.
pub struct ShardedSlab {
    keys: Vec<AtomicUsize>,
    records: Slab<Arc<Record>>,
}

impl ShardedSlab {
    /// Calls `read` with the record of `fd`, under the slab's guard.
    #[inline(always)]
    fn guarded<T>(&self, fd: i32, read: impl FnOnce(&Arc<Record>) -> T) -> Option<T> {
        // Acquire pairs with the CAS in `insert`.
        let word = self.keys.get(fd as usize)?.load(Acquire);
        if word == 0 {
            return None;
        }
        self.records.get(word & !TAKEN).map(|record| read(&record))
    }
}

impl Kind for ShardedSlab {
    const NAME: &'static str = "sharded-slab";
    const ROLE: &'static str = "external: a slab with generations under a plain array of keys";
    const ALLOCATOR: &'static str = "its slab, malloc for what is counted";

    fn new() -> Self {
        ShardedSlab {
            keys: (0..LENGTH).map(|_| AtomicUsize::new(0)).collect(),
            records: Slab::new(),
        }
    }
}

impl Subject for ShardedSlab {
    #[inline(always)]
    fn insert(&self, fd: i32, number: u64) -> bool {
        let Some(word) = self.keys.get(fd as usize) else { return false };
        let Some(key) = self.records.insert(Record::counted(number)) else { return false };
        // AcqRel releases the record to `guarded`.
        let vacant = word.compare_exchange(0, key | TAKEN, AcqRel, Relaxed).is_ok();
        if !vacant {
            self.records.remove(key);
        }
        vacant
    }

    #[inline(always)]
    fn remove(&self, fd: i32) -> bool {
        let word = self.keys.get(fd as usize).map_or(0, |word| word.swap(0, AcqRel));
        word != 0 && self.records.remove(word & !TAKEN)
    }

    #[inline(always)]
    fn borrow(&self, fd: i32) -> Option<u64> {
        self.guarded(fd, |record| record.number())
    }

    #[inline(always)]
    fn counted(&self, fd: i32) -> Option<u64> {
        self.guarded(fd, Arc::clone).map(|record| record.number())
    }

    fn hold(&self, fd: i32, meanwhile: &mut dyn FnMut()) {
        self.guarded(fd, |_| meanwhile());
    }

    fn unreclaimed(&self, retired: u64) -> Option<u64> {
        shared::unreclaimed(retired)
    }
}
