//! The registry over the descriptor table, generic over how memory is reclaimed.

use core::ptr::{NonNull, null_mut};
use core::sync::atomic::Ordering::Acquire;

use super::audit::{Audit, Use};
use super::backends::Variant;
use super::domain::{Domain, Unreclaimed};
use super::entry::{Entry, Slot, Steps};
use super::node::Node;
use super::owned::Empty;
use super::table::Table;
use super::{Detached, InsertError, Layout, Payload, Registry, SocketId};
use crate::atomics::const_new;
use crate::atomics::mutant::mutant;
use crate::atomics::ordering::TotalOrder;

/// A table of descriptors whose nodes live in the domain `D`; `Entry` draws the life of a slot.
pub struct SlotRegistry<D: Domain> {
    table: Table<Slot<D::Payload>>,
    domain: D,
}

impl<D: Domain> core::fmt::Debug for SlotRegistry<D> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(D::VARIANT.name)
    }
}

impl<D: Domain> SlotRegistry<D> {
    const_new! {
        /// An empty registry over `domain`, without memory until the first entry.
        pub fn over(domain: D) -> Self {
            SlotRegistry { table: Table::new(), domain }
        }
    }

    /// Domain that reclaims the nodes.
    pub const fn domain(&self) -> &D {
        &self.domain
    }
}

impl<D: Domain + Empty> Empty for SlotRegistry<D> {
    #[cfg(not(crossbeam_loom))]
    const EMPTY: Self = SlotRegistry::over(D::EMPTY);

    #[cfg(crossbeam_loom)]
    fn empty() -> Self {
        SlotRegistry::over(D::empty())
    }
}

impl<D: Domain> SlotRegistry<D> {
    /// Protects the record of `fd` and never stops, as a thread that is cancelled inside a guard.
    #[cfg(test)]
    pub fn abandon_guard(&self, fd: i32) {
        let slot = self.table.slot(fd).expect("a descriptor with an entry");
        core::mem::forget(self.domain.protect(slot).expect("an entry"));
    }

    /// Records that no descriptor names any more and that are not free yet, but for those in the
    /// hands of others. For tests and benches.
    pub fn unreclaimed(&self) -> u32
    where
        D: Unreclaimed,
    {
        let mut left = 0;
        self.table.each_slot(|slot| left += u32::from(slot.look().left().is_some()));
        left + self.domain.in_limbo()
    }

    /// Gives up what removals have left in slots.
    #[cfg(test)]
    pub fn sweep(&self) {
        self.table.each_slot(|slot| {
            let entry = slot.look();
            if let Some(left) = entry.left()
                && slot.step(entry, Entry::EMPTY).is_ok()
            {
                self.forget(left);
            }
        });
    }

    #[inline(always)]
    fn insert_at(&self, slot: &Slot<D::Payload>, cookie: SocketId) -> Result<(), InsertError> {
        // Acquire is more than a first look needs; a CAS decides.
        let seen = Entry::of(slot.load(Acquire));
        if seen.is_named() {
            return Err(InsertError::Occupied);
        }
        self.domain.insert(slot, seen, cookie)
    }

    /// As `insert_at`, for a descriptor higher than any before.
    #[cold]
    fn insert_first(&self, fd: i32, cookie: SocketId) -> Result<(), InsertError> {
        self.insert_at(self.table.slot_or_map(fd)?, cookie)
    }

    #[inline(always)]
    fn remove_at(&self, slot: &Slot<D::Payload>) -> bool {
        // Acquire: the node's memory. Untracked descriptors cost no write.
        let seen = Entry::of(slot.load(Acquire));
        let Some(node) = seen.named() else { return false };
        // Total order as in `take`.
        if seen.is_young() && slot.step(seen, seen.removed()).is_ok() {
            // After the step: a record that comes to want it later looks for its entry itself.
            // SAFETY: nodes are never unmapped, and this look at one needs no protection.
            if unsafe { node.as_ref() }.must_hear_of_close()
                && slot.step(seen.removed(), Entry::EMPTY).is_ok()
            {
                self.forget(node);
            }
            return true;
        }
        self.remove_now(slot)
    }

    /// As `remove_at`, when the node must not stay in the slot.
    #[inline(never)]
    fn remove_now(&self, slot: &Slot<D::Payload>) -> bool {
        self.take(slot, Entry::EMPTY).map(|node| self.forget(node)).is_some()
    }

    /// As `remove_at`, for a descriptor that is not on the table's first page.
    #[cold]
    fn remove_far(&self, fd: i32) -> bool {
        self.table.slot(fd).is_some_and(|slot| self.remove_at(slot))
    }

    /// Gives up the slot count of a node that was taken out of a slot.
    fn forget(&self, node: NonNull<Node<D::Payload>>) {
        // SAFETY: the slot count, which the caller owns, keeps the node until here.
        if unsafe { node.as_ref() }.drop_slot() {
            self.domain.retire(node);
        }
    }

