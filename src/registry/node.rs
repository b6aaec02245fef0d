//! The memory of a record: its counts and what its reclamation needs.

use core::cell::{Cell, UnsafeCell};
use core::mem::{MaybeUninit, offset_of};
use core::ptr::NonNull;
use core::sync::atomic::Ordering::{AcqRel, Relaxed, SeqCst};

use super::primitive::{AtomicPtr, AtomicU32, AtomicU64};
use super::{Cookie, Record};

/// A record and its bookkeeping. Its memory is type-stable: once a node, always a node, so that a
/// reader which lost a race may still look at `birth`.
#[repr(C, align(64))]
pub struct Node {
    /// The epoch in which the record was born; never falls, also when the memory is reused.
    pub birth: AtomicU64,
    /// References: 1 of the registry (guarantee B) and 1 of each handle.
    pub count: AtomicU32,
    /// Slots that name the record, detached entries, and a predecessor's `successor`.
    pub slots: AtomicU32,
    record: UnsafeCell<MaybeUninit<Record>>,
    /// The epoch in which the record was retired. Belongs to whoever owns the retired node.
    pub retired: Cell<u64>,
    /// The next node of the list that this one is in. Belongs to the owner of the list.
    pub next: Cell<*mut Node>,
    /// The record that `supersede` has put in this one's place.
    pub successor: AtomicPtr<Node>,
}

// SAFETY: the Cells belong to one owner at a time, handed on by an acquire/release pair; the record
// is written only before the node is visible.
unsafe impl Sync for Node {}

impl Node {
    /// Makes a new record in a node that nobody else can see: count 1, one slot.
    pub fn revive(&self, cookie: Cookie, birth: u64) {
        // Relaxed throughout: the CAS or swap that puts the node into a slot releases them.
        self.birth.store(birth, Relaxed);
        self.count.store(1, Relaxed);
        self.slots.store(1, Relaxed);
        self.successor.store(core::ptr::null_mut(), Relaxed);
        // SAFETY: the caller owns the node.
        unsafe { (*self.record.get()).write(Record::new(cookie)) };
    }

    /// Gives up one slot count; says whether it was the last, and the caller must retire the node.
    ///
    /// A sole count is left standing, which spares `remove` an atomic operation: whoever raises it
    /// later (see `add_slot`) finds its source slot changed and takes its raise back.
    #[must_use = "the last one retires the node"]
    pub fn drop_slot(&self) -> bool {
        // SeqCst pairs with `add_slot`: after the swap that emptied the slot, this load; there,
        // after the raise, a load of the slot. One of the two sees the other. Release and Acquire
        // hand the node from those who drop a count to the one who retires it.
        self.slots.load(SeqCst) == 1 || self.slots.fetch_sub(1, AcqRel) == 1
    }

    /// Raises the slot count of a guarded node. It holds only if the slot where the node was found
    /// still names it after this; else `drop_slot` takes it back.
    pub fn add_slot(&self) {
        // SeqCst pairs with the load in `drop_slot`.
        self.slots.fetch_add(1, SeqCst);
    }

    /// The record of a node that was revived and is protected or owned.
    pub fn record(&self) -> &Record {
        // SAFETY: whoever has a reference to the node got it from a slot, after `revive`.
        unsafe { (*self.record.get()).assume_init_ref() }
    }

    /// The record's address, with the right to come back by [`Node::of`].
    pub fn record_ptr(node: NonNull<Node>) -> *const Record {
        // SAFETY: the field of a live node.
        unsafe { (&raw const (*node.as_ptr()).record).cast() }
    }

    /// The node of a record.
    ///
    /// # Safety
    /// `record` came from [`Node::record_ptr`].
    pub unsafe fn of(record: *const Record) -> NonNull<Node> {
        // SAFETY: `record_ptr` added this offset to a non-null pointer.
        unsafe {
            let node = record.cast::<u8>().sub(offset_of!(Node, record)).cast_mut().cast();
            NonNull::new_unchecked(node)
        }
    }
}
