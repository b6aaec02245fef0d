//! Limit on the lines of one subject.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// As many lines of a subject are written in a second.
const MOST: u64 = 20;

/// The limit of one subject. Lock-free; two threads never wait for each other.
///
/// One word: the second, the lines written in it, and the lines left out since the last one that was
/// written. It guards no other memory: Relaxed throughout.
#[derive(Debug)]
pub struct Limit(AtomicU64);

const SECOND: u32 = 32;
const WRITTEN: u32 = 24;
const LEFT_OUT: u64 = (1 << WRITTEN) - 1;

/// Decision about a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It is written; this number of lines was left out before it.
    Written(u32),
    /// It is written, and those that follow within the second are left out.
    Last(u32),
    /// It is left out.
    LeftOut,
}

impl Default for Limit {
    fn default() -> Limit {
        Limit::new()
    }
}

impl Limit {
    /// No line yet.
    pub const fn new() -> Limit {
        Limit(AtomicU64::new(0))
    }

    /// Decides about a line in the second `now` of any clock that does not go back.
    pub fn admit(&self, now: u32) -> Admission {
        let mut seen = self.0.load(Relaxed);
        loop {
            let is_new = (seen >> SECOND) as u32 != now;
            let written = if is_new { 0 } else { seen >> WRITTEN & 0xff };
            let left_out = seen & LEFT_OUT;
            let (next, admission) = if written >= MOST {
                let more = (left_out + 1).min(LEFT_OUT);
                (seen & !LEFT_OUT | more, Admission::LeftOut)
            } else {
                let count = left_out as u32;
                let admission = match written + 1 == MOST {
                    true => Admission::Last(count),
                    false => Admission::Written(count),
                };
                (u64::from(now) << SECOND | (written + 1) << WRITTEN, admission)
            };
            match self.0.compare_exchange_weak(seen, next, Relaxed, Relaxed) {
                Ok(_) => return admission,
                Err(other) => seen = other,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_lines_a_second_and_the_rest_is_counted() {
        let limit = Limit::new();
        for _ in 1..MOST {
            assert_eq!(limit.admit(7), Admission::Written(0));
        }
        assert_eq!(limit.admit(7), Admission::Last(0));
        for _ in 0..5 {
            assert_eq!(limit.admit(7), Admission::LeftOut);
        }
        assert_eq!(limit.admit(8), Admission::Written(5));
        assert_eq!(limit.admit(8), Admission::Written(0));
    }

    #[test]
    fn threads_write_no_more_than_the_limit_and_lose_no_count() {
        let limit = Limit::new();
        let left_out: usize = std::thread::scope(|scope| {
            let count = || (0..1_000).filter(|_| limit.admit(1) == Admission::LeftOut).count();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(count)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(left_out, 4_000 - MOST as usize);
        assert_eq!(limit.admit(2), Admission::Written(left_out as u32));
    }
}
