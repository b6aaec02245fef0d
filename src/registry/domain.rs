//! What the slot table asks of memory reclamation.

use core::ops::Deref;
use core::ptr::NonNull;

use super::Cookie;
use super::node::Node;
use super::primitive::AtomicPtr;
use super::variant::Variant;

/// One descriptor's entry: null, or a node that is kept alive by one of its `slots` counts.
pub type Slot = AtomicPtr<Node>;

/// Hands out nodes and takes them back when no reader can see them any more.
///
/// # Safety
/// While a `Guard` lives, the memory of its node holds the same record (guarantee F), and the count
/// of that record is at least 1 (guarantee C).
pub unsafe trait Domain: Sync {
    /// The registry over this domain.
    const VARIANT: &'static Variant;

    /// Protects one node.
    type Guard<'d>: Deref<Target = Node>
    where
        Self: 'd;

    /// The node that `slot` holds, protected; `None` if it is empty.
    fn protect<'d>(&'d self, slot: &Slot) -> Option<Self::Guard<'d>>;

    /// Protects a node of which the caller owns a slot count.
    fn hold(&self, node: NonNull<Node>) -> Self::Guard<'_>;

    /// A revived node that nobody else can see; `None` without memory.
    fn allocate(&self, cookie: Cookie) -> Option<NonNull<Node>>;

    /// Takes a node back that nobody else has ever seen since `allocate`.
    fn release(&self, node: NonNull<Node>);

    /// Takes a node that is in no slot any more: gives up the registry's reference once no guard
    /// protects it (guarantees D, E, F). Its successor's slot count, if any, goes with it.
    fn retire(&self, node: NonNull<Node>);

    /// Gives up a handle's reference.
    fn put(&self, node: NonNull<Node>);

    /// Called in the child after `fork`.
    fn after_fork_in_child(&self);
}
