//! The atomics and the memory under the registry: the real ones, or loom's.

#[cfg(not(crossbeam_loom))]
mod real {
    pub use core::sync::atomic::{AtomicI32, AtomicPtr, AtomicU32, AtomicU64};

    use core::marker::PhantomData;
    use core::ptr::NonNull;

    /// Descriptors of one page of the table: 2^20, what Linux allows a process unless told otherwise.
    pub const PAGE: usize = 1 << 20;
    /// Readers' cells of one generation: 2^16, more than programs abandon.
    pub const CELLS: usize = 1 << 16;
    /// Mutations' cells of one generation, each with an arena.
    pub const ARENAS: usize = 1024;
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

    /// A type for which all-zero bytes are a valid value, which is what fresh memory holds.
    ///
    /// # Safety
    /// Zeroed memory is a valid value of the type.
    pub unsafe trait Zeroed {}

    // SAFETY: the null pointer.
    unsafe impl<T> Zeroed for AtomicPtr<T> {}
    // SAFETY: zero.
    unsafe impl Zeroed for AtomicU64 {}

    /// `count` zeroed values in memory of their own, or `None` when there is none left.
    /// Async-signal-safe.
    pub fn map_array<T: Zeroed>(count: usize) -> Option<NonNull<T>> {
        let length = count.checked_mul(size_of::<T>())?;
        crate::sys::map_zeroed(length).ok().map(NonNull::cast)
    }

    /// Gives an array back that nobody else has seen.
    ///
    /// # Safety
    /// `array` and `count` are as [`map_array`] gave them, and nothing points into the array.
    pub unsafe fn unmap_array<T: Zeroed>(array: NonNull<T>, count: usize) {
        // SAFETY: a whole mapping, as the caller vouches.
        unsafe { crate::sys::unmap(array.cast(), count * size_of::<T>()) };
    }

    /// Bytes that several parties write and read, each after the other.
    #[derive(Clone, Copy)]
    pub struct Bytes<'b> {
        start: NonNull<u8>,
        length: u32,
        lifetime: PhantomData<&'b [u8]>,
    }

    impl<'b> Bytes<'b> {
        /// # Safety
        /// From `start` on there are `length` bytes of memory, which outlive `'b`.
        pub unsafe fn new(start: NonNull<u8>, length: u32) -> Self {
            Bytes { start, length, lifetime: PhantomData }
        }

        pub fn length(self) -> u32 {
            self.length
        }

        /// `length` bytes from `offset` on, if there are so many.
        ///
        /// # Safety
        /// Nobody writes them any more.
        pub unsafe fn get(self, offset: u32, length: u32) -> Option<&'b [u8]> {
            let end = offset.checked_add(length)?;
            if end > self.length {
                return None;
            }
            // SAFETY: within the memory, and the caller's word.
            Some(unsafe {
                let first = self.start.add(offset as usize);
                core::slice::from_raw_parts(first.as_ptr(), length as usize)
            })
        }

        /// # Safety
        /// The byte is within the memory, and nobody else reads or writes it.
        pub unsafe fn set(self, offset: u32, value: u8) {
            // SAFETY: as the caller says.
            unsafe { self.start.add(offset as usize).write(value) };
        }
    }

    /// Nothing: only loom watches who reads and writes a record.
    pub struct Witness;

    impl Witness {
        #[cfg(feature = "std")]
        pub fn new() -> Self {
            Witness
        }

        #[inline(always)]
        pub fn reads(&self) {}
        #[inline(always)]
        pub fn born(&self) {}
        #[inline(always)]
        pub fn dies(&self) {}
    }

    /// A mistake that loom's models make on purpose.
    pub enum Bug {
        IgnoredOverflow,
        IgnoredCount,
        StoreOnInsert,
        NoTag,
        UnvalidatedShare,
        LostRetire,
        NoSettle,
        NoNotice,
        IgnoredNotice,
        NoSecondLook,
        LastTokenTaken,
        BlindIncrement,
        LateSettlement,
        TornCursor,
        EarlyName,
        UnguardedRead,
        StoreOnSecondLook,
    }

    /// Whether the mistake is to be made: no, but for one in the library that the signal injection
    /// builds to see whether it finds it.
    #[inline(always)]
    pub const fn planted(bug: Bug) -> bool {
        cfg!(epochsocks_planted) && matches!(bug, Bug::UnguardedRead)
    }

    /// A number that is the same in every call of a thread and of the handlers that interrupt it,
    /// and mostly another one in another thread.
    #[inline(always)]
    pub fn thread_hash() -> usize {
        // Thread pointers differ in their middle bits; the product's upper bits depend on all.
        (thread_pointer().wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as usize
    }

    #[inline(always)]
    fn thread_pointer() -> u64 {
        let pointer: u64;
        // SAFETY: reads the thread pointer, which libc sets before any code of ours runs.
        #[cfg(target_arch = "x86_64")]
        unsafe {
            core::arch::asm!("mov {}, fs:0", out(reg) pointer,
                options(nostack, preserves_flags, readonly, pure));
        }
        // SAFETY: as above.
        #[cfg(target_arch = "aarch64")]
        unsafe {
            core::arch::asm!("mrs {}, tpidr_el0", out(reg) pointer,
                options(nostack, preserves_flags, nomem, pure));
        }
        pointer
    }
}

#[cfg(crossbeam_loom)]
mod modelled;

#[cfg(crossbeam_loom)]
pub use modelled::*;
#[cfg(not(crossbeam_loom))]
pub use real::*;

/// A constructor that is `const`, except under loom, whose atomics can't be made so.
macro_rules! const_new {
    ($(#[$meta:meta])* pub fn $name:ident($($argument:ident: $type:ty),*) -> $result:ty $body:block) => {
        $(#[$meta])*
        #[cfg(not(crossbeam_loom))]
        pub const fn $name($($argument: $type),*) -> $result $body
        $(#[$meta])*
        #[cfg(crossbeam_loom)]
        pub fn $name($($argument: $type),*) -> $result $body
    };
}
pub(crate) use const_new;

/// An array of `$length` atomics that start as `$value`.
macro_rules! atomic_array {
    ($length:expr, $value:expr) => {{
        #[cfg(not(crossbeam_loom))]
        let array = [const { $value }; $length];
        #[cfg(crossbeam_loom)]
        let array = core::array::from_fn(|_| $value);
        array
    }};
}
pub(super) use atomic_array;
