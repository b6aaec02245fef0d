//! Memory for nodes: chunks that are mapped once and never unmapped (type-stable memory), and the
//! stack through which arenas share what they have too much of.

use core::ptr::{NonNull, null_mut};
use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

use super::node::{List, Node};
use crate::atomics::mutant::mutant;
use crate::atomics::{
    AtomicPtr, AtomicU32, AtomicU64, atomic_array, const_new, map_array, unmap_array,
};
use crate::sizes::{BATCH, CHUNKS, FIRST_CHUNK};

/// Nodes of all chunks.
const LIMIT: u32 = FIRST_CHUNK * ((1 << CHUNKS) - 1);

/// All the nodes of one registry, by number.
#[derive(Debug)]
pub struct Slab<T> {
    /// The first node that was never handed out.
    next: AtomicU32,
    /// Each chunk is twice as long as the one before.
    chunks: [AtomicPtr<Node<T>>; CHUNKS],
    /// The spill stack: in the low half the number of the top batch's first node, one more, or 0;
    /// in the high half a tag that grows with each pop, so that a batch which was popped and pushed
    /// again meanwhile is not taken for the one that a popper had read (ABA).
    spilled: AtomicU64,
}

impl<T> Slab<T> {
    const_new! {
        /// A slab without memory.
        pub fn new() -> Slab<T> {
            Slab {
                next: AtomicU32::new(0),
                chunks: atomic_array!(CHUNKS, AtomicPtr::new(null_mut())),
                spilled: AtomicU64::new(0),
            }
        }
    }

    /// Fills an empty list with a batch of nodes: spilled ones, else some that were never used. The
    /// list stays empty without memory. Async-signal-safe.
    #[cold]
    pub fn refill(&self, list: &mut List<T>) {
        match self.pop_batch() {
            Some(batch) => *list = batch,
            None => self.fresh_batch(list),
        }
    }

    fn fresh_batch(&self, list: &mut List<T>) {
        // Relaxed: the numbers are distinct whatever the order, and the memory comes with the
        // chunk's pointer.
        let mut first = self.next.load(Relaxed);
        loop {
            // Its chunk first: without memory no number is used up. A batch lies in one chunk.
            if self.node(first).is_none() {
                return;
            }
            match self.next.compare_exchange_weak(first, first + BATCH, Relaxed, Relaxed) {
                Ok(_) => break,
                Err(other) => first = other,
            }
        }
        for number in (first..first + BATCH).rev() {
            if let Some(node) = self.node(number) {
                // SAFETY: never unmapped; no other thread has this number.
                unsafe { node.as_ref() }.number.set(number);
                list.push(node);
            }
        }
    }

    /// Takes [`BATCH`] nodes off a list that has more, for other arenas. Async-signal-safe.
    #[cold]
    pub fn spill(&self, list: &mut List<T>) {
        if let Some(batch) = list.split(BATCH) {
            self.push(batch);
        }
    }

    /// Makes the nodes of a list available to all. Async-signal-safe.
    pub fn push(&self, batch: List<T>) {
        // SAFETY: never unmapped; the batch is ours until the CAS.
        let Some(first) = (unsafe { batch.first().as_ref() }) else { return };
        first.batch.set(batch.length());
        // Relaxed: the CAS decides.
        let mut top = self.spilled.load(Relaxed);
        loop {
            first.link.store(top as u32, Relaxed);
            let new = top & TAG | u64::from(first.number.get() + 1);
            // AcqRel: hands the list's memory to the popper.
            match self.spilled.compare_exchange(top, new, AcqRel, Relaxed) {
                Ok(_) => return,
                Err(other) => top = other,
            }
        }
    }

    fn pop_batch(&self) -> Option<List<T>> {
        // Acquire pairs with the AcqRel in `push`.
        let mut top = self.spilled.load(Acquire);
        loop {
            let node = self.node((top as u32).checked_sub(1)?)?;
            // Relaxed: a stale link is thrown away with the tag's mismatch.
            // SAFETY: never unmapped, and `link` is atomic: another popper may own the node by now.
            let link = unsafe { node.as_ref() }.link.load(Relaxed);
            let step = mutant!(NoTag: ONE_TAG => 0);
            let new = (top & TAG).wrapping_add(step) | u64::from(link);
            match self.spilled.compare_exchange(top, new, AcqRel, Acquire) {
                Ok(_) => {
                    // SAFETY: never unmapped; the CAS made the batch ours.
                    return Some(List::of(node, unsafe { node.as_ref() }.batch.get()));
                }
                Err(other) => top = other,
            }
        }
    }

