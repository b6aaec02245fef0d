//! The record and the hash of the external peers that are written in Rust.

use std::hash::BuildHasherDefault;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use epochsocks_registry_std::DescriptorHasher;

/// Target of an entry: as large as a record of the library's.
#[derive(Debug)]
pub struct Record {
    number: u64,
    _destination: [u64; 5],
}

impl Record {
    /// A record with a reference count.
    pub fn counted(number: u64) -> Arc<Record> {
        Arc::new(Record { number, _destination: [number; 5] })
    }

    /// Number that was stored.
    #[inline(always)]
    pub fn number(&self) -> u64 {
        self.number
    }
}

/// Frees are counted, which all threads pay for.
static COUNTING: AtomicBool = AtomicBool::new(false);
static FREED: AtomicU64 = AtomicU64::new(0);

/// Counts frees from now on: for the experiment about garbage.
pub fn count_frees() {
    // Relaxed, here and below: a count that passes nothing else on.
    COUNTING.store(true, Relaxed);
}

/// Records of `retired` ones that are not freed.
pub fn unreclaimed(retired: u64) -> Option<u64> {
    COUNTING.load(Relaxed).then(|| retired.saturating_sub(FREED.load(Relaxed)))
}

impl Drop for Record {
    #[inline(always)]
    fn drop(&mut self) {
        if COUNTING.load(Relaxed) {
            FREED.fetch_add(1, Relaxed);
        }
    }
}

/// The hash of every peer that has one, which is that of the library's own.
pub type Hash = BuildHasherDefault<DescriptorHasher>;
