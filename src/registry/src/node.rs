//! The memory of a record: its counts and what its reclamation needs.

use core::cell::{Cell, UnsafeCell};
use core::mem::{MaybeUninit, offset_of};
use core::ptr::{NonNull, null_mut};
use core::sync::atomic::Ordering::{Acquire, Relaxed};

use super::{Payload, SocketId, Use};
use crate::atomics::mutant::mutant;
use crate::atomics::ordering::{TotalCount, TotalOrder};
use crate::atomics::{AtomicPtr, AtomicU32, AtomicU64, Zeroed};
use crate::witness::Witness;

/// A record and its bookkeeping. Its memory is type-stable: once a node, always a node, so that a
/// reader which lost a race may still look at `birth`.
///
/// # Life of a node
/// ```text
///   fresh --revive--> private --insert--> in 1..n slots --last slot--> retired (limbo)
///                        ^                                                |
///                        |                              no guard protects it, count is 1
///                        +------------- free list <-----------------------+
/// ```
#[repr(C, align(64))]
pub struct Node<T> {
    /// The epoch in which the record was born; never falls, also when the memory is reused.
    pub birth: AtomicU64,
    /// References: 1 of the registry (guarantee B) and 1 of each handle.
    pub count: AtomicU64,
    record: UnsafeCell<MaybeUninit<T>>,
    /// Slots that name the record, detached entries, and a predecessor's `successor`.
    slots: AtomicU64,
    /// The record that `supersede` has put in this one's place; the node itself where there was no memory
    /// for one: then nothing comes in its place, and no descriptor may name it.
    pub successor: AtomicPtr<Node<T>>,
    /// The next node of the list that this one is in. Belongs to the owner of the list.
    pub next: Cell<*mut Node<T>>,
    /// The epoch in which the record was retired. Belongs to the owner of the limbo list.
    pub retired: Cell<u64>,
    /// Number of nodes in the batch that this one is the first of. Belongs to the batch's owner.
    pub batch: Cell<u32>,
    /// Set if the reclaimer has met a guard that protects this node. As above.
    pub protected: Cell<bool>,
    /// The node's number in the slab; written once.
    pub number: Cell<u32>,
    /// The number of the next batch of the spill stack, one more; 0 at its end.
    pub link: AtomicU32,
    /// Tells loom who touches the record's memory.
    witness: Witness,
}

// SAFETY: the Cells belong to one owner at a time, handed on by an acquire/release pair; the record
// is written only before the node is visible.
unsafe impl<T: Sync> Sync for Node<T> {}
// SAFETY: zeroed counts and null pointers; the record is `MaybeUninit`.
#[cfg(not(crossbeam_loom))]
unsafe impl<T> Zeroed for Node<T> {}
// SAFETY: as above.
#[cfg(crossbeam_loom)]
unsafe impl<T> Zeroed for Node<T> {
    fn zeroed() -> Self {
        Node::default()
    }
}

impl<T> core::fmt::Debug for Node<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Node").field("number", &self.number.get()).finish_non_exhaustive()
    }
}

impl<T> Node<T> {
    /// Offset of the record, in bytes from the start of the node.
    pub const RECORD: usize = offset_of!(Node<T>, record);
}

impl<T> Default for Node<T> {
    /// A node without a record.
    fn default() -> Self {
        Node {
            birth: AtomicU64::new(0),
            count: AtomicU64::new(0),
            record: UnsafeCell::new(MaybeUninit::uninit()),
            slots: AtomicU64::new(0),
            successor: AtomicPtr::new(null_mut()),
            next: Cell::new(null_mut()),
            retired: Cell::new(0),
            batch: Cell::new(0),
            protected: Cell::new(false),
            number: Cell::new(0),
            link: AtomicU32::new(0),
            witness: Witness::new(),
        }
    }
}

impl<T: Payload> Node<T> {
    /// Makes a new record in a node that no other thread can see: count 1, one slot.
    #[inline]
    pub fn revive(&self, cookie: SocketId, birth: u64) {
        // Relaxed throughout: the CAS or swap that puts the node into a slot releases them.
        self.count.store(1, Relaxed);
        self.renew(cookie, birth);
    }

