//! `counted`: a split reference count in the slot's word, without epochs.
//!
//! A slot's word is the node's address and how many references were taken through the slot. Each
//! slot is worth [`SHARE`] references of its node; a reader takes one of them by a CAS on the word,
//! before it touches the node, and gives it back to the node. When the slot is emptied, what is left
//! of its share goes. So the count of a node that is in a slot is never near 0 (guarantee C), and
//! the registry's reference (guarantee B) is its share.

use core::ptr::NonNull;
use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

use super::audit::{Audit, Use};
use super::backends::{self, Variant};
use super::node::{List, Node};
use super::owned::empty_is_new;
use super::slab::Slab;
use super::table::Table;
use super::{Detached, Handle, InsertError, Payload, Registry, SocketId};
use crate::atomics::mutant::mutant;
use crate::atomics::ordering::TotalOrder;
use crate::atomics::{AtomicU64, const_new};
use crate::sizes::SETTLE_AT;

/// Bits of a word that count; addresses have no more than 48 bits unless a program asks for them.
const TAKEN_BITS: u32 = 16;
const TAKEN: u64 = (1 << TAKEN_BITS) - 1;
/// The references that a slot is worth: more than its word can give away.
const SHARE: u64 = 1 << TAKEN_BITS;

/// Content of a slot.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Word(u64);

impl Word {
    const EMPTY: Word = Word(0);

    /// A word that names `node`, of which nothing was taken.
    fn of<T>(node: NonNull<Node<T>>) -> Word {
        Word((node.as_ptr().expose_provenance() as u64) << TAKEN_BITS)
    }

    fn node<T>(self) -> Option<NonNull<Node<T>>> {
        let address = (self.0 >> TAKEN_BITS) as usize;
        NonNull::new(core::ptr::with_exposed_provenance_mut(address))
    }

    fn taken(self) -> u64 {
        self.0 & TAKEN
    }

    /// Rest of the slot's share.
    fn left(self) -> u64 {
        SHARE - self.taken()
    }
}

/// The registry with split counts.
#[derive(Debug)]
pub struct Counted<T> {
    table: Table<AtomicU64>,
    slab: Slab<T>,
}

/// The node of a handle.
fn node_of<T: Payload>(handle: &Handle<'_, Counted<T>>) -> NonNull<Node<T>> {
    // SAFETY: `reference` made the handle of a node.
    unsafe { Node::of(handle.as_raw()) }
}

impl<T: Payload> Counted<T> {
    const_new! {
        /// An empty registry.
        pub fn new() -> Self {
            Counted { table: Table::new(), slab: Slab::new() }
        }
    }

