//! The right to drive one handshake: a try-lock that loses no event.
//!
//! A thread that brings an event of a handshake (a readable socket, a changed epoll entry, a
//! cancellation) tries to take the lock. If another thread holds it, the first one leaves a notice
//! in the same atomic step, and the holder can't unlock before it has looked again. No thread ever
//! waits. The two bits are those of tokio's tasks, RUNNING and NOTIFIED.
//!
//! ```text
//!             try_lock                  try_lock (Notified)
//!   free ---------------> locked ------------------------> locked, notified
//!    ^                    |    ^                             |
//!    +----- unlock -------+    +----- unlock (refused) ------+
//! ```

use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

use crate::registry::atomics::mutant::mutant;
use crate::registry::atomics::{AtomicU32, const_new};

const LOCKED: u32 = 1;
/// Set while the holder has to look again.
const NOTIFIED: u32 = 2;

/// A try-lock with a notice. Zeroed memory is a free one.
#[derive(Debug)]
#[repr(transparent)]
pub struct RunLock(AtomicU32);

/// The answer of [`RunLock::try_lock`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum TryLock {
    /// The caller holds the lock and must unlock it.
    Locked,
    /// Another thread holds it, and will look again.
    Notified,
}

impl RunLock {
    const_new! {
        /// A free lock.
        pub fn new() -> Self {
            RunLock(AtomicU32::new(0))
        }
    }

    /// Takes the lock, or leaves a notice for its holder. Async-signal-safe.
    pub fn try_lock(&self) -> TryLock {
        let notice = mutant!(NoNotice: NOTIFIED => 0);
        // Relaxed: a first guess for the CAS.
        let mut seen = self.0.load(Relaxed);
        loop {
            let next = if seen == 0 { LOCKED } else { seen | notice };
            // AcqRel pairs with the AcqRel of `unlock`. If the unlock comes first, the caller gets the lock
            // and sees the last holder's writes; if the notice comes first, also beside one that is there, the
            // unlock is refused and its holder sees what the caller wrote before.
            match self.0.compare_exchange_weak(seen, next, AcqRel, Relaxed) {
                Ok(0) => return TryLock::Locked,
                Ok(_) => return TryLock::Notified,
                Err(other) => seen = other,
            }
        }
    }

    /// Takes the lock only if it is free, and leaves no notice. Async-signal-safe.
    pub fn try_lock_quietly(&self) -> bool {
        // As in `try_lock`.
        self.0.compare_exchange(0, LOCKED, AcqRel, Relaxed).is_ok()
    }

    /// Unlocks, unless there is a notice: then the answer is `false`, and the caller still holds the
    /// lock and must look again. Async-signal-safe.
    #[must_use = "the holder looks again if it is refused"]
    pub fn unlock(&self) -> bool {
        mutant!(IgnoredNotice => return self.0.swap(0, AcqRel) != 0);
        // AcqRel: Release hands the holder's writes on; Acquire sees what came with the notice.
        if self.0.compare_exchange(LOCKED, 0, AcqRel, Acquire).is_ok() {
            return true;
        }
        // AcqRel as above. Only the holder clears the notice.
        self.0.fetch_and(!NOTIFIED, AcqRel);
        mutant!(NoSecondLook: false => self.unlock())
    }

    /// Tells whether a thread holds it. Async-signal-safe.
    pub fn is_locked(&self) -> bool {
        // Acquire pairs with the Release of `unlock`.
        self.0.load(Acquire) != 0
    }

    /// Tells whether its holder has to look again.
    #[cfg(test)]
    pub fn is_notified(&self) -> bool {
        // Relaxed: for a test that waits for it.
        self.0.load(Relaxed) & NOTIFIED != 0
    }

    /// Frees the lock in a forked child, which lacks the thread that held it; whether one did.
    pub fn reset_in_child(&self) -> bool {
        // Relaxed: the child has one thread.
        self.0.swap(0, Relaxed) != 0
    }
}

impl Default for RunLock {
    fn default() -> Self {
        RunLock::new()
    }
}

#[cfg(all(test, not(crossbeam_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_notice_keeps_the_holder_from_unlocking() {
        let lock = RunLock::new();
        assert_eq!(lock.try_lock(), TryLock::Locked);
        assert_eq!(lock.try_lock(), TryLock::Notified);
        assert_eq!(lock.try_lock(), TryLock::Notified);
        assert!(!lock.try_lock_quietly());
        assert!(!lock.unlock());
        assert!(lock.unlock());
        assert!(lock.try_lock_quietly());
    }

    #[test]
    fn a_forked_child_frees_a_lock_whose_holder_it_lacks() {
        let lock = RunLock::new();
        assert!(!lock.reset_in_child());
        assert_eq!(lock.try_lock(), TryLock::Locked);
        assert!(lock.reset_in_child() && !lock.is_locked());
    }
}
