//! `type-stable`: a count for each reader and no epochs, as the kernel's own table of descriptors has it
//! (fget, SLAB_TYPESAFE_BY_RCU).
//!
//! A node's memory is never anything else, so its count may be looked at whatever became of it. A reader
//! raises the count of what a slot names unless it is 0, and looks at the slot again: if that still names
//! the node, the count is one of the record that the slot names. Else the node may be another's by now,
//! and the count is given back.

use core::ops::Deref;
use core::ptr::NonNull;
use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use super::audit::{Audit, Use};
use super::backends::{self, Variant};
use super::domain::Domain;
use super::entry::{Entry, Slot};
use super::node::{List, Node};
use super::owned::empty_is_new;
use super::slab::Slab;
use super::{Payload, SocketId};
use crate::atomics::const_new;
use crate::atomics::mutant::mutant;

/// Nodes that are free when nothing counts them.
#[derive(Debug)]
pub struct Counts<T> {
    slab: Slab<T>,
}

/// A counted node.
#[derive(Debug)]
pub struct Guard<'d, T: Payload> {
    counts: &'d Counts<T>,
    node: NonNull<Node<T>>,
}

impl<T: Payload> Deref for Guard<'_, T> {
    type Target = Node<T>;

    #[inline(always)]
    fn deref(&self) -> &Node<T> {
        // SAFETY: the count keeps the node.
        unsafe { self.node.as_ref() }
    }
}

impl<T: Payload> Drop for Guard<'_, T> {
    #[inline(always)]
    fn drop(&mut self) {
        self.counts.give_back(self.node);
    }
}

impl<T: Payload> Counts<T> {
    const_new! {
        /// No nodes.
        pub fn new() -> Self {
            Counts { slab: Slab::new() }
        }
    }

    /// Gives up a reference; the last one makes the node free (guarantee E).
    #[inline(always)]
    fn give_back(&self, node: NonNull<Node<T>>) {
        // AcqRel: every holder's use comes before the reuse; and a reader that raises the count later, of
        // this life or of the next, finds the slots changed that were changed before (see `protect`).
        // SAFETY: nodes are never unmapped.
        if unsafe { node.as_ref() }.count.fetch_sub(1, AcqRel) == 1 {
            self.recycle(node);
        }
    }

    #[inline(never)]
    fn recycle(&self, node: NonNull<Node<T>>) {
        let mut dead = Some(node);
        while let Some(node) = dead {
            // SAFETY: nodes are never unmapped; this one is ours.
            let record = unsafe { node.as_ref() };
            let next = record.kept_successor();
            record.died();
            self.slab.push(List::one(node));
            // AcqRel as in `give_back`.
            // SAFETY: the dead node's slot count kept it.
            dead = next.filter(|next| unsafe {
                next.as_ref().drop_slot() && next.as_ref().count.fetch_sub(1, AcqRel) == 1
            });
        }
    }
}

empty_is_new! { [T: Payload] Counts<T> }

impl<T: Payload> Audit for Counts<T> {
    fn handed_out(&self) -> u32 {
        self.slab.handed_out()
    }

    fn claims(&self) -> usize {
        0
    }

    unsafe fn each_node(&self, visit: &mut dyn FnMut(u32, Use)) {
        // SAFETY: as the caller vouches.
        unsafe { self.slab.each_spilled(|node| visit(node.number.get(), Use::Free)) };
    }
}

// SAFETY: a guard is a reference that was counted while it was not 0 and the slot named the node, so the
// record is the slot's, and stays until the guard gives it back.
unsafe impl<T: Payload> Domain for Counts<T> {
    type Payload = T;

    const VARIANT: &'static Variant = &backends::TYPE_STABLE;

    type Guard<'d> = Guard<'d, T>;

    #[inline(always)]
    fn protect<'d>(&'d self, slot: &Slot<T>) -> Option<Guard<'d, T>> {
        loop {
            // Acquire pairs with the CAS that put the node there.
            let node = Entry::of(slot.load(Acquire)).named()?;
            // SAFETY: nodes are never unmapped.
            let count = unsafe { &node.as_ref().count };
            // Acquire: if it is 0, the slot is seen changed next time; pairs with `give_back`.
            let mut seen = count.load(Acquire);
            while mutant!(CountFromZero: seen != 0 => true) {
                // Acquire: if the node has left the slot and given up the registry's reference, the look
                // below sees that it has; pairs with the Release in `allocate` if it lives again, with
                // `give_back` if not.
                match count.compare_exchange_weak(seen, seen + 1, Acquire, Acquire) {
                    Ok(_) => break,
                    Err(other) => seen = other,
                }
            }
            if mutant!(CountFromZero: seen == 0 => false) {
                continue;
            }
            let guard = Guard { counts: self, node };
            // Relaxed: ordered by the Acquire above.
            let is_there = Entry::of(slot.load(Relaxed)).named() == Some(node);
            if mutant!(NoLookAfterCount: is_there => true) {
                return Some(guard);
            }
        }
    }

    #[inline(always)]
    fn acquire(&self, slot: &Slot<T>) -> Option<NonNull<Node<T>>> {
        let guard = core::mem::ManuallyDrop::new(self.protect(slot)?);
        Some(guard.node)
    }

    fn hold(&self, node: NonNull<Node<T>>) -> Guard<'_, T> {
        // Relaxed: the caller's slot count keeps the registry's reference.
        // SAFETY: as above.
        unsafe { node.as_ref() }.count.fetch_add(1, Relaxed);
        Guard { counts: self, node }
    }

    fn allocate(&self, cookie: SocketId) -> Option<NonNull<Node<T>>> {
        let mut list = List::new();
        self.slab.refill(&mut list);
        let node = list.pop()?;
        self.slab.push(list);
        // SAFETY: nodes are never unmapped; this one is ours.
        let fresh = unsafe { node.as_ref() };
        // No reader raises a 0, so that the store undoes no raise.
        mutant!(EarlyCount => { fresh.revive(cookie, 0); return Some(node); });
        fresh.renew(cookie, 0);
        // Release pairs with the Acquire in `protect`.
        fresh.count.store(1, Release);
        Some(node)
    }

    fn release(&self, node: NonNull<Node<T>>) {
        // A reader that found the node in its last life may have raised the count.
        self.give_back(node);
    }

    fn retire(&self, node: NonNull<Node<T>>) {
        self.give_back(node);
    }

    #[inline(always)]
    fn put(&self, node: NonNull<Node<T>>) {
        self.give_back(node);
    }

    fn after_fork_in_child(&self) {}
}
