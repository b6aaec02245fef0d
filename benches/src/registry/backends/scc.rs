//! scc: a hash index whose readers take no lock.

use std::sync::Arc;

use scc::HashIndex;

use super::shared::{self, Hash, Record};
use crate::registry::subject::{Kind, Subject};

/// scc's index of reference-counted records.
pub struct Scc(HashIndex<i32, Arc<Record>, Hash>);

impl Kind for Scc {
    const NAME: &'static str = "scc";
    const ROLE: &'static str = "external: HashIndex, epochs, locks on buckets for writers";
    const ALLOCATOR: &'static str = "malloc";

    fn new() -> Self {
        Scc(HashIndex::default())
    }
}

impl Subject for Scc {
    #[inline(always)]
    fn insert(&self, fd: i32, number: u64) -> bool {
        self.0.insert_sync(fd, Record::counted(number)).is_ok()
    }

    #[inline(always)]
    fn remove(&self, fd: i32) -> bool {
        self.0.remove_sync(&fd)
    }

    #[inline(always)]
    fn borrow(&self, fd: i32) -> Option<u64> {
        self.0.peek_with(&fd, |_, record| record.number())
    }

    #[inline(always)]
    fn counted(&self, fd: i32) -> Option<u64> {
        self.0.peek_with(&fd, |_, record| Arc::clone(record)).map(|record| record.number())
    }

    fn hold(&self, fd: i32, meanwhile: &mut dyn FnMut()) {
        self.0.peek_with(&fd, |_, _| meanwhile());
    }

    fn unreclaimed(&self, retired: u64) -> Option<u64> {
        shared::unreclaimed(retired)
    }
}
