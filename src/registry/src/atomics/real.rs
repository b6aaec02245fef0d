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

/// Bytes of a [`Place`]'s object: more makes fewer places, of a thread's different calls.
const PLACE: usize = 256;

/// A place on a stack: a number that no other caller of [`in_place`] has while this one is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place(u64);

impl Place {
    /// The number; not 0, and not the highest one.
    #[inline(always)]
    pub fn number(self) -> u64 {
        self.0
    }

    /// A number below `count`.
    #[inline(always)]
    pub fn hash(self, count: usize) -> usize {
        (self.0.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as usize % count
    }
}

/// Calls `work` with a place that is the caller's until `work` returns: in whatever threads, handlers
/// and processes with this memory others call this meanwhile, they get other ones. Async-signal-safe.
///
/// It is the address of an object on the caller's stack, divided by the object's size. Objects that live
/// at the same time have no byte in common, so their addresses differ by their size at least.
#[inline(always)]
pub fn in_place<R>(work: impl FnOnce(Place) -> R) -> R {
    let object = core::mem::MaybeUninit::<[u8; PLACE]>::uninit();
    let address = &raw const object;
    let result = work(Place((live_object(address).addr() / PLACE) as u64));
    live_object(address);
    result
}

/// Lets the compiler believe that the object is used here, so that it has memory of its own.
#[inline(always)]
fn live_object<T>(object: *const T) -> *const T {
    // SAFETY: no instruction.
    unsafe { core::arch::asm!("/* {} */", in(reg) object, options(nostack, preserves_flags)) };
    object
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
