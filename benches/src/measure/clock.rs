//! Time, real or a test's.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// A source of time.
pub trait Clock {
    /// The time since an arbitrary moment; never goes back.
    fn now(&self) -> Duration;
}

/// The machine's monotonic clock.
#[derive(Clone, Copy, Debug)]
pub struct Monotonic(Instant);

impl Monotonic {
    /// A clock that starts now.
    pub fn start() -> Monotonic {
        Monotonic(Instant::now())
    }
}

impl Clock for Monotonic {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

/// The processor time of the calling thread: it stands still while others run.
#[derive(Clone, Copy, Debug)]
pub struct ThreadTime;

impl Clock for ThreadTime {
    fn now(&self) -> Duration {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: a timespec of ours; the clock always exists.
        unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    }
}

/// A clock that goes when it is told to.
#[derive(Debug, Default)]
pub struct Mock(Cell<Duration>);

impl Mock {
    /// Lets `time` pass.
    pub fn advance(&self, time: Duration) {
        self.0.set(self.0.get() + time);
    }
}

impl Clock for Mock {
    fn now(&self) -> Duration {
        self.0.get()
    }
}

/// Time that `work` takes.
pub fn time(clock: &impl Clock, work: impl FnOnce()) -> Duration {
    let start = clock.now();
    work();
    clock.now() - start
}

/// The smallest number of operations, doubled from `first`, that takes `target` or more; at most
/// `limit`. `run` does a number of operations and says what they took.
pub fn calibrate(
    target: Duration,
    (first, limit): (u32, u32),
    mut run: impl FnMut(u32) -> Duration,
) -> u32 {
    let mut count = first.max(1);
    while count < limit && run(count) < target {
        count = count.saturating_mul(2).min(limit);
    }
    count
}

/// A counter of the processor that is cheap to read, for single operations.
#[derive(Clone, Copy, Debug)]
pub struct Ticks {
    per_nanosecond: f64,
}

impl Ticks {
    /// Compares the counter with `clock` for `span`.
    pub fn calibrated(clock: &impl Clock, span: Duration) -> Ticks {
        let (start, first) = (clock.now(), Ticks::now());
        while clock.now() - start < span {
            std::hint::spin_loop();
        }
        let ticks = Ticks::now() - first;
        Ticks { per_nanosecond: ticks as f64 / (clock.now() - start).as_nanos() as f64 }
    }

    /// The counter, read after all that comes before and before all that comes after.
    #[inline(always)]
    pub fn now() -> u64 {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: every x86-64 processor has the instructions.
        unsafe {
            use std::arch::x86_64::{_mm_lfence, _rdtsc};
            _mm_lfence();
            let ticks = _rdtsc();
            _mm_lfence();
            ticks
        }
        #[cfg(target_arch = "aarch64")]
        {
            let ticks: u64;
            // SAFETY: Linux lets programs read the counter.
            unsafe {
                std::arch::asm!("isb", "mrs {}, cntvct_el0", "isb", out(reg) ticks, options(nostack))
            };
            ticks
        }
    }

    /// The least difference of two readings in a row that is not 0, in nanoseconds.
    pub fn step(self) -> f64 {
        let between = (0..10_000).map(|_| {
            let first = Ticks::now();
            Ticks::now() - first
        });
        self.nanoseconds(between.filter(|ticks| *ticks > 0).min().unwrap_or(0))
    }

    /// A difference of two readings, in nanoseconds.
    pub fn nanoseconds(self, ticks: u64) -> f64 {
        ticks as f64 / self.per_nanosecond
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_what_the_work_takes() {
        let clock = Mock::default();
        clock.advance(Duration::from_secs(5));
        let took = time(&clock, || clock.advance(Duration::from_millis(3)));
        assert_eq!(took, Duration::from_millis(3));
    }

    #[test]
    fn calibration_ends_at_the_first_count_that_takes_long_enough() {
        let clock = Mock::default();
        let run = |count| time(&clock, || clock.advance(Duration::from_nanos(10) * count));
        assert_eq!(calibrate(Duration::from_micros(10), (100, u32::MAX), run), 1_600);
    }

    #[test]
    fn calibration_never_passes_its_limit() {
        let mut most = 0;
        let count = calibrate(Duration::from_secs(1), (3, 50), |count| {
            most = most.max(count);
            Duration::ZERO
        });
        assert_eq!((count, most <= 50), (50, true));
    }
}
