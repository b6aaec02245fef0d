//! The record of the external peers that are written in Rust.

use std::sync::Arc;

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