    /// Lets `slot` say `next`; gives up the slot count of what a removal had left there, and
    /// hands that of what it named to the caller.
    fn take(
        &self,
        slot: &Slot<D::Payload>,
        next: Entry<D::Payload>,
    ) -> Option<NonNull<Node<D::Payload>>> {
        // Total order: after this swap, loads of the node's slot count and of the cells' words; pairs
        // with the guards' publication and `Node::add_slot`. Acquire: what `insert` wrote.
        let before = slot.exchange(next);
        if let Some(left) = before.left() {
            self.forget(left);
        }
        before.named()
    }

    /// The node of `slot`, with one more slot count, under the guard that it was found by.
    fn take_share<'r>(&'r self, slot: &Slot<D::Payload>) -> Option<D::Guard<'r>> {
        loop {
            let node = self.domain.protect(slot)?;
            node.add_slot();
            // Total order: see `Node::drop_slot`.
            let found = NonNull::from(&*node);
            let is_there = slot.look().named() == Some(found);
            if mutant!(UnvalidatedShare: is_there => true) {
                return Some(node);
            }
            self.forget(found);
        }
    }

    /// Brings `slot`, which was given `node` just now, up to date if `node` was superseded before
    /// or meanwhile. The caller holds a guard of `node`.
    fn settle(&self, slot: &Slot<D::Payload>, node: &Node<D::Payload>) {
        mutant!(NoSettle => return);
        let mut current = NonNull::from(node);
        // Total order pairs with `supersede`: the node is in the slot before this load; there the
        // successor is set before the scan looks into the slot.
        // SAFETY: the guard keeps `node`, and each node keeps its successor.
        while let Some(next) = NonNull::new(unsafe { current.as_ref() }.successor.load_total()) {
            self.follow(slot, current, next);
            if next == current {
                return;
            }
            current = next;
        }
    }

    /// Lets `slot` name what came in the place of `node`, if it names that: `next`, or nothing where that
    /// is `node` itself. The caller protects both.
    fn follow(
        &self,
        slot: &Slot<D::Payload>,
        node: NonNull<Node<D::Payload>>,
        next: NonNull<Node<D::Payload>>,
    ) {
        if next == node { self.vacate(slot, node) } else { self.replace(slot, node, next) }
    }

    /// Lets `slot` name `next` if it names `node`. The caller protects both.
    fn replace(
        &self,
        slot: &Slot<D::Payload>,
        node: NonNull<Node<D::Payload>>,
        next: NonNull<Node<D::Payload>>,
    ) {
        // SAFETY: protected by the caller.
        unsafe { next.as_ref() }.add_slot();
        let mut seen = slot.look();
        while seen.named() == Some(node) {
            // Total order as in `take`.
            match slot.step(seen, Entry::old(next)) {
                Ok(()) => return self.forget(node),
                Err(other) => seen = other,
            }
        }
        self.forget(next);
    }

    /// Empties `slot` if it names `node`, which the caller protects.
    fn vacate(&self, slot: &Slot<D::Payload>, node: NonNull<Node<D::Payload>>) {
        let mut seen = slot.look();
        while seen.named() == Some(node) {
            // Total order as in `take`.
            match slot.step(seen, Entry::EMPTY) {
                Ok(()) => return self.forget(node),
                Err(other) => seen = other,
            }
        }
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
            let entry = slot.look();
            let Some(node) = entry.node() else { return };
            // SAFETY: nodes are never unmapped, and nothing else runs, as the caller vouches.
            unsafe {
                let node = node.as_ref();
                if entry.is_named() {
                    visit(node.number.get(), Use::Named);
                } else if node.is_in_one_slot() {
                    node.visit_retired(visit);
                }
            }
        });
        // SAFETY: as the caller vouches.
        unsafe { self.domain.each_node(visit) };
    }
}

// SAFETY: A is the record's. B: `Node::revive`. C to F: the domain's contract; a node is retired
// when its last slot count goes, which `take` and the CASes hand over exactly once. G: the CAS from
// a word that names nothing. I: the slot names nothing when `remove` and `detach` return. H, J: the
// domain's.
unsafe impl<D: Domain> Registry for SlotRegistry<D> {
    type Payload = D::Payload;

    const VARIANT: &'static Variant = D::VARIANT;

    const LAYOUT: Option<Layout> = Some(
        Layout {
            record: Node::<D::Payload>::RECORD as u32,
            names: Entry::<D::Payload>::NAMES,
            marks: Entry::<D::Payload>::MARKS,
            ..Table::<Slot<D::Payload>>::LAYOUT
        }
        .at(core::mem::offset_of!(Self, table)),
    );

    #[inline]
    fn contains(&self, fd: i32) -> bool {
        // Acquire is more than a yes or no needs; a plain load on x86.
        self.table.slot(fd).is_some_and(|slot| Entry::of(slot.load(Acquire)).is_named())
    }

