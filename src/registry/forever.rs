//! The domain that never reuses a node.

use core::ops::Deref;
use core::ptr::NonNull;
use core::sync::atomic::Ordering::{Acquire, Release};

use super::Cookie;
use super::domain::{Domain, Slot};
use super::guarantees::{Backend, Guarantees};
use super::node::Node;
use super::slab::Slab;

/// Nodes live for ever, so that a pointer is protection enough.
#[derive(Debug)]
pub struct Forever {
    slab: Slab,
}

impl Forever {
    /// A domain without memory.
    pub const fn new() -> Self {
        Forever { slab: Slab::new() }
    }
}

impl Default for Forever {
    fn default() -> Self {
        Forever::new()
    }
}

impl Backend for Forever {
    const NAME: &'static str = "slots";
    const GUARANTEES: Guarantees = Guarantees::ALL;
}

/// A node that will never go away.
pub struct Permanent<'d>(&'d Node);

impl Deref for Permanent<'_> {
    type Target = Node;

    fn deref(&self) -> &Node {
        self.0
    }
}

// SAFETY: no memory is ever reused.
unsafe impl Domain for Forever {
    type Guard<'d> = Permanent<'d>;

    fn protect<'d>(&'d self, slot: &Slot) -> Option<Permanent<'d>> {
        // Acquire pairs with the CAS that put the node there.
        // SAFETY: slots hold null or nodes of the slab, which is never unmapped.
        unsafe { slot.load(Acquire).as_ref() }.map(Permanent)
    }

    fn hold(&self, node: NonNull<Node>) -> Permanent<'_> {
        // SAFETY: as above.
        Permanent(unsafe { node.as_ref() })
    }

    fn allocate(&self, cookie: Cookie) -> Option<NonNull<Node>> {
        let node = self.slab.fresh(1)?;
        // SAFETY: fresh nodes belong to the caller.
        unsafe { node.as_ref() }.revive(cookie, 0);
        Some(node)
    }

    fn release(&self, _: NonNull<Node>) {}

    fn retire(&self, node: NonNull<Node>) {
        self.put(node);
    }

    fn put(&self, node: NonNull<Node>) {
        // Release: what the handle's holder did comes before.
        // SAFETY: never unmapped.
        unsafe { node.as_ref() }.count.fetch_sub(1, Release);
    }

    fn after_fork_in_child(&self) {}
}
