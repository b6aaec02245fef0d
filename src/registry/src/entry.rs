//! Decoded word of a slot: which node a descriptor names, if any.

use core::ptr::{NonNull, null_mut};

use super::node::Node;
use crate::atomics::ordering::TotalOrder;
use crate::atomics::{AtomicPtr, barrier};

/// One descriptor's entry, as a word that is changed by one CAS or swap at a time.
pub type Slot<T> = AtomicPtr<Node<T>>;

/// The word of a [`Slot`]: an address whose low bits say how the slot stands to the node. Unless it
/// is empty, the slot owns one of the node's `slots` counts.
///
/// # Life of a slot
/// ```text
///            insert: CAS            remove: CAS
///   EMPTY -------------> YOUNG ---------------------> REMOVED --> EMPTY, and the count given up:
///     |                   |  ^                         |   |      the thread that listed it looks again
///     |    looked at again|  +------- insert: CAS -----+   +----> or another entry, likewise
///     |                   v
///     +---------------> OLD ---> EMPTY
///       restore, duplicate      remove, detach, duplicate: swap
/// ```
/// Most descriptors that are closed soon are opened again soon. A young entry's removal leaves the
/// node where it is, which spares it the arena; the next insert, which has an arena anyway, takes
/// the node out. So that no node waits for an insert that never comes, each slot that becomes young
/// or removed is noted in one arena, which looks at it again when it has noted a few more.
pub struct Entry<T>(*mut Node<T>);

/// The descriptor names the node.
const NAMES: usize = 1;
/// No arena has noted the slot: it must not be left `REMOVED`.
const OLD: usize = 2;

impl<T> Entry<T> {
    /// The bit of a word whose descriptor names the node.
    pub const NAMES: u32 = NAMES as u32;
    /// The bits of a word that are not of the node's address.
    pub const MARKS: u32 = (NAMES | OLD) as u32;
}

impl<T> Clone for Entry<T> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Entry<T> {}

impl<T> PartialEq for Entry<T> {
    #[inline(always)]
    fn eq(&self, other: &Self) -> bool {
        core::ptr::eq(self.0, other.0)
    }
}

impl<T> core::fmt::Debug for Entry<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_tuple("Entry").field(&self.0).finish()
    }
}

impl<T> Entry<T> {
    /// The descriptor names nothing.
    pub const EMPTY: Entry<T> = Entry(null_mut());

    /// Decodes a loaded word of the slot.
    #[inline(always)]
    pub fn of(word: *mut Node<T>) -> Entry<T> {
        Entry(word)
    }

    /// Word to store.
    #[inline(always)]
    pub fn word(self) -> *mut Node<T> {
        self.0
    }

    /// Names `node`; the slot is noted in an arena.
    #[inline(always)]
    pub fn young(node: NonNull<Node<T>>) -> Entry<T> {
        Entry(node.as_ptr().map_addr(|address| address | NAMES))
    }

    /// Names `node`, whether or not the slot is noted.
    #[inline(always)]
    pub fn old(node: NonNull<Node<T>>) -> Entry<T> {
        Entry(node.as_ptr().map_addr(|address| address | NAMES | OLD))
    }

    /// The same name, old.
    pub fn aged(self) -> Entry<T> {
        Entry(self.0.map_addr(|address| address | OLD))
    }

    /// A young entry's word after its removal.
    #[inline(always)]
    pub fn removed(self) -> Entry<T> {
        Entry(self.0.map_addr(|address| address & !NAMES))
    }

    /// Tells whether the descriptor names a node.
    #[inline(always)]
    pub fn is_named(self) -> bool {
        self.0.addr() & NAMES != 0
    }

    /// Tells whether the descriptor names a node, and the slot is noted in an arena.
    #[inline(always)]
    pub fn is_young(self) -> bool {
        self.0.addr() & (NAMES | OLD) == NAMES
    }

    /// The node that the descriptor names.
    #[inline(always)]
    pub fn named(self) -> Option<NonNull<Node<T>>> {
        // SAFETY: the bits are on the address of a node, which stays when they are taken off.
        self.is_named().then(|| unsafe { NonNull::new_unchecked(self.bare()) })
    }

    /// The node whose name was removed, and of which the slot still owns a count.
    #[inline(always)]
    pub fn left(self) -> Option<NonNull<Node<T>>> {
        if self.is_named() { None } else { NonNull::new(self.0) }
    }

    /// The node of which the slot owns a count.
    #[inline(always)]
    pub fn node(self) -> Option<NonNull<Node<T>>> {
        NonNull::new(self.bare())
    }

    #[inline(always)]
    fn bare(self) -> *mut Node<T> {
        self.0.map_addr(|address| address & !(NAMES | OLD))
    }
}

/// The steps of a slot, all in the total order.
pub trait Steps<T> {
    /// Reads the entry; the total order puts the read after the caller's preceding writes.
    fn look(&self) -> Entry<T>;
    /// As `look`, by a caller whose writes before are ordered by a barrier of two halves.
    fn look_behind_barrier(&self) -> Entry<T>;
    /// Gives the slot another word, if it still has `seen`; else says what it has.
    fn step(&self, seen: Entry<T>, next: Entry<T>) -> Result<(), Entry<T>>;
    /// Gives the slot another word, whatever it had.
    fn exchange(&self, next: Entry<T>) -> Entry<T>;
}

impl<T> Steps<T> for Slot<T> {
    #[inline(always)]
    fn look(&self) -> Entry<T> {
        Entry(self.load_total())
    }

    #[inline(always)]
    fn look_behind_barrier(&self) -> Entry<T> {
        let entry = Entry(self.load_total_unfenced());
        barrier::here();
        entry
    }

    #[inline(always)]
    fn step(&self, seen: Entry<T>, next: Entry<T>) -> Result<(), Entry<T>> {
        self.replace_total(seen.0, next.0).map_err(Entry)
    }

    #[inline(always)]
    fn exchange(&self, next: Entry<T>) -> Entry<T> {
        Entry(self.swap_total(next.0))
    }
}

#[cfg(all(test, not(crossbeam_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_word_says_whether_it_names_a_node_and_whether_it_is_noted() {
        // Any address that a node can have; no thread looks there.
        let node = NonNull::<Node<u8>>::dangling();
        let (young, old) = (Entry::young(node), Entry::old(node));
        let removed = young.removed();
        assert_eq!((young.named(), young.left(), young.is_young()), (Some(node), None, true));
        assert_eq!((old.named(), old.left(), old.is_young()), (Some(node), None, false));
        assert_eq!((removed.named(), removed.left()), (None, Some(node)));
        assert_eq!((Entry::<u8>::EMPTY.named(), Entry::<u8>::EMPTY.left()), (None, None));
        assert_eq!(young.aged(), old);
        assert_eq!(
            [young, old, removed, Entry::EMPTY].map(Entry::node),
            [Some(node), Some(node), Some(node), None]
        );
    }
}
