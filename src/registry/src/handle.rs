//! A counted reference to a record.

use core::mem::ManuallyDrop;
use core::ops::Deref;
use core::ptr::NonNull;

use super::Registry;

/// A counted reference to a record of the registry `R` (guarantees B to E). It may be held across a
/// blocking call if it is turned into plain data first, by [`Handle::into_raw`].
pub struct Handle<'r, R: Registry> {
    record: NonNull<R::Payload>,
    registry: &'r R,
}

// SAFETY: a count belongs to no thread, and a record may be read by all.
unsafe impl<R: Registry> Send for Handle<'_, R> {}
// SAFETY: as above.
unsafe impl<R: Registry> Sync for Handle<'_, R> {}

impl<'r, R: Registry> Handle<'r, R> {
    /// Takes over a counted reference: one that [`Registry::acquire`] has raised, or that
    /// [`Handle::into_raw`] gave.
    ///
    /// # Safety
    /// The reference is one of `registry`, and is taken over once.
    #[inline(always)]
    pub unsafe fn from_raw(registry: &'r R, record: NonNull<R::Payload>) -> Self {
        Handle { record, registry }
    }

    /// The record's address.
    pub fn as_raw(&self) -> NonNull<R::Payload> {
        self.record
    }

    /// Turns the handle into plain data without a destructor, which may be carried across a blocking
    /// call and past a cancelled thread's unwinding.
    pub fn into_raw(self) -> NonNull<R::Payload> {
        ManuallyDrop::new(self).record
    }
}

impl<R: Registry> Deref for Handle<'_, R> {
    type Target = R::Payload;

    #[inline(always)]
    fn deref(&self) -> &R::Payload {
        // SAFETY: the handle's own reference, which ends with the handle.
        unsafe { self.registry.record(self.record) }
    }
}

impl<R: Registry> Drop for Handle<'_, R> {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: the handle's own reference, given up once.
        unsafe { self.registry.release(self.record) };
    }
}
