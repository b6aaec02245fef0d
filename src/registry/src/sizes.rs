//! Sizes of the registry's parts: in a program, and small in a model, so that models end.

#[cfg(not(crossbeam_loom))]
mod real {
    /// Descriptors of one page of the table: 2^20, what Linux allows a process unless told otherwise.
    pub const PAGE: usize = 1 << 20;
    /// Readers' cells of one generation: 2^16, more than programs abandon.
    pub const CELLS: usize = 1 << 16;
    /// Mutations' cells of one generation, each with an arena.
    pub const ARENAS: usize = 1024;
    /// Cells of one generation that places on stacks have: fewer than a thread's and its callees' places,
    /// for a place without one claims a reader's cell.
    pub const PLACES: usize = 1024;
    /// Cells of a kind at which the search for a free one starts.
    pub const HOMES: usize = 256;
    /// Cells that a search looks at from its home on.
    pub const NEAR: usize = 64;
    /// Cells that it looks at then, from where one was found last.
    pub const FAR: usize = 4096;
    /// Nodes of the slab's first chunk.
    pub const FIRST_CHUNK: u32 = 512;
    /// Chunks of the slab, each twice as long as the one before: 2^26 nodes, 8 GiB.
    pub const CHUNKS: usize = 17;
    /// Nodes that move between an arena and the slab at once; it divides `FIRST_CHUNK`.
    pub const BATCH: u32 = 16;
    /// Retired nodes of one arena that start a reclamation.
    pub const RECLAIM_AT: u32 = 16;
    /// Slots that an arena remembers to look at again.
    pub const NOTED: usize = 8;
    /// Retired nodes of those who had no arena that start a reclamation.
    pub const ORPHANS_AT: u32 = 64;
    /// References taken through a slot with a share that make the taker settle them with the node:
    /// half of what the slot's word can count.
    pub const SETTLE_AT: u64 = 1 << 15;
}

#[cfg(crossbeam_loom)]
mod modelled {
    pub const PAGE: usize = 4;
    pub const CELLS: usize = 2;
    pub const ARENAS: usize = 2;
    pub const PLACES: usize = 2;
    pub const HOMES: usize = 2;
    pub const NEAR: usize = 2;
    pub const FAR: usize = 0;
    pub const FIRST_CHUNK: u32 = 8;
    pub const CHUNKS: usize = 1;
    pub const BATCH: u32 = 1;
    pub const RECLAIM_AT: u32 = 1;
    pub const NOTED: usize = 1;
    pub const ORPHANS_AT: u32 = 0;
    pub const SETTLE_AT: u64 = 1;
}

#[cfg(crossbeam_loom)]
pub use modelled::*;
#[cfg(not(crossbeam_loom))]
pub use real::*;