    /// As `revive`, but for the count, which the caller stores.
    #[inline(always)]
    pub fn renew(&self, cookie: SocketId, birth: u64) {
        // Relaxed throughout: as in `revive`.
        self.birth.store(birth, Relaxed);
        self.slots.store(1, Relaxed);
        self.successor.store(null_mut(), Relaxed);
        self.witness.born();
        // SAFETY: the caller owns the node.
        unsafe { T::renew(self.record.get().cast(), cookie) };
    }

    /// Tells whether `drop_slot` would find the last slot count and nothing else to do.
    #[inline(always)]
    pub fn is_sole(&self) -> bool {
        // Total order as in `drop_slot`.
        self.slots.load_total() == 1
            && !self.must_hear_of_close()
            && mutant!(LostRetire: true => false)
    }

    /// Gives up one slot count; says whether it was the last, and the caller must retire the node.
    ///
    /// The last count is left standing, which spares `remove` an atomic operation: a thread that raises
    /// it later (see `add_slot`) finds its source slot changed and takes its raise back, and never
    /// meets a count of 1 in doing so.
    #[inline]
    #[must_use = "the last one retires the node"]
    pub fn drop_slot(&self) -> bool {
        // Total order with `add_slot`: here the swap that emptied the slot and then this load;
        // there the raise and then a load of the slot. One of the two sees the other. The CAS's
        // Release hands the node from those who drop a count to the one who retires it.
        let mut slots = self.slots.load_total();
        while slots > 1 || mutant!(LastCountTaken: false => true) {
            match self.slots.replace_total(slots, slots - 1) {
                Ok(()) => return slots == 1,
                Err(other) => slots = other,
            }
        }
        if self.must_hear_of_close() {
            self.record().last_descriptor_closed();
        }
        mutant!(LostRetire: true => false)
    }

    /// Raises the slot count of a guarded node. It holds only if the slot where the node was found
    /// still names it after this; else `drop_slot` takes it back.
    pub fn add_slot(&self) {
        self.slots.add_total(1);
    }

    /// The record that came in this one's place and of which this one owns a count.
    pub fn kept_successor(&self) -> Option<NonNull<Node<T>>> {
        // Acquire pairs with `supersede`.
        NonNull::new(self.successor.load(Acquire))
            .filter(|next| !core::ptr::eq(self, next.as_ptr()))
    }

    /// Tells whether the slot where it was found is the only one that owns a count.
    pub fn is_in_one_slot(&self) -> bool {
        // Relaxed: for an audit, during which no other thread runs.
        self.slots.load(Relaxed) == 1
    }

    /// Tells whether the reclaimer may free the node, which no guard protects: only the registry's
    /// own reference is left, and no thread can raise it (guarantees C, E).
    pub fn is_unreferenced(&self) -> bool {
        // Acquire pairs with the Release of a handle's end.
        self.count.load(Acquire) == 1 || mutant!(IgnoredCount: false => true)
    }

    /// The record ends; its memory stays. It is told of the close here, if it came to want that after the
    /// last descriptor had gone.
    #[inline(always)]
    pub fn died(&self) {
        if self.must_hear_of_close() {
            self.record().last_descriptor_closed();
        }
        self.witness.dies();
    }

    /// The record of a node that was revived and is protected or owned.
    #[inline(always)]
    pub fn record(&self) -> &T {
        self.witness.reads();
        // SAFETY: a thread with a reference to the node got it from a slot, after `revive`.
        unsafe { (*self.record.get()).assume_init_ref() }
    }

    /// Tells whether the record of this node is `record` itself.
    pub fn is_record(&self, record: &T) -> bool {
        core::ptr::eq(self.record.get().cast(), record)
    }

    /// Tells whether the record must hear of the close of its last descriptor. The node was in a slot
    /// when the caller read that; it may have been reused since.
    #[inline(always)]
    pub fn must_hear_of_close(&self) -> bool {
        // SAFETY: a caller that found the node in a slot is ordered after `revive`.
        unsafe { T::must_hear_of_close(self.record.get().cast()) }
    }