    fn insert(&self, fd: i32, cookie: SocketId) -> Result<(), InsertError> {
        match self.table.slot_in_use(fd) {
            Some(slot) => self.insert_at(slot, cookie),
            None => self.insert_first(fd, cookie),
        }
    }

    #[inline]
    fn borrow<S>(&self, fd: i32, read: impl FnOnce(&D::Payload) -> S) -> Option<S> {
        let node = self.domain.protect(self.table.slot(fd)?)?;
        mutant!(UnguardedRead => return Some(read(mutants::unguarded::<D>(node))));
        Some(read(node.record()))
    }

    #[inline]
    fn acquire(&self, fd: i32) -> Option<NonNull<D::Payload>> {
        self.domain.acquire(self.table.slot(fd)?).map(Node::record_ptr)
    }

    #[inline]
    unsafe fn release(&self, record: NonNull<D::Payload>) {
        // SAFETY: `acquire` gave it.
        self.domain.put(unsafe { Node::of(record) });
    }

    #[inline(always)]
    unsafe fn record(&self, record: NonNull<D::Payload>) -> &D::Payload {
        // SAFETY: `acquire` gave it, and the count keeps the node.
        unsafe { &*Node::of(record).as_ptr() }.record()
    }

    fn remove(&self, fd: i32) -> bool {
        match self.table.near_slot(fd) {
            Some(slot) => self.remove_at(slot),
            None => self.remove_far(fd),
        }
    }

    fn remove_if(&self, fd: i32, record: &D::Payload) -> bool {
        let Some(slot) = self.table.slot(fd) else { return false };
        loop {
            // Acquire: the node's memory.
            let seen = Entry::of(slot.load(Acquire));
            // SAFETY: nodes are never unmapped; only an address is taken.
            let is_it =
                |node: &NonNull<Node<D::Payload>>| unsafe { node.as_ref() }.is_record(record);
            let Some(node) = seen.named().filter(is_it) else { return false };
            // Total order as in `take`.
            if slot.step(seen, Entry::EMPTY).is_ok() {
                self.forget(node);
                return true;
            }
        }
    }

    fn detach(&self, fd: i32) -> Option<Detached> {
        let slot = self.table.slot(fd)?;
        // Acquire is more than a miss needs: untracked descriptors cost no write.
        if !Entry::of(slot.load(Acquire)).is_named() {
            return None;
        }
        self.take(slot, Entry::EMPTY).map(|node| Detached(node.cast()))
    }

    fn restore(&self, fd: i32, entry: Detached) {
        let node = entry.0.cast::<Node<D::Payload>>();
        let Some(slot) = self.table.slot(fd) else { return self.forget(node) };
        let guard = self.domain.hold(node);
        let mut seen = Entry::of(slot.load(Acquire));
        while !seen.is_named() {
            // Total order as in `insert`, and before the load in `settle`.
            match slot.step(seen, Entry::old(node)) {
                Ok(()) => {
                    seen.left().into_iter().for_each(|left| self.forget(left));
                    return self.settle(slot, &guard);
                }
                Err(other) => seen = other,
            }
        }
        self.forget(node);
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
        let before = self.take(slot, Entry::old(NonNull::from(&*node)));
        self.settle(slot, &node);
        if let Some(before) = before {
            self.forget(before);
        }
        Ok(true)
    }

    fn supersede(&self, fd: i32) -> Result<bool, InsertError> {
        let Some(node) = self.table.slot(fd).and_then(|slot| self.domain.protect(slot)) else {
            return Ok(false);
        };
        let fresh = self.domain.allocate(node.record().id());
        let old = NonNull::from(&*node);
        let wanted = fresh.unwrap_or(old);
        // Total order pairs with `settle`.
        let next = match node.successor.replace_total(null_mut(), wanted.as_ptr()) {
            Ok(()) => wanted,
            Err(other) => {
                fresh.into_iter().for_each(|fresh| self.domain.release(fresh));
                NonNull::new(other).unwrap_or(wanted)
            }
        };
        self.table.each_slot(|slot| {
            if slot.look().named() == Some(old) {
                self.follow(slot, old, next);
            }
        });
        if next == old { Err(InsertError::Exhausted) } else { Ok(true) }
    }

    fn after_fork_in_child(&self) {
        self.domain.after_fork_in_child();
    }
}

/// Mistakes of the models and of the signal injection, where they take more than a line.
#[cfg(any(crossbeam_loom, epochsocks_planted))]
mod mutants {
    use super::*;

    /// The record of a guard that has ended.
    pub fn unguarded<'d, D: Domain>(guard: D::Guard<'d>) -> &'d D::Payload {
        let node = NonNull::from(&*guard);
        drop(guard);
        // SAFETY: none, that is the mistake; but nodes are never unmapped.
        unsafe { node.as_ref() }.record()
    }
}