    /// Nodes that were handed out at least once. For tests and benches.
    pub fn handed_out(&self) -> u32 {
        // Relaxed: a figure for people.
        self.next.load(Relaxed)
    }

    /// Visits every spilled node.
    ///
    /// # Safety
    /// As [`Audit::each_node`](super::Audit::each_node).
    pub unsafe fn each_spilled(&self, mut visit: impl FnMut(&Node<T>)) {
        // Acquire pairs with the AcqRel in `push`.
        let mut link = self.spilled.load(Acquire) as u32;
        while let Some(first) = link.checked_sub(1).and_then(|number| self.node(number)) {
            // SAFETY: never unmapped; the caller vouches that no thread takes the batch meanwhile.
            let head = unsafe { first.as_ref() };
            List::of(first, head.batch.get()).each(&mut visit);
            // Relaxed: ordered by the Acquire above.
            link = head.link.load(Relaxed);
        }
    }

    /// The node with this number; maps its chunk at first use.
    fn node(&self, number: u32) -> Option<NonNull<Node<T>>> {
        let (index, offset) = place(number)?;
        let chunk = self.chunks.get(index)?;
        // Acquire pairs with the AcqRel in `map_chunk`.
        let nodes = match NonNull::new(chunk.load(Acquire)) {
            Some(nodes) => nodes,
            None => map_chunk(chunk, index)?,
        };
        // SAFETY: `place` keeps the offset within the chunk.
        Some(unsafe { nodes.add(offset) })
    }
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Slab::new()
    }
}

const TAG: u64 = !(u32::MAX as u64);
const ONE_TAG: u64 = 1 << 32;

/// The chunk of a node and its place there.
fn place(number: u32) -> Option<(usize, usize)> {
    let index = (number / FIRST_CHUNK + 1).ilog2() as usize;
    let start = FIRST_CHUNK * ((1 << index) - 1);
    (number < LIMIT).then_some((index, (number - start) as usize))
}

#[cold]
fn map_chunk<T>(chunk: &AtomicPtr<Node<T>>, index: usize) -> Option<NonNull<Node<T>>> {
    let length = (FIRST_CHUNK as usize) << index;
    let fresh = map_array::<Node<T>>(length)?;
    match chunk.compare_exchange(null_mut(), fresh.as_ptr(), AcqRel, Acquire) {
        Ok(_) => Some(fresh),
        Err(other) => {
            // SAFETY: another caller's chunk won; no other thread has seen this one.
            unsafe { unmap_array(fresh, length) };
            NonNull::new(other)
        }
    }
}

#[cfg(all(test, not(crossbeam_loom)))]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_a_place_of_its_own() {
        let mut expected = (0, 0);
        for number in 0..FIRST_CHUNK * 31 {
            assert_eq!(place(number), Some(expected), "node {number}");
            expected.1 += 1;
            if expected.1 == (FIRST_CHUNK as usize) << expected.0 {
                expected = (expected.0 + 1, 0);
            }
        }
        assert_eq!(place(LIMIT - 1).map(|(chunk, _)| chunk), Some(CHUNKS - 1));
        assert_eq!(place(LIMIT), None);
    }

    #[test]
    fn spilled_batches_come_back_before_fresh_ones() {
        let slab = Slab::<u8>::new();
        let mut list = List::new();
        slab.refill(&mut list);
        slab.fresh_batch(&mut list);
        let used = slab.handed_out();
        slab.spill(&mut list);
        slab.spill(&mut list);
        let mut numbers = Vec::new();
        for _ in 0..2 {
            let mut batch = List::new();
            slab.refill(&mut batch);
            while let Some(node) = batch.pop() {
                // SAFETY: never unmapped.
                numbers.push(unsafe { node.as_ref() }.number.get());
            }
        }
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len() as u32, 2 * BATCH);
        assert_eq!(slab.handed_out(), used);
    }
}
