//! The live view: where `epochsocks status` finds the sockets of a process in its memory.
//!
//! The process does nothing for it: no thread, no file, no system call. The library carries a [`View`],
//! a block of constants, and a note in its file that leads to it
//! ([`crate::program::note`]). The reader copies bytes by process_vm_readv(2), which the kernel
//! grants to a user who may debug the process. It believes none of them: what they say may be wrong, never
//! where the reader writes or how much it reads.
//!
//! All addresses are those of the process, all numbers those of its machine. A change of the block, or
//! of what it leads to, has another [`View::FORMAT`].

use crate::bytes::{Plain, plain};
use crate::log::Subject;
use crate::registry::Layout;
use crate::sockets::handshake::{self, TABLE};

/// The block.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct View {
    /// [`View::FORMAT`].
    pub format: u32,
    /// The length of this block, in bytes.
    pub size: u32,
    /// Address of the registry.
    pub registry: *const (),
    /// Address of the list of the addresses of the handshake table's chunks.
    pub chunks: *const (),
    /// Address of the word that holds the address of the pool of cookie addresses.
    pub names: *const (),
    /// Address of the counts of refusals: one 32-bit number for each subject of the log.
    pub refusals: *const (),
    /// The registry's table; all zero if it has none.
    pub table: Layout,
    /// The length of a slot of the table of handshakes, in bytes.
    pub slot: u32,
    /// The slots of the first chunk; each is twice as long as the one before.
    pub first_chunk: u32,
    /// The number of chunks.
    pub chunk_count: u32,
    /// The number of subjects that are counted.
    pub subjects: u32,
}

// SAFETY: constants.
unsafe impl Sync for View {}
// SAFETY: integers and addresses that no reader follows, in C's layout, without padding.
unsafe impl Plain for View {}

impl View {
    /// The format that this version reads and writes.
    pub const FORMAT: u32 = 1;

    /// The block of a library with these statics.
    pub const fn new(
        registry: *const (),
        table: Option<Layout>,
        names: *const (),
        refusals: *const (),
    ) -> View {
        View {
            format: View::FORMAT,
            size: size_of::<View>() as u32,
            registry,
            chunks: TABLE.chunks(),
            names,
            refusals,
            table: match table {
                Some(layout) => layout,
                None => Layout::NONE,
            },
            slot: size_of::<handshake::Slot>() as u32,
            first_chunk: handshake::Table::FIRST_CHUNK,
            chunk_count: handshake::Table::CHUNK_COUNT,
            subjects: Subject::ALL.len() as u32,
        }
    }

    /// The block in `bytes`, if it is of this format.
    pub fn parse(bytes: &[u8; size_of::<View>()]) -> Option<View> {
        let view: View = plain(bytes);
        let is_known = view.format == View::FORMAT && view.size as usize == size_of::<View>();
        is_known.then_some(view)
    }

    /// The chunk of a slot, and its place there.
    pub fn slot_place(&self, slot: u32) -> Option<(u32, u32)> {
        let chunk = slot.checked_div(self.first_chunk)?.checked_add(1)?.ilog2();
        let start = self.first_chunk.checked_mul((1 << chunk) - 1)?;
        (chunk < self.chunk_count).then_some((chunk, slot.checked_sub(start)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(view: &View) -> [u8; size_of::<View>()] {
        // SAFETY: plain data without padding.
        unsafe { core::ptr::from_ref(view).cast::<[u8; size_of::<View>()]>().read() }
    }

    #[test]
    fn a_block_is_read_as_it_was_made_and_one_of_another_format_is_not() {
        let null = core::ptr::null();
        let view = View::new(null, Some(Layout::NONE), null, null);
        let read = View::parse(&bytes(&view)).unwrap();
        assert_eq!((read.slot, read.chunks), (view.slot, view.chunks));
        assert!(View::parse(&bytes(&View { format: 2, ..view })).is_none());
        assert!(View::parse(&[0; size_of::<View>()]).is_none());
        let end = size_of::<View>();
        let sum = 2 * 4 + 4 * size_of::<usize>() + size_of::<Layout>() + 4 * 4;
        assert_eq!(end, sum, "padding");
    }

    #[test]
    fn no_number_of_a_slot_or_of_a_chunk_is_too_large() {
        let null = core::ptr::null();
        let view = View::new(null, None, null, null);
        assert_eq!(view.slot_place(0), Some((0, 0)));
        assert_eq!(view.slot_place(view.first_chunk), Some((1, 0)));
        for first_chunk in [0, 1, 7, 64, u32::MAX] {
            for slot in [0, 1, 1 << 31, u32::MAX] {
                let _ = View { first_chunk, chunk_count: u32::MAX, ..view }.slot_place(slot);
            }
        }
    }
}
