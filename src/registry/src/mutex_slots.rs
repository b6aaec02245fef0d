//! `mutex-slots`: one mutex over the descriptor table and the slab of `slots`, so that a comparison
//! with `mutex` shows what table and slab bring, and one with `slots` what locking costs.

use core::ptr::{NonNull, null_mut};
use core::sync::atomic::Ordering::{AcqRel, Relaxed};

use super::audit::{Audit, Use};
use super::backends::{self, Variant};
use super::entry::Slot;
use super::lock::PthreadMutex;
use super::node::{List, Node};
use super::owned::empty_is_new;
use super::slab::Slab;
use super::table::Table;
use super::{Detached, InsertError, Payload, Registry, SocketId};
use crate::atomics::const_new;

/// The descriptor table under one mutex.
///
/// Every slot, every slot count and every list is touched under the lock only, so their accesses
/// are Relaxed; reference counts are also given up outside of it.
pub struct MutexSlots<T> {
    table: Table<Slot<T>>,
    slab: Slab<T>,
    free: PthreadMutex<List<T>>,
}

/// Gives up a reference; says whether it was the last (guarantee E).
fn put<T: Payload>(node: NonNull<Node<T>>) -> bool {
    // AcqRel: every holder's use comes before the reuse.
    // SAFETY: nodes are never unmapped.
    unsafe { node.as_ref() }.count.fetch_sub(1, AcqRel) == 1
}

/// Under the lock: makes a node without references free, and those that it kept.
fn recycle<T: Payload>(free: &mut List<T>, node: NonNull<Node<T>>) {
    let mut dead = Some(node);
    while let Some(node) = dead {
        // SAFETY: nodes are never unmapped; this one is ours.
        let next = unsafe { node.as_ref() }.kept_successor();
        // SAFETY: as above.
        unsafe { node.as_ref() }.died();
        free.push(node);
        // SAFETY: the dead node's slot count kept it.
        dead = next.filter(|next| unsafe { next.as_ref() }.drop_slot() && put(*next));
    }
}

/// Under the lock: gives up the slot count of a node.
fn forget<T: Payload>(free: &mut List<T>, node: NonNull<Node<T>>) {
    // SAFETY: the slot count keeps the node until here.
    if unsafe { node.as_ref() }.drop_slot() && put(node) {
        recycle(free, node);
    }
}

/// Under the lock: lets `slot` name `node`, which has a slot count for it, or nothing.
fn set<T: Payload>(free: &mut List<T>, slot: &Slot<T>, node: *mut Node<T>) {
    let before = slot.load(Relaxed);
    slot.store(node, Relaxed);
    if let Some(before) = NonNull::new(before) {
        forget(free, before);
    }
}

/// Under the lock: the record that has come in the place of `node`, with one more slot count;
/// null where nothing has.
fn latest<T: Payload>(mut node: NonNull<Node<T>>) -> *mut Node<T> {
    // SAFETY: a live node keeps its successor.
    while let Some(next) = NonNull::new(unsafe { node.as_ref() }.successor.load(Relaxed)) {
        if next == node {
            return null_mut();
        }
        node = next;
    }
    // SAFETY: as above.
    unsafe { node.as_ref() }.add_slot();
    node.as_ptr()
}

impl<T: Payload> MutexSlots<T> {
    const_new! {
        /// An empty registry.
        pub fn new() -> Self {
            let free = PthreadMutex::new(List::new());
            MutexSlots { table: Table::new(), slab: Slab::new(), free }
        }
    }

    /// Under the lock: a new record.
    fn allocate(&self, free: &mut List<T>, cookie: SocketId) -> Option<NonNull<Node<T>>> {
        if free.length() == 0 {
            self.slab.refill(free);
        }
        let node = free.pop()?;
        // SAFETY: nodes are never unmapped; this one is ours.
        unsafe { node.as_ref() }.revive(cookie, 0);
        Some(node)
    }
}

impl<T: Payload> Audit for MutexSlots<T> {
    fn handed_out(&self) -> u32 {
        self.slab.handed_out()
    }

    fn claims(&self) -> usize {
        0
    }

    unsafe fn each_node(&self, visit: &mut dyn FnMut(u32, Use)) {
        self.table.each_slot(|slot| {
            // SAFETY: slots hold null or nodes, which are never unmapped.
            if let Some(node) = unsafe { slot.load(Relaxed).as_ref() } {
                visit(node.number.get(), Use::Named);
            }
        });
        self.free.locked(|free| free.each(|node| visit(node.number.get(), Use::Free)));
        // SAFETY: as the caller vouches.
        unsafe { self.slab.each_spilled(|node| visit(node.number.get(), Use::Free)) };
    }
}

empty_is_new! { [T: Payload] MutexSlots<T> }

// SAFETY: A is the record's; B `Node::revive`; C the increment under the lock; D and E `forget` and
// `put`; F the free list is the last step; G the lock; I the slot is empty when `detach` returns.
unsafe impl<T: Payload> Registry for MutexSlots<T> {
    type Payload = T;

