//! Tables that most programs don't need: mapped at their first use, so that no exec pays for them.

use core::ptr::null_mut;
use core::sync::atomic::{
    AtomicPtr,
    Ordering::{AcqRel, Acquire, Relaxed},
};

use epochsocks::sys::{self, Errno};

/// A table that stays once it is mapped. Async-signal-safe.
pub struct Mapped<T>(AtomicPtr<T>);

impl<T: Sync> Mapped<T> {
    /// Not mapped yet.
    ///
    /// # Safety
    /// Zeroes are a valid `T`.
    pub const unsafe fn new() -> Self {
        Mapped(AtomicPtr::new(null_mut()))
    }

    /// Tells whether it is mapped: one load.
    #[inline(always)]
    pub fn exists(&self) -> bool {
        // Relaxed: nothing is read through it.
        !self.0.load(Relaxed).is_null()
    }

    /// The table, if it is mapped.
    #[inline(always)]
    pub fn get(&self) -> Option<&T> {
        // Acquire pairs with the AcqRel below.
        // SAFETY: null, or a mapping that stays.
        unsafe { self.0.load(Acquire).as_ref() }
    }

    /// The table, mapped now if it is not. Errors: `ENOBUFS`.
    pub fn get_or_map(&self) -> Result<&T, Errno> {
        if let Some(table) = self.get() {
            return Ok(table);
        }
        let fresh = sys::map_zeroed(size_of::<T>()).map_err(|_| Errno(libc::ENOBUFS))?;
        // AcqRel: Release publishes the zeroes, Acquire sees another caller's mapping.
        match self.0.compare_exchange(null_mut(), fresh.cast().as_ptr(), AcqRel, Acquire) {
            // SAFETY: zeroes, which are a T by the contract of `new`; the mapping stays.
            Ok(_) => Ok(unsafe { fresh.cast().as_ref() }),
            Err(first) => {
                // SAFETY: no other thread has seen ours, and the first one stays.
                unsafe {
                    sys::unmap(fresh, size_of::<T>());
                    Ok(&*first)
                }
            }
        }
    }
}
