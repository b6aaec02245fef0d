//! Interface of memory reclamation to the slot table.

use core::ops::Deref;
use core::ptr::NonNull;
use core::sync::atomic::Ordering::Relaxed;

use super::backends::Variant;
use super::entry::{Entry, Slot, Steps};
use super::node::Node;
use super::{InsertError, Payload, SocketId};

/// Hands out nodes and takes them back when no reader can see them any more.
///
/// # Safety
/// While a `Guard` lives, the memory of its node holds the same record (guarantee F), and the count
/// of that record is at least 1 (guarantee C).
pub unsafe trait Domain: Sync {
    /// Content of its nodes.
    type Payload: Payload;

    /// The registry over this domain.
    const VARIANT: &'static Variant;

    /// Protects one node.
    type Guard<'d>: Deref<Target = Node<Self::Payload>>
    where
        Self: 'd;

    /// The node that `slot` names, protected; `None` if it names none.
    fn protect<'d>(&'d self, slot: &Slot<Self::Payload>) -> Option<Self::Guard<'d>>;

    /// The node that `slot` names, with one more reference (guarantee C).
    #[inline(always)]
    fn acquire(&self, slot: &Slot<Self::Payload>) -> Option<NonNull<Node<Self::Payload>>> {
        let node = self.protect(slot)?;
        // Relaxed: the guard has met a count of at least 1, and the guard's end publishes this.
        node.count.fetch_add(1, Relaxed);
        Some(NonNull::from(&*node))
    }

    /// Protects a node of which the caller owns a slot count.
    fn hold(&self, node: NonNull<Node<Self::Payload>>) -> Self::Guard<'_>;

    /// A revived node that no other thread can see; `None` without memory.
    fn allocate(&self, cookie: SocketId) -> Option<NonNull<Node<Self::Payload>>>;

    /// Lets `slot`, which names nothing and was seen to say `seen`, name a new record.
    #[inline]
    fn insert(
        &self,
        slot: &Slot<Self::Payload>,
        seen: Entry<Self::Payload>,
        cookie: SocketId,
    ) -> Result<(), InsertError> {
        insert_old(self, slot, seen, cookie)
    }

    /// Takes a node back that no other thread has ever seen since `allocate`.
    fn release(&self, node: NonNull<Node<Self::Payload>>);

    /// Takes a node that is in no slot any more: gives up the registry's reference once no guard
    /// protects it (guarantees D, E, F). Its successor's slot count, if any, goes with it.
    fn retire(&self, node: NonNull<Node<Self::Payload>>);

    /// Gives up a handle's reference.
    fn put(&self, node: NonNull<Node<Self::Payload>>);

    /// Called in the child after `fork`.
    fn after_fork_in_child(&self);
}

/// A domain that can count what is not free yet.
pub trait Unreclaimed {
    /// Retired nodes that are not free yet, in the arenas that no thread holds at this moment.
    fn in_limbo(&self) -> u32;
}

/// [`Domain::insert`] for a slot that is noted nowhere.
pub fn insert_old<D: Domain + ?Sized>(
    domain: &D,
    slot: &Slot<D::Payload>,
    mut seen: Entry<D::Payload>,
    cookie: SocketId,
) -> Result<(), InsertError> {
    let node = domain.allocate(cookie).ok_or(InsertError::Exhausted)?;
    // Total order: releases the record to `protect`.
    while let Err(other) = slot.step(seen, Entry::old(node)) {
        if other.is_named() {
            domain.release(node);
            return Err(InsertError::Occupied);
        }
        seen = other;
    }
    // SAFETY: nodes are never unmapped; the slot's count of this one is the caller's now.
    if let Some(left) = seen.left().filter(|left| unsafe { left.as_ref() }.drop_slot()) {
        domain.retire(left);
    }
    Ok(())
}