    /// Tells an audit of a retired node and of what it keeps.
    ///
    /// # Safety
    /// As [`Audit::each_node`](super::Audit::each_node).
    pub unsafe fn visit_retired(&self, visit: &mut dyn FnMut(u32, Use)) {
        // Relaxed: nothing else runs.
        visit(self.number.get(), Use::Retired(self.count.load(Relaxed)));
        let mut kept = self;
        while let Some(next) = kept.kept_successor() {
            // SAFETY: nodes are never unmapped.
            let next = unsafe { next.as_ref() };
            visit(next.number.get(), Use::Kept);
            kept = next;
        }
    }

    /// The record's address, with the right to come back by [`Node::of`].
    pub fn record_ptr(node: NonNull<Node<T>>) -> NonNull<T> {
        // SAFETY: the field of a live node.
        unsafe { NonNull::new_unchecked((&raw mut (*node.as_ptr()).record).cast()) }
    }

    /// The node of a record.
    ///
    /// # Safety
    /// `record` came from [`Node::record_ptr`].
    pub unsafe fn of(record: NonNull<T>) -> NonNull<Node<T>> {
        // SAFETY: `record_ptr` added this offset to a non-null pointer.
        unsafe { record.cast::<u8>().sub(offset_of!(Node<T>, record)).cast() }
    }
}

/// A list of nodes that belongs to one owner at a time, last in, first out.
#[derive(Debug)]
pub struct List<T> {
    first: *mut Node<T>,
    length: u32,
}

// SAFETY: a list owns its nodes, whichever thread has it.
unsafe impl<T> Send for List<T> {}

impl<T> Default for List<T> {
    fn default() -> Self {
        List::new()
    }
}

impl<T> List<T> {
    /// A list without nodes.
    pub const fn new() -> Self {
        List { first: null_mut(), length: 0 }
    }

    /// The list of one node, which is in no other.
    pub fn one(node: NonNull<Node<T>>) -> Self {
        let mut list = List::new();
        list.push(node);
        list
    }

    /// The list of `length` nodes that starts with `first` and ends with null.
    pub fn of(first: NonNull<Node<T>>, length: u32) -> Self {
        List { first: first.as_ptr(), length }
    }

    /// Takes the first `count` nodes off, as a list of their own.
    pub fn split(&mut self, count: u32) -> Option<List<T>> {
        let first = NonNull::new(self.first)?;
        let mut last = first;
        for _ in 1..count {
            // SAFETY: nodes are never unmapped; these belong to the list.
            last = NonNull::new(unsafe { last.as_ref() }.next.get())?;
        }
        // SAFETY: as above.
        self.first = unsafe { last.as_ref() }.next.replace(null_mut());
        self.length -= count;
        Some(List::of(first, count))
    }

    /// Number of nodes in the batch.
    pub fn length(&self) -> u32 {
        self.length
    }

    /// The first node, which stays.
    pub fn first(&self) -> *mut Node<T> {
        self.first
    }

    /// Adds a node, which is in no list.
    #[inline]
    pub fn push(&mut self, node: NonNull<Node<T>>) {
        // SAFETY: nodes are never unmapped; the caller owns this one.
        unsafe { node.as_ref() }.next.set(self.first);
        self.first = node.as_ptr();
        self.length += 1;
    }

    /// Takes a node out.
    #[inline]
    pub fn pop(&mut self) -> Option<NonNull<Node<T>>> {
        let node = NonNull::new(self.first)?;
        // SAFETY: nodes are never unmapped; this one belongs to the list.
        self.first = unsafe { node.as_ref() }.next.get();
        self.length -= 1;
        Some(node)
    }

    /// Visits each node.
    pub fn each(&self, mut visit: impl FnMut(&Node<T>)) {
        let mut next = self.first;
        // SAFETY: as in `pop`.
        while let Some(node) = unsafe { next.as_ref() } {
            next = node.next.get();
            visit(node);
        }
    }
}
