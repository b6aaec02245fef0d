//! `sharded`: DashMap, whose shards have a lock each, with frees deferred by crossbeam-epoch.
//!
//! A lookup takes its shard's lock for the time of a copy of the pointer; the pin, not the lock,
//! keeps the record while it is read.

use core::hash::{BuildHasherDefault, Hasher};
use core::ptr::{NonNull, null_mut};
use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::boxed::Box;
use std::sync::LazyLock;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;

use epochsocks_registry::atomics::ordering::TotalOrder;
use epochsocks_registry::parts::{self, Empty, Node};
use epochsocks_registry::{Detached, InsertError, Payload, Registry, SocketId, Variant};

/// A node in a map, or out of it with a count of its own.
struct Named<T>(NonNull<Node<T>>);

impl<T> Clone for Named<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Named<T> {}

impl<T> PartialEq for Named<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

// SAFETY: nodes are shared by all threads.
unsafe impl<T> Send for Named<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Named<T> {}

impl<T: Payload> Named<T> {
    fn new(cookie: SocketId) -> Named<T> {
        let node = Box::new(Node::default());
        node.revive(cookie, 0);
        Named(NonNull::from(Box::leak(node)))
    }

    /// The node, for a thread that is pinned or has a count.
    fn node(&self) -> &Node<T> {
        // SAFETY: as the callers vouch.
        unsafe { self.0.as_ref() }
    }

    /// Gives up a slot count; the last one's registry reference goes when the pins of now have
    /// ended.
    fn forget(self) {
        if self.node().drop_slot() {
            // SAFETY: a put belongs to no thread.
            unsafe { crossbeam_epoch::pin().defer_unchecked(move || self.put()) };
        }
    }

    /// Gives up a reference; the last one frees (guarantee E).
    fn put(self) {
        // AcqRel: every holder's use comes before the free.
        if self.node().count.fetch_sub(1, AcqRel) == 1 {
            // Acquire pairs with `supersede`.
            let next = NonNull::new(self.node().successor.load(Acquire));
            self.node().died();
            // SAFETY: `new` leaked it, and no other thread has a reference.
            drop(unsafe { Box::from_raw(self.0.as_ptr()) });
            if let Some(next) = next {
                Named(next).forget();
            }
        }
    }
}

/// A multiplication: descriptors are small and no attacker picks them.
#[derive(Default)]
pub struct DescriptorHasher(u64);

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

/// A power of two.
const SHARDS: usize = 64;

type Map<T> = DashMap<i32, Named<T>, BuildHasherDefault<DescriptorHasher>>;

/// The registry over DashMap.
pub struct Sharded<T: Payload>(LazyLock<Map<T>>);

impl<T: Payload> Sharded<T> {
    /// An empty registry.
    pub const fn new() -> Self {
        // A fixed number: to ask how many processors there are, std opens and closes a file, and
        // that close could come back here.
        Sharded(LazyLock::new(|| {
            Map::<T>::with_hasher_and_shard_amount(Default::default(), SHARDS)
        }))
    }

    fn find(&self, fd: i32) -> Option<Named<T>> {
        self.0.get(&fd).map(|named| *named)
    }

    /// Lets `fd` name `next` if it names `old`. The caller is pinned.
    fn replace(&self, fd: i32, old: Named<T>, next: Named<T>) {
        let Some(mut place) = self.0.get_mut(&fd).filter(|place| **place == old) else { return };
        next.node().add_slot();
        *place = next;
        drop(place);
        old.forget();
    }

    /// Brings `fd`, which was given `named` just now, up to date if that was superseded. The caller
    /// is pinned.
    fn settle(&self, fd: i32, named: Named<T>) {
        let mut current = named;
        // Total order with `supersede`: the name is in the map before this load; there the
        // successor is set before the map is searched.
        while let Some(next) = NonNull::new(current.node().successor.load_total()).map(Named) {
            self.replace(fd, current, next);
            current = next;
        }
    }
}

impl<T: Payload> Empty for Sharded<T> {
    const EMPTY: Self = Sharded::new();
}

/// The detached entry that leads to `node`.
fn detached<T>(node: NonNull<Node<T>>) -> Detached {
    // SAFETY: `restore` and `discard` take it so.
    unsafe { Detached::from_raw(node.cast()) }
}

