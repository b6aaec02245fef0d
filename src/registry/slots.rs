//! The registry over the descriptor table, generic over how memory is reclaimed.

use core::marker::PhantomData;
use core::ops::Deref;
use core::ptr::{NonNull, null_mut};
use core::sync::atomic::Ordering::{Acquire, Relaxed};

use super::audit::{Audit, Use};
use super::domain::{Domain, Slot};
use super::node::Node;
use super::ordering::TotalOrder;
use super::primitive::{Bug, const_new, planted};
use super::table::Table;
use super::variant::Variant;
use super::{Cookie, Detached, InsertError, Record, Registry};

/// A table of descriptors whose nodes live in the domain `D`.
///
/// # Life of a slot
/// ```text
///            insert: CAS                    swap: remove, detach, duplicate
///   empty ----------------> names node ------------------------------------> empty
///     ^                       |    ^                                           |
///     |                       +----+ CAS: supersede                            |
///     +------------------------------------------------------------------------+
/// ```
#[derive(Debug)]
pub struct SlotRegistry<D> {
    table: Table<Slot>,
    domain: D,
}

/// A counted reference to a record in the domain `D`.
pub struct Counted<'r, D: Domain> {
    node: NonNull<Node>,
    domain: &'r D,
    not_send: PhantomData<*const Node>,
}

// SAFETY: a count belongs to no thread, and a record may be read by all.
unsafe impl<D: Domain> Send for Counted<'_, D> {}
// SAFETY: as above.
unsafe impl<D: Domain> Sync for Counted<'_, D> {}

impl<D: Domain> Deref for Counted<'_, D> {
    type Target = Record;

    fn deref(&self) -> &Record {
        // SAFETY: the count keeps the node.
        unsafe { self.node.as_ref() }.record()
    }
}

impl<D: Domain> Drop for Counted<'_, D> {
    fn drop(&mut self) {
        self.domain.put(self.node);
    }
}

impl<D> SlotRegistry<D> {
    const_new! {
        /// An empty registry over `domain`, without memory until the first entry.
        pub fn over(domain: D) -> Self {
            SlotRegistry { table: Table::new(), domain }
        }
    }

    /// What reclaims the nodes.
    pub const fn domain(&self) -> &D {
        &self.domain
    }
}

impl<D: Default> Default for SlotRegistry<D> {
    fn default() -> Self {
        SlotRegistry::over(D::default())
    }
}

impl<D: Domain> SlotRegistry<D> {
    /// Protects the record of `fd` and never stops, as a thread that is cancelled inside a guard.
    #[cfg(test)]
    pub fn abandon_guard(&self, fd: i32) {
        let slot = self.table.slot(fd).expect("a descriptor with an entry");
        core::mem::forget(self.domain.protect(slot).expect("an entry"));
    }

    /// Gives up the slot count of a node that was taken out of a slot.
    fn forget(&self, node: NonNull<Node>) {
        // SAFETY: the slot count, which the caller owns, keeps the node until here.
        if unsafe { node.as_ref() }.drop_slot() {
            self.domain.retire(node);
        }
    }

    /// Empties `slot`; the slot count of what it named is the caller's now.
    fn take(&self, slot: &Slot) -> Option<NonNull<Node>> {
        // Total order: after this swap, loads of the node's slot count and of the cells' words; pairs
        // with the guards' publication and `Node::add_slot`. Acquire: what `insert` wrote.
        NonNull::new(slot.swap_total(null_mut()))
    }

    /// The node of `slot`, with one more slot count, under the guard that it was found by.
    fn take_share<'r>(&'r self, slot: &Slot) -> Option<D::Guard<'r>> {
        loop {
            let node = self.domain.protect(slot)?;
            node.add_slot();
            // Total order: see `Node::drop_slot`.
            if core::ptr::eq(slot.load_total(), &*node) || planted(Bug::UnvalidatedShare) {
                return Some(node);
            }
            self.forget(NonNull::from(&*node));
        }
    }

    /// Brings `slot`, which was given `node` just now, up to date if `node` was superseded before
    /// or meanwhile. The caller holds a guard of `node`.
    fn settle(&self, slot: &Slot, node: &Node) {
        if planted(Bug::NoSettle) {
            return;
        }
        let mut current = NonNull::from(node);
        // Total order pairs with `supersede`: the node is in the slot before this load; there the
        // successor is set before the scan looks into the slot.
        // SAFETY: the guard keeps `node`, and each node keeps its successor.
        while let Some(next) = NonNull::new(unsafe { current.as_ref() }.successor.load_total()) {
            self.replace(slot, current, next);
            current = next;
        }
    }

    /// Lets `slot` name `next` if it names `node`. The caller protects both.
    fn replace(&self, slot: &Slot, node: NonNull<Node>, next: NonNull<Node>) {
        // SAFETY: protected by the caller.
        unsafe { next.as_ref() }.add_slot();
        // Total order as in `take`.
        let taken = slot.replace_total(node.as_ptr(), next.as_ptr());
        self.forget(if taken.is_ok() { node } else { next });
    }
}

impl<D: Domain + Audit> Audit for SlotRegistry<D> {
    fn handed_out(&self) -> u32 {
        self.domain.handed_out()
    }

    fn claims(&self) -> usize {
        self.domain.claims()
    }

    unsafe fn each_node(&self, visit: &mut dyn FnMut(u32, Use)) {
        self.table.each_slot(|slot| {
            // SAFETY: slots hold null or nodes, which are never unmapped.
            if let Some(node) = unsafe { slot.load(Acquire).as_ref() } {
                visit(node.number.get(), Use::Named);
            }
        });
        // SAFETY: as the caller vouches.
        unsafe { self.domain.each_node(visit) };
    }
}

