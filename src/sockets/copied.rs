//! Descriptors that become other names of a socket.

use super::copies::Closes;
use super::{Event, Held, Number, Record, Sockets, UNASKED};
use crate::registry::{InsertError, Registry};

/// A call under way that makes another descriptor of a socket. It has no destructor; it ends in
/// [`Sockets::end_copy`].
#[must_use = "the record stays held"]
pub struct Copying {
    held: Held,
    begun: Closes,
}

impl<R: Registry<Payload = Record>, L: Fn(Event<'_>) + Sync> Sockets<R, L> {
    /// Begins a call that makes another descriptor of `source`. `None` if `source` has no entry.
    pub fn begin_copy(&self, source: i32, number: Number) -> Option<Copying> {
        if !self.registry().contains(source) {
            return None;
        }
        let begun = self.copies.begin(number);
        let Some(held) = self.hold(source) else {
            self.copies.end();
            return None;
        };
        if held.record().id() == UNASKED {
            // While one number has the record there is no doubt which socket it is of.
            let _ = self.names(source, held.record());
        }
        Some(Copying { held, begun })
    }

    /// Makes the registry see what the kernel did: `copy` is another name of what `source` named when the call
    /// began. A handler or another thread may have closed either since, and opened another file there: if a hook
    /// has seen any close meanwhile, or if `is_doubted`, the kernel is asked which socket `copy` names.
    pub fn copied(
        &self,
        source: i32,
        copy: i32,
        copying: Option<&Copying>,
        is_doubted: bool,
    ) -> Result<bool, InsertError> {
        let result = if copying.is_none() && !self.registry().contains(source) {
            // `copy` may have another thread's entry by now, if it names that one's socket.
            Ok(false)
        } else {
            self.duplicate(source, copy)
        };
        // Without an entry at the source its close is under way, and may be counted a moment later.
        let is_sure =
            |copying: &Copying| result != Ok(false) && !self.copies.has_closed_since(copying.begun);
        if is_doubted || !copying.is_some_and(is_sure) {
            self.correct(copy, copying.map(|copying| &copying.held));
        }
        result
    }

    /// Ends the call.
    pub fn end_copy(&self, copying: Copying) {
        self.copies.end();
        self.put(copying.held);
    }

    /// Counts a close, after the entry went and before the kernel closes, for the calls that make another descriptor
    /// at this moment. A thread that closes a number before any call was given it is not noticed. A handler that
    /// jumps out of such a call leaves it under way: then closes are counted, and copies compared, from there on.
    #[inline(always)]
    pub fn note_close(&self) {
        self.copies.note_close();
    }
}

#[cfg(all(test, not(crossbeam_loom)))]
mod tests;
