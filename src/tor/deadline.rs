//! The moment at which waiting ends.

use core::time::Duration;

use crate::sys::time::monotonic;

/// A point on the monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Duration);

impl Deadline {
    /// `timeout` from now.
    pub fn after(timeout: Duration) -> Deadline {
        Deadline(monotonic().saturating_add(timeout))
    }

    /// The time that is left; `None` when it is over.
    pub fn remaining(self) -> Option<Duration> {
        self.0.checked_sub(monotonic()).filter(|left| !left.is_zero())
    }
}
