//! Memory for nodes: chunks that are mapped once and never unmapped (type-stable memory).

use core::ptr::{NonNull, null_mut};
use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

use super::node::Node;
use super::primitive::{AtomicPtr, AtomicU32, map_array, unmap_array};

/// Nodes of the first chunk; each later chunk is twice as long as the one before.
const FIRST: u32 = 512;
const CHUNKS: usize = 17;
/// Nodes of all chunks: 2^26, 8 GiB.
const LIMIT: u32 = FIRST * ((1 << CHUNKS) - 1);

/// All the nodes of one registry, by number.
#[derive(Debug)]
pub struct Slab {
    /// The first node that was never handed out.
    next: AtomicU32,
    chunks: [AtomicPtr<Node>; CHUNKS],
}

impl Slab {
    /// A slab without memory.
    pub const fn new() -> Self {
        Slab { next: AtomicU32::new(0), chunks: [const { AtomicPtr::new(null_mut()) }; CHUNKS] }
    }

    /// `count` nodes in a row that were never handed out; `count` divides the first chunk's length,
    /// and is the same in every call. `None` without memory.
    pub fn fresh(&self, count: u32) -> Option<NonNull<Node>> {
        // Relaxed: the numbers are distinct whatever the order, and the memory comes with the
        // chunk's pointer.
        if self.next.load(Relaxed) >= LIMIT {
            return None;
        }
        let number = self.next.fetch_add(count, Relaxed);
        self.node(number)
    }

    /// Nodes that were handed out at least once.
    #[allow(dead_code)]
    pub fn handed_out(&self) -> u32 {
        // Relaxed: a figure for people.
        self.next.load(Relaxed)
    }

    /// The node with this number; maps its chunk at first use.
    fn node(&self, number: u32) -> Option<NonNull<Node>> {
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

/// The chunk of a node and its place there.
fn place(number: u32) -> Option<(usize, usize)> {
    let index = (number / FIRST + 1).ilog2() as usize;
    let start = FIRST * ((1 << index) - 1);
    (number < LIMIT).then_some((index, (number - start) as usize))
}

#[cold]
fn map_chunk(chunk: &AtomicPtr<Node>, index: usize) -> Option<NonNull<Node>> {
    let length = (FIRST as usize) << index;
    let fresh = map_array::<Node>(length)?;
    match chunk.compare_exchange(null_mut(), fresh.as_ptr(), AcqRel, Acquire) {
        Ok(_) => Some(fresh),
        Err(other) => {
            // SAFETY: another caller's chunk won; nobody has seen this one.
            unsafe { unmap_array(fresh, length) };
            NonNull::new(other)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_a_place_of_its_own() {
        let mut expected = (0, 0);
        for number in 0..FIRST * 31 {
            assert_eq!(place(number), Some(expected), "node {number}");
            expected.1 += 1;
            if expected.1 == (FIRST as usize) << expected.0 {
                expected = (expected.0 + 1, 0);
            }
        }
        assert_eq!(place(LIMIT - 1).map(|(chunk, _)| chunk), Some(CHUNKS - 1));
        assert_eq!(place(LIMIT), None);
    }
}
