//! Room for copies of a caller's arrays: on the stack as long as they are short.

use core::ptr::{NonNull, null_mut};
use core::sync::atomic::{
    AtomicPtr, AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

use epochsocks::sys::{self, Errno, Holder};

/// Words on the stack: 128 pollfds, or the sets of a select of 1,024 descriptors.
const SHORT: usize = 144;

/// Calls `call` with `count` zeroed words. `ENOMEM` when there are none. Async-signal-safe. A thread may
/// be cancelled in `call`, or jump away: the next caller takes over what it has left.
#[inline(never)]
pub fn with_words<R>(count: usize, call: impl FnOnce(&mut [u64]) -> R) -> Result<R, Errno> {
    if count <= SHORT {
        let mut words = [0; SHORT];
        return Ok(call(&mut words[..count]));
    }
    let me = Holder::current();
    let block = Block::claim(count, me, me)?;
    // SAFETY: the block is this call's own until it is given back.
    let result = call(unsafe { core::slice::from_raw_parts_mut(block.words().as_ptr(), count) });
    block.give_back();
    Ok(result)
}

/// A mapping with room for words, which is never unmapped: the next caller that needs no more gets it.
pub struct Block {
    /// Its [`Holder`], 0 for none.
    holder: AtomicU64,
    /// Number of words after this one.
    room: usize,
    /// The block that was made before.
    next: *const Block,
}

/// The block that was made last.
static BLOCKS: AtomicPtr<Block> = AtomicPtr::new(null_mut());

impl Block {
    /// A block with `count` zeroed words, held by `holder`; `me` is the calling thread. `ENOMEM`.
    /// Async-signal-safe.
    pub fn claim(count: usize, holder: Holder, me: Holder) -> Result<&'static Block, Errno> {
        // Acquire pairs with the Release below.
        let mut next: *const Block = BLOCKS.load(Acquire);
        // SAFETY: null, or a block, of which none is ever unmapped.
        while let Some(block) = unsafe { next.as_ref() } {
            if block.room >= count && block.take(holder, me) {
                // SAFETY: the block is the caller's, and has room for that many words.
                unsafe { block.words().write_bytes(0, count) };
                return Ok(block);
            }
            next = block.next;
        }
        Block::map(count, holder)
    }

    /// Makes `holder` the holder, if there is none any more.
    fn take(&self, holder: Holder, me: Holder) -> bool {
        // Relaxed: the compare-and-swap acquires.
        let seen = self.holder.load(Relaxed);
        Holder::from_word(seen).is_none_or(|other| other.is_gone(me))
            // Acquire pairs with the Release in `give_back`.
            && self.holder.compare_exchange(seen, holder.to_word(), Acquire, Relaxed).is_ok()
    }

    fn map(count: usize, holder: Holder) -> Result<&'static Block, Errno> {
        let size = count
            .checked_mul(size_of::<u64>())
            .and_then(|size| size.checked_add(size_of::<Block>()))
            .and_then(|size| size.checked_next_multiple_of(4_096))
            .ok_or(Errno(libc::ENOMEM))?;
        let start = sys::map_zeroed(size)?.cast::<Block>().as_ptr();
        let room = (size - size_of::<Block>()) / size_of::<u64>();
        // Relaxed: the compare-and-swap tells whether it was still so.
        let mut next = BLOCKS.load(Relaxed);
        loop {
            // SAFETY: a fresh mapping, of which no other thread knows yet.
            unsafe { start.write(Block { holder: AtomicU64::new(holder.to_word()), room, next }) };
            // AcqRel: Release publishes the block, Acquire sees the one behind it.
            match BLOCKS.compare_exchange_weak(next, start, AcqRel, Relaxed) {
                // SAFETY: it is never unmapped.
                Ok(_) => return Ok(unsafe { &*start }),
                Err(seen) => next = seen,
            }
        }
    }

    /// Its words, which only the holder may use.
    pub fn words(&self) -> NonNull<u64> {
        // Behind this, and aligned alike.
        // SAFETY: the mapping goes on there.
        unsafe { NonNull::from(self).add(1).cast() }
    }

    /// Lets others have it. Async-signal-safe.
    pub fn give_back(&self) {
        // Release pairs with the Acquire in `take`.
        self.holder.store(0, Release);
    }
}

/// The bytes of some words.
pub fn bytes(words: &mut [u64]) -> &mut [u8] {
    // SAFETY: any bytes are words, and the other way round.
    unsafe { core::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), size_of_val(words)) }
}

/// Number of words that `count` bits need.
pub const fn words_for(count: usize) -> usize {
    count.div_ceil(u64::BITS as usize)
}

/// Bits in words, as in an `fd_set`.
pub trait Bits {
    /// Tells whether bit `index` is set.
    fn has(&self, index: usize) -> bool;
    /// Sets or clears bit `index`, if it is there.
    fn put(&mut self, index: usize, value: bool);
}

impl Bits for [u64] {
    fn has(&self, index: usize) -> bool {
        self.get(index / 64).is_some_and(|word| word >> (index % 64) & 1 != 0)
    }

    fn put(&mut self, index: usize, value: bool) {
        if let Some(word) = self.get_mut(index / 64) {
            let bit = 1 << (index % 64);
            *word = if value { *word | bit } else { *word & !bit };
        }
    }
}
