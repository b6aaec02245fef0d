//! The right to drive one handshake: a try-lock that loses no event.
//!
//! Whoever has news of a handshake (a readable socket, a changed registration, a cancellation) tries
//! to take the baton. If somebody has it, the news is left with the baton in the same atomic step,
//! and its holder can't give it back before it has looked again. Nobody ever waits.
//!
//! ```text
//!            take                    take (refused)
//!   free ----------> held by T  ---------------------> held by T, news
//!    ^                |     ^                             |
//!    +-- give_back ---+     +--- give_back (refused) -----+
//! ```

use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use crate::registry::primitive::{AtomicU32, Bug, const_new, planted};

/// Set while the holder has to look again. Thread ids are below 2^22.
const NEWS: u32 = 1 << 31;

/// The thread id of the holder, 0 for nobody. Zeroed memory is a free baton.
#[derive(Debug)]
#[repr(transparent)]
pub struct Baton(AtomicU32);

/// What became of an attempt to take the baton.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Take {
    /// The caller has it and must give it back.
    Taken,
    /// The thread of this id has it, and knows that there is news.
    Left(i32),
}

impl Baton {
    const_new! {
        /// A free baton.
        pub fn new() -> Self {
            Baton(AtomicU32::new(0))
        }
    }

    /// Takes the baton for the thread `me`, or leaves word with its holder. Async-signal-safe.
    pub fn take(&self, me: i32) -> Take {
        // Relaxed: a first guess for the CAS.
        let mut seen = self.0.load(Relaxed);
        loop {
            let news = if planted(Bug::NoNews) { 0 } else { NEWS };
            let next = if seen == 0 { me as u32 } else { seen | news };
            // AcqRel: Acquire pairs with the Release of `give_back`: the last holder's writes.
            // Release: what the caller wrote before is seen by the holder that finds the news,
            // also if they were there already.
            match self.0.compare_exchange_weak(seen, next, AcqRel, Relaxed) {
                Ok(0) => return Take::Taken,
                Ok(holder) => return Take::Left((holder & !NEWS) as i32),
                Err(other) => seen = other,
            }
        }
    }

    /// Takes the baton only if nobody has it. Async-signal-safe.
    pub fn take_if_free(&self, me: i32) -> bool {
        // As in `take`.
        self.0.compare_exchange(0, me as u32, AcqRel, Relaxed).is_ok()
    }

    /// Gives the baton back, unless there is news: then the news are the holder's, who must look
    /// again, and the answer is `false`. Async-signal-safe.
    #[must_use = "the holder looks again if it is refused"]
    pub fn give_back(&self, me: i32) -> bool {
        if planted(Bug::IgnoredNews) {
            self.0.store(0, Release);
            return true;
        }
        // AcqRel: Release hands the holder's writes on; Acquire sees what came with the news.
        if self.0.compare_exchange(me as u32, 0, AcqRel, Acquire).is_ok() {
            return true;
        }
        // AcqRel as above. Only the holder clears the bit.
        self.0.fetch_and(!NEWS, AcqRel);
        planted(Bug::NoSecondLook) && self.give_back(me)
    }

    /// Takes the baton out of the hands of `holder`, who is no more. One caller succeeds.
    /// Async-signal-safe.
    pub fn inherit(&self, holder: i32, me: i32) -> bool {
        // As in `take`.
        let holder = holder as u32;
        self.0.compare_exchange(holder | NEWS, me as u32, AcqRel, Relaxed).is_ok()
            || self.0.compare_exchange(holder, me as u32, AcqRel, Relaxed).is_ok()
    }

    /// Whether somebody has it. Async-signal-safe.
    pub fn is_held(&self) -> bool {
        // Acquire pairs with the Release of `give_back`.
        self.0.load(Acquire) != 0
    }
}

impl Default for Baton {
    fn default() -> Self {
        Baton::new()
    }
}

#[cfg(all(test, not(crossbeam_loom)))]
mod tests {
    use super::*;

    #[test]
    fn news_that_were_left_keep_the_holder_from_giving_back() {
        let baton = Baton::new();
        assert_eq!(baton.take(1), Take::Taken);
        assert_eq!(baton.take(2), Take::Left(1));
        assert_eq!(baton.take(3), Take::Left(1));
        assert!(!baton.give_back(1));
        assert!(baton.give_back(1));
        assert_eq!(baton.take(2), Take::Taken);
    }

    #[test]
    fn one_heir_takes_the_baton_of_the_dead() {
        let baton = Baton::new();
        assert_eq!(baton.take(1), Take::Taken);
        assert_eq!(baton.take(2), Take::Left(1));
        assert!(baton.inherit(1, 2));
        assert!(!baton.inherit(1, 3));
        assert!(baton.give_back(2));
    }
}