// SAFETY: A is the record's; B `Node::revive`; C the pin, under which the registry's reference
// stays; D and E `forget` and `put`; F the memory is freed by the last put; G the shard's lock; I
// the entry is out of the map when `detach` returns.
unsafe impl<T: Payload> Registry for Sharded<T> {
    type Payload = T;

    const VARIANT: &'static Variant = &parts::SHARDED;

    fn contains(&self, fd: i32) -> bool {
        self.0.contains_key(&fd)
    }

    fn insert(&self, fd: i32, cookie: SocketId) -> Result<(), InsertError> {
        if fd < 0 {
            return Err(InsertError::OutOfRange);
        }
        match self.0.entry(fd) {
            Entry::Occupied(_) => Err(InsertError::Occupied),
            Entry::Vacant(place) => {
                place.insert(Named::new(cookie));
                Ok(())
            }
        }
    }

    fn borrow<S>(&self, fd: i32, read: impl FnOnce(&T) -> S) -> Option<S> {
        let _pin = crossbeam_epoch::pin();
        self.find(fd).map(|named| read(named.node().record()))
    }

    fn acquire(&self, fd: i32) -> Option<NonNull<T>> {
        let _pin = crossbeam_epoch::pin();
        let named = self.find(fd)?;
        // Relaxed: under the pin the count is at least 1.
        named.node().count.fetch_add(1, Relaxed);
        Some(Node::record_ptr(named.0))
    }

    unsafe fn release(&self, record: NonNull<T>) {
        // SAFETY: `acquire` gave it.
        Named(unsafe { Node::of(record) }).put();
    }

    fn remove(&self, fd: i32) -> bool {
        self.0.remove(&fd).map(|(_, named)| named.forget()).is_some()
    }

    fn remove_if(&self, fd: i32, record: &T) -> bool {
        // SAFETY: nodes are never unmapped; only an address is taken.
        let is_it = |_: &i32, named: &Named<T>| unsafe { named.0.as_ref() }.is_record(record);
        self.0.remove_if(&fd, is_it).map(|(_, named)| named.forget()).is_some()
    }

    fn detach(&self, fd: i32) -> Option<Detached> {
        self.0.remove(&fd).map(|(_, Named(node))| detached(node))
    }

    fn restore(&self, fd: i32, entry: Detached) {
        let named = Named(entry.into_raw().cast());
        let _pin = crossbeam_epoch::pin();
        let vacant = match self.0.entry(fd) {
            Entry::Occupied(_) => false,
            Entry::Vacant(place) => {
                place.insert(named);
                true
            }
        };
        if vacant { self.settle(fd, named) } else { named.forget() }
    }

    fn discard(&self, entry: Detached) {
        Named::<T>(entry.into_raw().cast()).forget();
    }

    fn duplicate(&self, source: i32, target: i32) -> Result<bool, InsertError> {
        if source == target {
            return Ok(self.contains(source));
        }
        let _pin = crossbeam_epoch::pin();
        // Under the shard's lock the source has a slot count, so the raise needs no second look.
        let shared = self.0.get(&source).map(|named| {
            named.node().add_slot();
            *named
        });
        let Some(named) = shared else {
            self.remove(target);
            return Ok(false);
        };
        if target < 0 {
            named.forget();
            return Err(InsertError::OutOfRange);
        }
        if let Some(before) = self.0.insert(target, named) {
            before.forget();
        }
        self.settle(target, named);
        Ok(true)
    }

    fn supersede(&self, fd: i32) -> Result<bool, InsertError> {
        let _pin = crossbeam_epoch::pin();
        let Some(old) = self.find(fd) else { return Ok(false) };
        let fresh = Named::new(old.node().record().id());
        // Total order with `settle`.
        let next = match old.node().successor.replace_total(null_mut(), fresh.0.as_ptr()) {
            Ok(()) => fresh,
            Err(other) => {
                fresh.put();
                NonNull::new(other).map_or(fresh, Named)
            }
        };
        let names = self.0.iter().filter(|entry| *entry.value() == old);
        let names: std::vec::Vec<i32> = names.map(|entry| *entry.key()).collect();
        names.into_iter().for_each(|fd| self.replace(fd, old, next));
        Ok(true)
    }

    fn after_fork_in_child(&self) {}
}

impl<T: Payload> Drop for Sharded<T> {
    fn drop(&mut self) {
        self.0.iter().for_each(|entry| entry.value().forget());
    }
}
