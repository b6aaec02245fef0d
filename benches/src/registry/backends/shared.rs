//! The record and the hash of the external peers that are written in Rust.

use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

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

/// The hash of every peer that has one: a multiplication, as descriptors are small and no attacker
/// picks them.
#[derive(Default)]
pub struct DescriptorHasher(u64);

/// Makes [`DescriptorHasher`].
pub type Hash = BuildHasherDefault<DescriptorHasher>;

impl Hasher for DescriptorHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_i32((*byte).into()));
    }

    fn write_i32(&mut self, fd: i32) {
        self.0 = (self.0 ^ u64::from(fd as u32)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}
