//! The atomics and the memory under the registry.

pub use core::sync::atomic::{AtomicI32, AtomicPtr, AtomicU32, AtomicU64};

use core::ptr::NonNull;

/// A type for which all-zero bytes are a valid value, which is what fresh memory holds.
///
/// # Safety
/// Zeroed memory is a valid value of the type.
pub unsafe trait Zeroed {}

// SAFETY: the null pointer.
unsafe impl<T> Zeroed for AtomicPtr<T> {}
// SAFETY: zeroed counts and null pointers; the record is `MaybeUninit`.
unsafe impl Zeroed for super::node::Node {}

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