    /// Takes a reference through `slot`, without touching the node before it has it.
    #[inline(always)]
    fn take(&self, slot: &AtomicU64) -> Option<Handle<'_, Self>> {
        // Acquire pairs with the CAS that put the node there.
        let mut word = slot.load(Acquire);
        loop {
            let node = Word(word).node()?;
            mutant!(BlindIncrement => return Some(mutants::take_blindly(self, node)));
            if Word(word).taken() == TAKEN {
                // Thirty thousand takers are between the two halves of `settle`; one of them moves.
                word = slot.load(Acquire);
                continue;
            }
            match slot.compare_exchange_weak(word, word + 1, Acquire, Acquire) {
                Ok(_) => {
                    if Word(word).taken() >= SETTLE_AT {
                        self.settle(slot, node);
                    }
                    return Some(self.reference(node));
                }
                Err(other) => word = other,
            }
        }
    }

    /// Makes up for what was taken through `slot`. The caller has a reference to `node`.
    #[cold]
    fn settle(&self, slot: &AtomicU64, node: NonNull<Node<T>>) {
        loop {
            // Relaxed: the CAS decides.
            let word = Word(slot.load(Relaxed));
            if word.node() != Some(node) || word.taken() < SETTLE_AT {
                return;
            }
            mutant!(LateSettlement => if mutants::settle_late(slot, word, node) { return } else { continue });
            // First the node, then the word, so that the count never lacks what the word gave.
            // SAFETY: the caller's reference keeps the node.
            unsafe { node.as_ref() }.count.fetch_add(word.taken(), Relaxed);
            if slot.compare_exchange(word.0, Word::of(node).0, AcqRel, Relaxed).is_ok() {
                return;
            }
            self.put(node, word.taken());
        }
    }

    /// Gives up `count` references; the thread that gives up the last one makes the node free (guarantee E).
    #[inline(always)]
    fn put(&self, node: NonNull<Node<T>>, count: u64) {
        // AcqRel: every holder's use comes before the reuse.
        // SAFETY: nodes are never unmapped.
        if unsafe { node.as_ref() }.count.fetch_sub(count, AcqRel) == count {
            self.recycle(node);
        }
    }

    fn recycle(&self, node: NonNull<Node<T>>) {
        let mut dead = Some(node);
        while let Some(node) = dead {
            // SAFETY: nodes are never unmapped; this one is ours.
            let next = unsafe { node.as_ref() }.kept_successor();
            // SAFETY: as above.
            unsafe { node.as_ref() }.died();
            self.slab.push(List::one(node));
            // SAFETY: the dead node's reference kept it.
            dead = next.filter(|next| unsafe { next.as_ref() }.count.fetch_sub(1, AcqRel) == 1);
        }
    }

    /// A new record with `count` references.
    fn allocate(&self, cookie: SocketId, count: u64) -> Option<NonNull<Node<T>>> {
        let mut list = List::new();
        self.slab.refill(&mut list);
        let node = list.pop()?;
        self.slab.push(list);
        // SAFETY: nodes are never unmapped; this one is ours.
        let fresh = unsafe { node.as_ref() };
        fresh.revive(cookie, 0);
        // Relaxed: the CAS that puts it into a slot releases it.
        fresh.count.store(count, Relaxed);
        Some(node)
    }

    /// Puts `node` into an empty slot; the caller has given it the share.
    fn fill(&self, slot: &AtomicU64, node: NonNull<Node<T>>) -> bool {
        mutant!(StoreOnInsert => return { slot.swap(Word::of(node).0, AcqRel); true });
        // Total order: before the load in `update`.
        slot.replace_total(Word::EMPTY.0, Word::of(node).0).is_ok()
    }

    /// Lets `slot` name `next` if it names `node`. The caller protects both.
    fn replace(&self, slot: &AtomicU64, node: NonNull<Node<T>>, next: NonNull<Node<T>>) {
        // Relaxed: protected by the caller.
        // SAFETY: as above.
        unsafe { next.as_ref() }.count.fetch_add(SHARE, Relaxed);
        let mut word = Word(slot.load_total());
        while word.node() == Some(node) {
            match slot.replace_total(word.0, Word::of(next).0) {
                Ok(()) => return self.put(node, word.left()),
                Err(other) => word = Word(other),
            }
        }
        self.put(next, SHARE);
    }

    /// Empties `slot` if it names `node`, which the caller protects.
    fn vacate(&self, slot: &AtomicU64, node: NonNull<Node<T>>) {
        let mut word = Word(slot.load_total());
        while word.node() == Some(node) {
            match slot.replace_total(word.0, Word::EMPTY.0) {
                Ok(()) => return self.put(node, word.left()),
                Err(other) => word = Word(other),
            }
        }
    }

    /// Brings `slot`, which was given `node` just now, up to date if `node` was superseded.
    fn update(&self, slot: &AtomicU64, node: NonNull<Node<T>>) {
        mutant!(NoSettle => return);
        let mut current = node;
        // Total order with `supersede`: the node is in the slot before this load; there the
        // successor is set before the scan looks into the slot.
        // SAFETY: the caller's reference keeps the node, and each node its successor.
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
    fn follow(&self, slot: &AtomicU64, node: NonNull<Node<T>>, next: NonNull<Node<T>>) {
        if next == node { self.vacate(slot, node) } else { self.replace(slot, node, next) }
    }

    /// A handle by a reference that the caller has taken.
    fn reference(&self, node: NonNull<Node<T>>) -> Handle<'_, Self> {
        // SAFETY: the caller's reference.
        unsafe { Handle::from_raw(self, Node::record_ptr(node)) }
    }
}