// SAFETY: A is the record's. B: `Node::revive`. C to F: the domain's contract; a node is retired
// when its last slot count goes, which `take` and the CASes hand over exactly once. G: the CAS from
// null. I: the slot is swapped empty before `remove` and `detach` return. H, J: the domain's.
unsafe impl<D: Domain> Registry for SlotRegistry<D> {
    const VARIANT: &'static Variant = D::VARIANT;

    type Handle<'r>
        = Counted<'r, D>
    where
        D: 'r;

    #[inline]
    fn contains(&self, fd: i32) -> bool {
        // Acquire is more than a yes or no needs; a plain load on x86.
        self.table.slot(fd).is_some_and(|slot| !slot.load(Acquire).is_null())
    }

    fn insert(&self, fd: i32, cookie: Cookie) -> Result<(), InsertError> {
        let slot = self.table.slot_or_map(fd)?;
        // Acquire is more than a first look needs; the CAS below decides.
        if !slot.load(Acquire).is_null() {
            return Err(InsertError::Occupied);
        }
        let node = self.domain.allocate(cookie).ok_or(InsertError::Exhausted)?;
        if planted(Bug::StoreOnInsert) {
            slot.store(node.as_ptr(), core::sync::atomic::Ordering::Release);
            return Ok(());
        }
        // Total order: releases the record to `protect`, and is one point of the order in which guards
        // publish and validate.
        match slot.replace_total(null_mut(), node.as_ptr()) {
            Ok(()) => Ok(()),
            Err(_) => {
                self.domain.release(node);
                Err(InsertError::Occupied)
            }
        }
    }

    #[inline]
    fn borrow<T>(&self, fd: i32, read: impl FnOnce(&Record) -> T) -> Option<T> {
        let node = self.domain.protect(self.table.slot(fd)?)?;
        if planted(Bug::UnguardedRead) {
            let unguarded = NonNull::from(&*node);
            drop(node);
            // SAFETY: none, that is the bug; but nodes are never unmapped.
            return Some(read(unsafe { unguarded.as_ref() }.record()));
        }
        Some(read(node.record()))
    }

    #[inline]
    fn lookup(&self, fd: i32) -> Option<Counted<'_, D>> {
        let node = self.domain.protect(self.table.slot(fd)?)?;
        // Relaxed: the guard has met a count of at least 1, and the guard's end publishes this.
        node.count.fetch_add(1, Relaxed);
        Some(Counted { node: NonNull::from(&*node), domain: &self.domain, not_send: PhantomData })
    }

    fn into_raw(handle: Counted<'_, D>) -> *const Record {
        Node::record_ptr(core::mem::ManuallyDrop::new(handle).node)
    }

    unsafe fn from_raw(&self, raw: *const Record) -> Counted<'_, D> {
        // SAFETY: `into_raw` made it.
        let node = unsafe { Node::of(raw) };
        Counted { node, domain: &self.domain, not_send: PhantomData }
    }

    fn remove(&self, fd: i32) -> bool {
        self.detach(fd).map(|entry| self.discard(entry)).is_some()
    }

    fn detach(&self, fd: i32) -> Option<Detached> {
        let slot = self.table.slot(fd)?;
        // Acquire is more than a miss needs: strangers' descriptors cost no write.
        if slot.load(Acquire).is_null() {
            return None;
        }
        self.take(slot).map(|node| Detached(node.cast()))
    }

    fn restore(&self, fd: i32, entry: Detached) {
        let node = entry.0.cast::<Node>();
        let Some(slot) = self.table.slot(fd) else { return self.forget(node) };
        let guard = self.domain.hold(node);
        // Total order as in `insert`.
        match slot.replace_total(null_mut(), node.as_ptr()) {
            Ok(_) => self.settle(slot, &guard),
            Err(_) => self.forget(node),
        }
    }

    fn discard(&self, entry: Detached) {
        self.forget(entry.0.cast());
    }

    fn duplicate(&self, source: i32, target: i32) -> Result<bool, InsertError> {
        if source == target {
            return Ok(self.borrow(source, |_| ()).is_some());
        }
        let Some(node) = self.table.slot(source).and_then(|slot| self.take_share(slot)) else {
            self.remove(target);
            return Ok(false);
        };
        let slot = match self.table.slot_or_map(target) {
            Ok(slot) => slot,
            Err(error) => {
                self.forget(NonNull::from(&*node));
                return Err(error);
            }
        };
        // Total order as in `take`, and before the load in `settle`.
        let before = slot.swap_total((&raw const *node).cast_mut());
        self.settle(slot, &node);
        if let Some(before) = NonNull::new(before) {
            self.forget(before);
        }
        Ok(true)
    }

    fn supersede(&self, fd: i32) -> bool {
        let Some(node) = self.table.slot(fd).and_then(|slot| self.domain.protect(slot)) else {
            return false;
        };
        let Some(next) = self.domain.allocate(node.record().cookie()) else {
            // Without memory for a fresh record, no entry is better than a dissolved one.
            return !self.remove(fd);
        };
        // Total order pairs with `settle`.
        let set = node.successor.replace_total(null_mut(), next.as_ptr());
        let next = match set {
            Ok(_) => next,
            Err(other) => {
                self.domain.release(next);
                NonNull::new(other).unwrap_or(next)
            }
        };
        let node = NonNull::from(&*node);
        self.table.each_slot(|slot| {
            if core::ptr::eq(slot.load_total(), node.as_ptr()) {
                self.replace(slot, node, next);
            }
        });
        true
    }

    fn after_fork_in_child(&self) {
        self.domain.after_fork_in_child();
    }
}
