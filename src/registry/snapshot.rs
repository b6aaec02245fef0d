//! `snapshot`: a copy-on-write map behind arc-swap. Reads are cheap; each change copies the map.

use core::ops::Deref;
use core::ptr::NonNull;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, OnceLock};

use arc_swap::ArcSwap;

use super::variant::{self, Variant};
use super::{Cookie, Detached, InsertError, Record, Registry};

/// A record, counted by its `Arc`; the maps' references together are the registry's.
#[repr(C)]
struct Shared {
    record: Record,
    /// The record that `supersede` has put in this one's place.
    successor: OnceLock<Arc<Shared>>,
}

impl Shared {
    fn new(cookie: Cookie) -> Arc<Shared> {
        Arc::new(Shared { record: Record::new(cookie), successor: OnceLock::new() })
    }

    /// What has come in this one's place.
    fn latest(self: &Arc<Self>) -> Arc<Shared> {
        let mut latest = self;
        while let Some(next) = latest.successor.get() {
            latest = next;
        }
        latest.clone()
    }
}

type Map = HashMap<i32, Arc<Shared>>;

/// The registry over arc-swap.
#[derive(Default)]
pub struct Snapshot(LazyLock<ArcSwap<Map>>);

/// A counted reference to a record of a [`Snapshot`] registry.
pub struct Counted(Arc<Shared>);

impl Deref for Counted {
    type Target = Record;

    fn deref(&self) -> &Record {
        &self.0.record
    }
}

impl Snapshot {
    /// An empty registry.
    pub const fn new() -> Self {
        Snapshot(LazyLock::new(ArcSwap::default))
    }

    /// Puts a changed copy in the map's place, if `change` (which may be tried several times) wants
    /// to; gives what it said in the end.
    fn change<T>(&self, mut change: impl FnMut(&mut Map) -> Option<T>) -> Option<T> {
        let mut current = self.0.load();
        loop {
            let mut copy = Map::clone(&current);
            let said = change(&mut copy)?;
            let before = self.0.compare_and_swap(&*current, Arc::new(copy));
            if Arc::ptr_eq(&before, &current) {
                return Some(said);
            }
            current = before;
        }
    }
}

// SAFETY: A is the record's; B to F `Arc`'s, which arc-swap keeps while a reader holds a map; G the
// compare-and-swap of the map that was looked at; I the map without the entry is in place when
// `detach` returns; J arc-swap's debts are a thread's own.
unsafe impl Registry for Snapshot {
    const VARIANT: &'static Variant = &variant::SNAPSHOT;

    type Handle<'r> = Counted;

    fn contains(&self, fd: i32) -> bool {
        self.0.load().contains_key(&fd)
    }

    fn insert(&self, fd: i32, cookie: Cookie) -> Result<(), InsertError> {
        if fd < 0 {
            return Err(InsertError::OutOfRange);
        }
        let shared = Shared::new(cookie);
        let changed = self.change(|map| {
            let vacant = !map.contains_key(&fd);
            vacant.then(|| drop(map.insert(fd, shared.clone())))
        });
        changed.ok_or(InsertError::Occupied)
    }

    fn borrow<T>(&self, fd: i32, read: impl FnOnce(&Record) -> T) -> Option<T> {
        self.0.load().get(&fd).map(|shared| read(&shared.record))
    }

    fn lookup(&self, fd: i32) -> Option<Counted> {
        self.0.load().get(&fd).cloned().map(Counted)
    }

    fn into_raw(handle: Counted) -> *const Record {
        // The record comes first.
        Arc::into_raw(handle.0).cast()
    }

    unsafe fn from_raw(&self, raw: *const Record) -> Counted {
        // SAFETY: `into_raw` made it.
        Counted(unsafe { Arc::from_raw(raw.cast()) })
    }

    fn remove(&self, fd: i32) -> bool {
        self.change(|map| map.remove(&fd)).is_some()
    }

    fn detach(&self, fd: i32) -> Option<Detached> {
        let shared = self.change(|map| map.remove(&fd))?;
        NonNull::new(Arc::into_raw(shared).cast_mut().cast()).map(Detached)
    }

    fn restore(&self, fd: i32, entry: Detached) {
        // SAFETY: `detach` made it.
        let shared = unsafe { Arc::from_raw(entry.0.as_ptr().cast::<Shared>()) };
        self.change(|map| {
            let vacant = !map.contains_key(&fd);
            vacant.then(|| drop(map.insert(fd, shared.latest())))
        });
    }

    fn discard(&self, entry: Detached) {
        // SAFETY: `detach` made it.
        drop(unsafe { Arc::from_raw(entry.0.as_ptr().cast::<Shared>()) });
    }

    fn duplicate(&self, source: i32, target: i32) -> Result<bool, InsertError> {
        let named = self.change(|map| {
            let shared = map.get(&source)?.clone();
            (target >= 0).then(|| drop(map.insert(target, shared)))
        });
        if named.is_none() && target < 0 && self.contains(source) {
            return Err(InsertError::OutOfRange);
        }
        if named.is_none() {
            self.remove(target);
        }
        Ok(named.is_some())
    }

    fn supersede(&self, fd: i32) -> bool {
        let superseded = self.change(|map| {
            let old = map.get(&fd)?.clone();
            let fresh = || Shared::new(old.record.cookie());
            let next = old.successor.get_or_init(fresh);
            for shared in map.values_mut().filter(|shared| Arc::ptr_eq(shared, &old)) {
                *shared = next.clone();
            }
            Some(())
        });
        superseded.is_some()
    }

    fn after_fork_in_child(&self) {}
}
