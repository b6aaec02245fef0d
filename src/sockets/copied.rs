//! Descriptors that become other names of a socket.

use core::sync::atomic::Ordering::SeqCst;

use super::{Event, Held, Record, Sockets, UNASKED};
use crate::registry::{InsertError, Registry};

/// Number that a call gives the copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Number {
    /// One that is free, which the kernel chooses.
    Free,
    /// One that the program has chosen. Another thread may give another file the same at once: of two such calls, or
    /// of such a call and another copy, each counts as a close for the other.
    Chosen,
}

/// A call under way that makes another descriptor of a socket. It has no destructor; it ends in
/// [`Sockets::end_copy`].
#[must_use = "the record stays held"]
pub struct Copying {
    held: Held,
    /// Number of closes before the call.
    closes: u32,
}

impl<R: Registry<Payload = Record>, L: Fn(Event<'_>) + Sync> Sockets<R, L> {
    /// Begins a call that makes another descriptor of `source`. `None` if `source` has no entry.
    pub fn begin_copy(&self, source: i32, number: Number) -> Option<Copying> {
        if !self.registry().contains(source) {
            return None;
        }
        // In this order, and before the look at the entry; pairs with `note_close`, which comes after an entry went.
        // A close that misses the first has taken the entry, so that the look finds none. One that the second has
        // counted has, too. A call that closes the copy begins after both.
        let others = self.copies.fetch_add(1, SeqCst);
        let closes = self.closes.load(SeqCst);
        if number == Number::Chosen && others != 0 {
            self.count_close();
        }
        let Some(held) = self.hold(source) else {
            self.copies.fetch_sub(1, SeqCst);
            return None;
        };
        if held.record().id() == UNASKED {
            // While one number has the record there is no doubt which socket it is of.
            let _ = self.names(source, held.record());
        }
        Some(Copying { held, closes })
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
        // After the entry was made; pairs with `note_close`.
        let is_sure = |copying: &Copying| self.closes.load(SeqCst) == copying.closes;
        if is_doubted || !copying.is_some_and(is_sure) {
            self.correct(copy, copying.map(|copying| &copying.held));
        }
        result
    }

    /// Ends the call.
    pub fn end_copy(&self, copying: Copying) {
        self.copies.fetch_sub(1, SeqCst);
        self.put(copying.held);
    }

    /// Counts a close, after the entry went and before the kernel closes, for the calls that make another descriptor
    /// at this moment. A thread that closes a number before any call was given it is not noticed. A handler that
    /// jumps out of such a call leaves it under way: then closes are counted, and copies compared, from there on.
    #[inline(always)]
    pub fn note_close(&self) {
        if self.copies.load(SeqCst) != 0 {
            self.count_close();
        }
    }

    #[cold]
    #[inline(never)]
    fn count_close(&self) {
        self.closes.fetch_add(1, SeqCst);
    }
}

#[cfg(all(test, not(crossbeam_loom)))]
mod tests;