impl<T: Payload> Audit for Counted<T> {
    fn handed_out(&self) -> u32 {
        self.slab.handed_out()
    }

    fn claims(&self) -> usize {
        0
    }

    unsafe fn each_node(&self, visit: &mut dyn FnMut(u32, Use)) {
        self.table.each_slot(|slot| {
            if let Some(node) = Word(slot.load(Acquire)).node::<T>() {
                // SAFETY: nodes are never unmapped.
                visit(unsafe { node.as_ref() }.number.get(), Use::Named);
            }
        });
        // SAFETY: as the caller vouches.
        unsafe { self.slab.each_spilled(|node| visit(node.number.get(), Use::Free)) };
    }
}

empty_is_new! { [T: Payload] Counted<T> }

// SAFETY: A is the record's; B a slot's share; C `take`; D the swap, then `put`; E and F `put`; G the
// CAS from empty; H CAS loops over mmapped memory; I the slot is empty when `detach` returns; J the
// words that other threads left behind are valid at every moment.
unsafe impl<T: Payload> Registry for Counted<T> {
    type Payload = T;

    const VARIANT: &'static Variant = &backends::COUNTED;

    #[inline]
    fn contains(&self, fd: i32) -> bool {
        // Relaxed: a yes or no.
        self.table.slot(fd).is_some_and(|slot| slot.load(Relaxed) != Word::EMPTY.0)
    }

    fn insert(&self, fd: i32, cookie: SocketId) -> Result<(), InsertError> {
        let slot = self.table.slot_or_map(fd)?;
        // Relaxed: the CAS in `fill` decides.
        if slot.load(Relaxed) != Word::EMPTY.0 {
            return Err(InsertError::Occupied);
        }
        let node = self.allocate(cookie, SHARE).ok_or(InsertError::Exhausted)?;
        if self.fill(slot, node) {
            return Ok(());
        }
        self.put(node, SHARE);
        Err(InsertError::Occupied)
    }

    #[inline]
    fn borrow<S>(&self, fd: i32, read: impl FnOnce(&T) -> S) -> Option<S> {
        let record = self.take(self.table.slot(fd)?)?;
        Some(read(&record))
    }

    #[inline]
    fn acquire(&self, fd: i32) -> Option<NonNull<T>> {
        self.take(self.table.slot(fd)?).map(Handle::into_raw)
    }

    #[inline(always)]
    unsafe fn release(&self, record: NonNull<T>) {
        // SAFETY: `acquire` gave it.
        self.put(unsafe { Node::of(record) }, 1);
    }

    #[inline(always)]
    unsafe fn record(&self, record: NonNull<T>) -> &T {
        // SAFETY: `acquire` gave it, and the count keeps the node.
        unsafe { &*Node::of(record).as_ptr() }.record()
    }

    fn remove(&self, fd: i32) -> bool {
        let Some(slot) = self.table.slot(fd) else { return false };
        if !self.contains(fd) {
            return false;
        }
        let word = Word(slot.swap_total(Word::EMPTY.0));
        word.node().map(|node| self.put(node, word.left())).is_some()
    }

    fn remove_if(&self, fd: i32, record: &T) -> bool {
        let Some(slot) = self.table.slot(fd) else { return false };
        // Acquire: the node's memory.
        let mut seen = Word(slot.load(Acquire));
        loop {
            // SAFETY: nodes are never unmapped; only an address is taken.
            let is_it = |node: &NonNull<Node<T>>| unsafe { node.as_ref() }.is_record(record);
            let Some(node) = seen.node().filter(is_it) else { return false };
            // Total order as the swap in `remove`.
            match slot.replace_total(seen.0, Word::EMPTY.0) {
                Ok(()) => {
                    self.put(node, seen.left());
                    return true;
                }
                Err(other) => seen = Word(other),
            }
        }
    }

