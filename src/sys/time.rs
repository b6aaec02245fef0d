//! Time, by raw system calls. Every function is async-signal-safe.

use core::time::Duration;

use super::syscall6;

/// Time since boot, unmoved by clock changes.
pub fn monotonic() -> Duration {
    clock(libc::CLOCK_MONOTONIC)
}

/// Nanoseconds since boot, unmoved by clock changes.
pub fn monotonic_nanoseconds() -> u64 {
    monotonic().as_nanos() as u64
}

/// Time since 1970-01-01 UTC.
pub fn realtime() -> Duration {
    clock(libc::CLOCK_REALTIME)
}

fn clock(id: libc::clockid_t) -> Duration {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes one timespec; these clocks always exist.
    unsafe { syscall6(libc::SYS_clock_gettime, id as usize, &raw mut now as usize, 0, 0, 0, 0) };
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// Waits for `duration`, or until a signal is handled.
pub fn sleep(duration: Duration) {
    let time = timespec(duration);
    // SAFETY: the kernel reads one timespec.
    unsafe { syscall6(libc::SYS_nanosleep, &raw const time as usize, 0, 0, 0, 0, 0) };
}

/// `duration` in the kernel's form, at most what it holds.
pub fn timespec(duration: Duration) -> libc::timespec {
    libc::timespec {
        tv_sec: duration.as_secs().min(i64::MAX as u64) as _,
        tv_nsec: duration.subsec_nanos().into(),
    }
}

/// A moment in UTC, shown as RFC 3339 has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Utc {
    year: u64,
    month: u64,
    day: u64,
    second_of_day: u64,
}

impl Utc {
    /// The moment `seconds` after 1970-01-01.
    pub const fn from_unix(seconds: u64) -> Utc {
        // Days in the 400-year cycle that starts on 1 March: leap days come last.
        let days = seconds / 86_400 + 719_468;
        let era = days / 146_097;
        let day_of_era = days % 146_097;
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * day_of_year + 2) / 153;
        let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
        Utc {
            year: era * 400 + year_of_era + (month <= 2) as u64,
            month,
            day: day_of_year - (153 * march_month + 2) / 5 + 1,
            second_of_day: seconds % 86_400,
        }
    }
}

impl core::fmt::Display for Utc {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Utc { year, month, day, second_of_day: second } = *self;
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leap_days_and_year_ends_are_right() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(Utc::from_unix(seconds).to_string(), text);
        }
    }
}
