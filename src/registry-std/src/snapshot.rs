//! `snapshot`: a copy-on-write map behind arc-swap. Reads are cheap; each change copies the map.

use core::hash::BuildHasherDefault;
use core::num::NonZeroUsize;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use arc_swap::ArcSwap;

use epochsocks_registry::parts::{self, Empty};
use epochsocks_registry::{Detached, InsertError, Payload, Registry, SocketId, Variant};

use crate::sharded::DescriptorHasher;

/// A record whose handshake is given up with its last reference.
#[repr(transparent)]
struct Kept<T: Payload>(T);

impl<T: Payload> Drop for Kept<T> {
    fn drop(&mut self) {
        self.0.last_descriptor_closed();
    }
}

type Hash = BuildHasherDefault<DescriptorHasher>;

/// Registered entries at one moment. The maps' references to a record together are the registry's.
struct Map<T: Payload> {
    named: HashMap<i32, Arc<Kept<T>>, Hash>,
    /// Entries that `detach` has taken away, by the numbers of its calls: `supersede` finds it
    /// here.
    detached: HashMap<usize, Arc<Kept<T>>>,
}

impl<T: Payload> Clone for Map<T> {
    fn clone(&self) -> Self {
        Map { named: self.named.clone(), detached: self.detached.clone() }
    }
}

impl<T: Payload> Default for Map<T> {
    fn default() -> Self {
        Map { named: HashMap::default(), detached: HashMap::new() }
    }
}

impl<T: Payload> Map<T> {
    /// Lets `fd` name `record`, if it names none.
    fn name(&mut self, fd: i32, record: &Arc<Kept<T>>) -> Option<()> {
        let vacant = !self.named.contains_key(&fd);
        vacant.then(|| drop(self.named.insert(fd, record.clone())))
    }
}

/// The registry over arc-swap.
pub struct Snapshot<T: Payload> {
    map: LazyLock<ArcSwap<Map<T>>>,
    /// Number of calls of `detach`.
    detaches: AtomicUsize,
}

impl<T: Payload> Empty for Snapshot<T> {
    const EMPTY: Self = Snapshot::new();
}

impl<T: Payload> Snapshot<T> {
    /// An empty registry.
    pub const fn new() -> Self {
        Snapshot { map: LazyLock::new(ArcSwap::default), detaches: AtomicUsize::new(0) }
    }

    /// Puts a changed copy in the map's place, if `change` (which may be tried several times) wants
    /// to; gives what it said in the end.
    fn change<S>(&self, mut change: impl FnMut(&mut Map<T>) -> Option<S>) -> Option<S> {
        let mut current = self.map.load();
        loop {
            let mut copy = Map::clone(&current);
            let said = change(&mut copy)?;
            let before = self.map.compare_and_swap(&*current, Arc::new(copy));
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
unsafe impl<T: Payload> Registry for Snapshot<T> {
    type Payload = T;

    const VARIANT: &'static Variant = &parts::SNAPSHOT;

    fn contains(&self, fd: i32) -> bool {
        self.map.load().named.contains_key(&fd)
    }

    fn insert(&self, fd: i32, cookie: SocketId) -> Result<(), InsertError> {
        if fd < 0 {
            return Err(InsertError::OutOfRange);
        }
        let record = Arc::new(Kept(T::new(cookie)));
        self.change(|map| map.name(fd, &record)).ok_or(InsertError::Occupied)
    }

    fn borrow<S>(&self, fd: i32, read: impl FnOnce(&T) -> S) -> Option<S> {
        self.map.load().named.get(&fd).map(|record| read(&record.0))
    }

    fn acquire(&self, fd: i32) -> Option<NonNull<T>> {
        let record = self.map.load().named.get(&fd).cloned()?;
        NonNull::new(Arc::into_raw(record).cast_mut().cast())
    }

    unsafe fn release(&self, record: NonNull<T>) {
        // SAFETY: `acquire` made it of a `Kept`, which is a record.
        drop(unsafe { Arc::from_raw(record.as_ptr().cast_const().cast::<Kept<T>>()) });
    }

    fn remove(&self, fd: i32) -> bool {
        self.change(|map| map.named.remove(&fd)).is_some()
    }

    fn remove_if(&self, fd: i32, record: &T) -> bool {
        let removed = self.change(|map| {
            let is_it =
                map.named.get(&fd).is_some_and(|kept| core::ptr::eq(&raw const kept.0, record));
            if is_it { map.named.remove(&fd) } else { None }
        });
        removed.is_some()
    }

    fn detach(&self, fd: i32) -> Option<Detached> {
        // Relaxed: only that each call has a number of its own matters. 0 is not a pointer.
        let number = NonZeroUsize::MIN.saturating_add(self.detaches.fetch_add(1, Relaxed));
        self.change(|map| {
            let record = map.named.remove(&fd)?;
            map.detached.insert(number.get(), record);
            Some(())
        })?;
        let number = NonNull::new(std::ptr::without_provenance_mut(number.get()))?;
        // SAFETY: `restore` and `discard` look for the number.
        Some(unsafe { Detached::from_raw(number) })
    }

    fn restore(&self, fd: i32, entry: Detached) {
        let number = entry.into_raw().addr().get();
        self.change(|map| {
            let record = map.detached.remove(&number)?;
            map.name(fd, &record);
            Some(())
        });
    }

    fn discard(&self, entry: Detached) {
        let number = entry.into_raw().addr().get();
        self.change(|map| map.detached.remove(&number));
    }

    fn duplicate(&self, source: i32, target: i32) -> Result<bool, InsertError> {
        if target < 0 {
            return if self.contains(source) { Err(InsertError::OutOfRange) } else { Ok(false) };
        }
        let named = self.change(|map| match map.named.get(&source).cloned() {
            Some(record) => {
                map.named.insert(target, record);
                Some(true)
            }
            None => map.named.remove(&target).and(Some(false)),
        });
        Ok(named.unwrap_or(false))
    }

    fn supersede(&self, fd: i32) -> Result<bool, InsertError> {
        let superseded = self.change(|map| {
            let old = map.named.get(&fd)?.clone();
            let fresh = Arc::new(Kept(T::new(old.0.id())));
            let everywhere = map.named.values_mut().chain(map.detached.values_mut());
            for record in everywhere.filter(|record| Arc::ptr_eq(record, &old)) {
                *record = fresh.clone();
            }
            Some(())
        });
        Ok(superseded.is_some())
    }

    fn after_fork_in_child(&self) {}
}