    const VARIANT: &'static Variant = &backends::MUTEX_SLOTS;

    fn insert(&self, fd: i32, cookie: SocketId) -> Result<(), InsertError> {
        let slot = self.table.slot_or_map(fd)?;
        self.free.locked(|free| {
            if !slot.load(Relaxed).is_null() {
                return Err(InsertError::Occupied);
            }
            let node = self.allocate(free, cookie).ok_or(InsertError::Exhausted)?;
            slot.store(node.as_ptr(), Relaxed);
            Ok(())
        })
    }

    fn borrow<S>(&self, fd: i32, read: impl FnOnce(&T) -> S) -> Option<S> {
        let slot = self.table.slot(fd)?;
        self.free.locked(|_| {
            // SAFETY: under the lock the slot's count keeps the node.
            unsafe { slot.load(Relaxed).as_ref() }.map(|node| read(node.record()))
        })
    }

    fn acquire(&self, fd: i32) -> Option<NonNull<T>> {
        let slot = self.table.slot(fd)?;
        self.free.locked(|_| {
            let node = NonNull::new(slot.load(Relaxed))?;
            // Relaxed: the lock orders it before the registry's own put.
            // SAFETY: as in `borrow`.
            unsafe { node.as_ref() }.count.fetch_add(1, Relaxed);
            Some(Node::record_ptr(node))
        })
    }

    unsafe fn release(&self, record: NonNull<T>) {
        // SAFETY: `acquire` gave it.
        let node = unsafe { Node::of(record) };
        if put(node) {
            self.free.locked(|free| recycle(free, node));
        }
    }

    #[inline(always)]
    unsafe fn record(&self, record: NonNull<T>) -> &T {
        // SAFETY: `acquire` gave it, and the count keeps the node.
        unsafe { &*Node::of(record).as_ptr() }.record()
    }

    fn remove(&self, fd: i32) -> bool {
        self.table.slot(fd).is_some_and(|slot| {
            self.free.locked(|free| {
                let found = !slot.load(Relaxed).is_null();
                set(free, slot, null_mut());
                found
            })
        })
    }

    fn remove_if(&self, fd: i32, record: &T) -> bool {
        self.table.slot(fd).is_some_and(|slot| {
            self.free.locked(|free| {
                let node = NonNull::new(slot.load(Relaxed));
                // SAFETY: nodes are never unmapped; only an address is taken.
                let is_it = node.is_some_and(|node| unsafe { node.as_ref() }.is_record(record));
                if is_it {
                    set(free, slot, null_mut());
                }
                is_it
            })
        })
    }

    fn detach(&self, fd: i32) -> Option<Detached> {
        let slot = self.table.slot(fd)?;
        self.free.locked(|_| {
            let node = NonNull::new(slot.load(Relaxed))?;
            slot.store(null_mut(), Relaxed);
            Some(Detached(node.cast()))
        })
    }

    fn restore(&self, fd: i32, entry: Detached) {
        let node = entry.0.cast::<Node<T>>();
        self.free.locked(|free| {
            if let Some(slot) = self.table.slot(fd).filter(|slot| slot.load(Relaxed).is_null()) {
                slot.store(latest(node), Relaxed);
            }
            forget(free, node);
        });
    }

    fn discard(&self, entry: Detached) {
        self.free.locked(|free| forget(free, entry.0.cast()));
    }

    fn duplicate(&self, source: i32, target: i32) -> Result<bool, InsertError> {
        let Some(from) = self.table.slot(source) else {
            self.remove(target);
            return Ok(false);
        };
        if source == target {
            return Ok(self.contains(source));
        }
        let to = self.table.slot_or_map(target)?;
        self.free.locked(|free| {
            let node = NonNull::new(from.load(Relaxed)).map_or(null_mut(), latest);
            set(free, to, node);
            Ok(!node.is_null())
        })
    }

    fn supersede(&self, fd: i32) -> Result<bool, InsertError> {
        let Some(slot) = self.table.slot(fd) else { return Ok(false) };
        self.free.locked(|free| {
            let Some(old) = NonNull::new(slot.load(Relaxed)) else { return Ok(false) };
            // SAFETY: as in `borrow`.
            let superseded = unsafe { old.as_ref() };
            let Some(next) = self.allocate(free, superseded.record().id()) else {
                // For who detached it.
                superseded.successor.store(old.as_ptr(), Relaxed);
                self.table.each_slot(|slot| {
                    if core::ptr::eq(slot.load(Relaxed), old.as_ptr()) {
                        set(free, slot, null_mut());
                    }
                });
                return Err(InsertError::Exhausted);
            };
            // The new record's first slot count is this link's.
            superseded.successor.store(next.as_ptr(), Relaxed);
            // Kept alive while its slots are changed.
            superseded.add_slot();
            self.table.each_slot(|slot| {
                if core::ptr::eq(slot.load(Relaxed), old.as_ptr()) {
                    set(free, slot, latest(next));
                }
            });
            forget(free, old);
            Ok(true)
        })
    }

    fn after_fork_in_child(&self) {}
}
