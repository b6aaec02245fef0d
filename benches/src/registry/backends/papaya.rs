//! papaya: a lock-free hash map with reclamation by seize.

use std::sync::Arc;

use papaya::HashMap;

use super::shared::{self, Hash, Record};
use crate::registry::subject::{Kind, Subject};

/// papaya's map of reference-counted records.
pub struct Papaya(HashMap<i32, Arc<Record>, Hash>);

impl Kind for Papaya {
    const NAME: &'static str = "papaya";
    const ROLE: &'static str = "external: lock-free hash map, reclamation by seize";
    const ALLOCATOR: &'static str = "malloc";

    fn new() -> Self {
        Papaya(HashMap::default())
    }
}

impl Subject for Papaya {
    #[inline(always)]
    fn insert(&self, fd: i32, number: u64) -> bool {
        self.0.pin().try_insert(fd, Record::counted(number)).is_ok()
    }

    #[inline(always)]
    fn remove(&self, fd: i32) -> bool {
        self.0.pin().remove(&fd).is_some()
    }

    #[inline(always)]
    fn borrow(&self, fd: i32) -> Option<u64> {
        self.0.pin().get(&fd).map(|record| record.number())
    }

    #[inline(always)]
    fn counted(&self, fd: i32) -> Option<u64> {
        let record = self.0.pin().get(&fd).cloned();
        record.map(|record| record.number())
    }

    fn hold(&self, fd: i32, meanwhile: &mut dyn FnMut()) {
        let guard = self.0.pin();
        let _record = guard.get(&fd);
        meanwhile();
    }

    fn unreclaimed(&self, retired: u64) -> Option<u64> {
        shared::unreclaimed(retired)
    }
}
