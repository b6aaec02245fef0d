//! The atomics of the core library, and memory from mmap(2).

pub use core::sync::atomic::{AtomicI32, AtomicPtr, AtomicU32, AtomicU64};

use core::marker::PhantomData;
use core::ptr::NonNull;

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

/// Gives an array back that no other thread has seen.
///
/// # Safety
/// `array` and `count` are as [`map_array`] gave them, and nothing points into the array.
pub unsafe fn unmap_array<T: Zeroed>(array: NonNull<T>, count: usize) {
    // SAFETY: a whole mapping, as the caller vouches.
    unsafe { crate::sys::unmap(array.cast(), count * size_of::<T>()) };
}

/// Bytes that several parties write and read, each after the other.
#[derive(Clone, Copy)]
pub struct SharedBytes<'b> {
    start: NonNull<u8>,
    length: u32,
    lifetime: PhantomData<&'b [u8]>,
}

impl<'b> SharedBytes<'b> {
    /// # Safety
    /// From `start` on there are `length` bytes of memory, which outlive `'b`.
    pub unsafe fn new(start: NonNull<u8>, length: u32) -> Self {
        SharedBytes { start, length, lifetime: PhantomData }
    }

    pub fn length(self) -> u32 {
        self.length
    }

    /// `length` bytes from `offset` on, if there are that many.
    ///
    /// # Safety
    /// No thread writes them any more.
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
    /// The byte is within the memory, and no other thread reads or writes it.
    pub unsafe fn set(self, offset: u32, value: u8) {
        // SAFETY: as the caller says.
        unsafe { self.start.add(offset as usize).write(value) };
    }
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
