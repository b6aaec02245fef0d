//! State of a connect.

use core::time::Duration;

use crate::sys::Errno;

/// State of the connect of a socket. The drawing is at the head of [`super`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// No connect has begun, or the last one was dissolved. The kernel's answers are right.
    Unconnected,
    /// Another thread or process is at it at this moment: it begins the connect, or drives it.
    Busy,
    /// The handshake waits for the proxy.
    Waiting(Wait),
    /// The destination is reached. The kernel's answers are right.
    Connected,
    /// The connect has failed, and the program has not been told.
    Failed(Errno),
}

/// Event and deadline that a handshake waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// `POLLIN` or `POLLOUT`.
    pub events: i16,
    /// Time at which the handshake runs out of time, in nanoseconds since boot.
    pub deadline: u64,
}

/// The longest sleep before the next look at a handshake, which another thread or process may have
/// driven to its end.
pub const LONGEST_SLEEP: Duration = Duration::from_millis(100);
/// The sleep while another thread or process is at it.
const SHORTEST_SLEEP: Duration = Duration::from_millis(1);

impl Progress {
    /// Tells whether the handshake has not ended: the program must wait.
    pub fn is_pending(self) -> bool {
        matches!(self, Progress::Busy | Progress::Waiting(_))
    }

    /// The longest time to sleep before the next look; `now` is in nanoseconds since boot.
    pub fn longest_sleep(self, now: u64) -> Duration {
        match self {
            Progress::Waiting(wait) => until(wait.deadline, now).min(LONGEST_SLEEP),
            Progress::Busy => SHORTEST_SLEEP,
            Progress::Unconnected | Progress::Connected | Progress::Failed(_) => Duration::MAX,
        }
    }
}

/// The time from `now` to `deadline`, in nanoseconds since boot; at least a millisecond.
pub(super) fn until(deadline: u64, now: u64) -> Duration {
    Duration::from_nanos(deadline.saturating_sub(now)).max(SHORTEST_SLEEP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sleep_ends_at_the_deadline_or_for_the_next_look() {
        let waiting = |deadline| Progress::Waiting(Wait { events: libc::POLLIN, deadline });
        assert_eq!(waiting(7_000_000).longest_sleep(2_000_000), Duration::from_millis(5));
        assert_eq!(waiting(u64::MAX).longest_sleep(0), LONGEST_SLEEP);
        assert_eq!(waiting(0).longest_sleep(9), SHORTEST_SLEEP);
        assert_eq!(Progress::Busy.longest_sleep(0), SHORTEST_SLEEP);
        assert_eq!(Progress::Connected.longest_sleep(0), Duration::MAX);
    }
}