    fn detach(&self, fd: i32) -> Option<Detached> {
        let slot = self.table.slot(fd)?;
        if !self.contains(fd) {
            return None;
        }
        let word = Word(slot.swap_total(Word::EMPTY.0));
        let node = word.node()?;
        // One of the share stays, for the entry.
        self.put(node, word.left() - 1);
        Some(Detached(node.cast()))
    }

    fn restore(&self, fd: i32, entry: Detached) {
        let node = entry.0.cast::<Node<T>>();
        let _detached = self.reference(node);
        let Some(slot) = self.table.slot(fd) else { return };
        // Relaxed: the reference keeps the node.
        // SAFETY: as above.
        unsafe { node.as_ref() }.count.fetch_add(SHARE, Relaxed);
        if self.fill(slot, node) {
            self.update(slot, node);
        } else {
            self.put(node, SHARE);
        }
    }

    fn discard(&self, entry: Detached) {
        self.put(entry.0.cast(), 1);
    }

    fn duplicate(&self, source: i32, target: i32) -> Result<bool, InsertError> {
        if source == target {
            return Ok(self.contains(source));
        }
        let Some(held) = self.lookup(source) else {
            self.remove(target);
            return Ok(false);
        };
        let node = node_of(&held);
        let slot = self.table.slot_or_map(target)?;
        // Relaxed: the reference keeps the node.
        // SAFETY: as above.
        unsafe { node.as_ref() }.count.fetch_add(mutant!(UnvalidatedShare: SHARE => 0), Relaxed);
        let before = Word(slot.swap_total(Word::of(node).0));
        self.update(slot, node);
        if let Some(old) = before.node() {
            self.put(old, before.left());
        }
        Ok(true)
    }

    fn supersede(&self, fd: i32) -> Result<bool, InsertError> {
        let Some(held) = self.lookup(fd) else { return Ok(false) };
        let old = node_of(&held);
        // The new record's first reference is its predecessor's.
        let fresh = self.allocate(held.id(), 1);
        let wanted = fresh.unwrap_or(old);
        // Total order with `update`.
        // SAFETY: the handle keeps the node.
        let set =
            unsafe { old.as_ref() }.successor.replace_total(core::ptr::null_mut(), wanted.as_ptr());
        let next = match set {
            Ok(()) => wanted,
            Err(other) => {
                fresh.into_iter().for_each(|fresh| self.put(fresh, 1));
                NonNull::new(other).unwrap_or(wanted)
            }
        };
        self.table.each_slot(|slot| {
            if Word(slot.load_total()).node() == Some(old) {
                self.follow(slot, old, next);
            }
        });
        if next == old { Err(InsertError::Exhausted) } else { Ok(true) }
    }

    fn after_fork_in_child(&self) {}
}

/// Mistakes of the models, where they take more than a line.
#[cfg(any(crossbeam_loom, epochsocks_planted))]
mod mutants {
    use super::*;

    /// Takes the reference from the node, which may be another record's by now.
    pub fn take_blindly<T: Payload>(
        registry: &Counted<T>,
        node: NonNull<Node<T>>,
    ) -> Handle<'_, Counted<T>> {
        // SAFETY: nodes are never unmapped.
        unsafe { node.as_ref() }.count.fetch_add(1, Acquire);
        registry.reference(node)
    }

    /// Settles with the word first, then with the node; says whether the word was still `word`.
    pub fn settle_late<T: Payload>(slot: &AtomicU64, word: Word, node: NonNull<Node<T>>) -> bool {
        let settled = slot.compare_exchange(word.0, Word::of(node).0, AcqRel, Relaxed).is_ok();
        if settled {
            // SAFETY: the caller's reference keeps the node.
            unsafe { node.as_ref() }.count.fetch_add(word.taken(), Relaxed);
        }
        settled
    }
}
