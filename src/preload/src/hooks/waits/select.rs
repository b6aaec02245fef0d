//! `select`, `pselect`: as `poll`, with sets of descriptors.

use core::ffi::c_int;
use core::time::Duration;

use epochsocks::sockets::Progress;
use epochsocks::sys::{Errno, copy_from_program, copy_to_program, time};
use libc::{fd_set, pollfd, sigset_t, timespec, timeval};

use super::poll::duration;
use super::wait_loop::{self, Waiter};
use crate::hooks::arguments::{put_value, value_at};
use crate::nameserver::{self, Slept};
use crate::scratch::{Bits, bytes, with_words, words_for};
use crate::sockets::{SOCKETS, none_in_flight};
use crate::{clock, errno, real};

/// The sets of a call: readable, writable, exceptional.
type Sets = [*mut fd_set; 3];

/// # Safety
/// As select(2).
pub unsafe fn select(
    count: c_int,
    readable: *mut fd_set,
    writable: *mut fd_set,
    exceptional: *mut fd_set,
    timeout: *mut timeval,
) -> c_int {
    let real = || {
        // SAFETY: the caller's contract.
        unsafe { real::select(count, readable, writable, exceptional, timeout) }
    };
    if none_in_flight() && !nameserver::is_asked() {
        return real();
    }
    // SAFETY: the caller's contract: null or a timeval.
    let limit = match unsafe { value_at(timeout) }.map(|time| time.as_ref().map(from_timeval)) {
        // What the kernel refuses.
        Ok(Some(None)) => return real(),
        Ok(limit) => limit.flatten(),
        Err(errno) => return errno::fail(errno),
    };
    let start = clock::now();
    // SAFETY: the caller's contract.
    let waited =
        unsafe { wait(count, [readable, writable, exceptional], limit, core::ptr::null()) };
    let Some(result) = waited else { return real() };
    if let Some(limit) = limit {
        // Linux leaves what remains of the time.
        let left = limit.saturating_sub(clock::now().saturating_sub(start));
        let left = timeval {
            tv_sec: left.as_secs() as libc::time_t,
            tv_usec: left.subsec_micros().into(),
        };
        // As the kernel, not a word where it can't be written.
        // SAFETY: the caller's contract: not null, as there was a limit.
        let _ = unsafe { put_value(&left, timeout) };
    }
    result
}

/// # Safety
/// As pselect(2).
pub unsafe fn pselect(
    count: c_int,
    readable: *mut fd_set,
    writable: *mut fd_set,
    exceptional: *mut fd_set,
    timeout: *const timespec,
    mask: *const sigset_t,
) -> c_int {
    // SAFETY: the caller's contract: null or a timespec. What can't be read libc refuses.
    let asked = || match unsafe { value_at(timeout) } {
        Ok(time) => time.as_ref().map(duration),
        Err(_) => Some(None),
    };
    let is_real = none_in_flight() && !nameserver::is_asked();
    let limit = if is_real { Some(None) } else { asked() };
    if limit != Some(None) {
        // SAFETY: the caller's contract.
        let waited =
            unsafe { wait(count, [readable, writable, exceptional], limit.flatten(), mask) };
        if let Some(result) = waited {
            return result;
        }
    }
    // SAFETY: the caller's contract.
    unsafe { real::pselect(count, readable, writable, exceptional, timeout, mask) }
}

fn from_timeval(time: &timeval) -> Option<Duration> {
    let (seconds, more) = (time.tv_sec, time.tv_usec);
    // The kernel takes more than a second of microseconds here.
    Some(
        Duration::from_secs(u64::try_from(seconds).ok()?)
            .saturating_add(Duration::from_micros(u64::try_from(more).ok()?)),
    )
}

/// A wait in which at least one descriptor has a handshake in flight; `None` if none has, or if the
/// sets can't be read: then the kernel answers.
///
/// # Safety
/// As pselect(2).
unsafe fn wait(
    count: c_int,
    sets: Sets,
    limit: Option<Duration>,
    mask: *const sigset_t,
) -> Option<c_int> {
    let count = usize::try_from(count).ok().filter(|count| (1..1 << 20).contains(count))?;
    // No more of the caller's sets is touched than this: some programs allocate no more.
    let length = words_for(count);
    let waited = with_words(7 * length, |words| {
        let (originals, rest) = words.split_at_mut(3 * length);
        let (copies, in_flight) = rest.split_at_mut(3 * length);
        for (set, words) in sets.iter().zip(originals.chunks_exact_mut(length)) {
            if !set.is_null() {
                // SAFETY: the caller's contract.
                unsafe { copy_from_program(set.cast(), bytes(words)) }.ok()?;
            }
        }
        let mut asked = Asked { count, length, sets, originals, copies, in_flight, woken: false };
        (nameserver::is_asked() || asked.concerned())
            .then(|| wait_loop::wait(&mut asked, limit, mask))
    });
    waited.unwrap_or_else(|errno: Errno| Some(errno::fail(errno)))
}

struct Asked<'w> {
    /// Descriptors below this are meant.
    count: usize,
    /// Words of one set.
    length: usize,
    sets: Sets,
    /// The three sets, one behind the other: the caller's, and the kernel's copy.
    originals: &'w mut [u64],
    copies: &'w mut [u64],
    /// The descriptors that wait for a handshake in place of what the program wants.
    in_flight: &'w mut [u64],
    /// Set if the questions that wait for Tor cut the last sleep short.
    woken: bool,
}

impl Asked<'_> {
    fn asks_about(&self, fd: usize) -> bool {
        self.originals.chunks_exact(self.length).any(|set| set.has(fd))
    }

    /// Sleeps until the kernel has an answer to the sets, or a question has gone on.
    fn sleep_beside(&self, limit: Option<Duration>, mask: *const sigset_t) -> Slept {
        let asked = || (0..self.count).filter(|fd| self.events(*fd) != 0);
        let named = asked().count();
        let slept = with_words(named + 1, |words| {
            // SAFETY: pollfds are plain data of the size of a word, less aligned.
            let entries: &mut [pollfd] =
                unsafe { core::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), words.len()) };
            for (entry, fd) in entries.iter_mut().zip(asked()) {
                *entry = pollfd { fd: fd as c_int, events: self.events(fd), revents: 0 };
            }
            nameserver::sleep(entries, limit, mask)
        });
        slept.unwrap_or_else(|errno| {
            errno::set(errno.0);
            Slept::Failed
        })
    }

    /// Events that the kernel is asked for on `fd`, in poll's bits.
    fn events(&self, fd: usize) -> i16 {
        let mut sets = self.copies.chunks_exact(self.length);
        let mut event = |event: i16| sets.next().filter(|set| set.has(fd)).map_or(0, |_| event);
        event(libc::POLLIN) | event(libc::POLLOUT) | event(libc::POLLPRI)
    }

    fn concerned(&self) -> bool {
        (0..self.count).any(|fd| self.asks_about(fd) && SOCKETS.is_connecting(fd as c_int))
    }
}

impl Waiter for Asked<'_> {
    fn translate(&mut self, now: u64) -> Duration {
        let mut longest = Duration::MAX;
        self.copies.copy_from_slice(self.originals);
        self.in_flight.fill(0);
        for fd in 0..self.count {
            if !self.asks_about(fd) || !SOCKETS.is_connecting(fd as c_int) {
                continue;
            }
            let progress = SOCKETS.progress(fd as c_int, now);
            longest = longest.min(progress.longest_sleep(now));
            if progress.is_pending() {
                self.in_flight.put(fd, true);
                self.copies.chunks_exact_mut(self.length).for_each(|set| set.put(fd, false));
            }
            if let Progress::Waiting(wait) = progress {
                let set = if wait.events == libc::POLLIN { 0 } else { 1 };
                if let Some(set) = self.copies.chunks_exact_mut(self.length).nth(set) {
                    set.put(fd, true);
                }
            }
        }
        longest
    }

    fn sleep(&mut self, mut limit: Option<Duration>, mask: *const sigset_t) -> c_int {
        if nameserver::is_asked() {
            let slept = self.sleep_beside(limit, mask);
            if slept == Slept::Failed {
                return -1;
            }
            self.woken = slept == Slept::Woken;
            limit = Some(Duration::ZERO);
        }
        let limit = limit.map(time::timespec);
        let limit = limit.as_ref().map_or(core::ptr::null(), core::ptr::from_ref);
        let mut sets = self.copies.chunks_exact_mut(self.length);
        let mut next =
            || sets.next().map_or(core::ptr::null_mut(), |set| set.as_mut_ptr().cast::<fd_set>());
        let (readable, writable, exceptional) = (next(), next(), next());
        // SAFETY: our copies, as long as `count` asks for; a mask of ours, or the caller's.
        unsafe { real::pselect(self.count as c_int, readable, writable, exceptional, limit, mask) }
    }

    fn drive(&mut self) -> bool {
        let mut moved = core::mem::take(&mut self.woken);
        for fd in 0..self.count {
            if !self.in_flight.has(fd) {
                continue;
            }
            for set in self.copies.chunks_exact_mut(self.length).filter(|set| set.has(fd)) {
                set.put(fd, false);
                SOCKETS.drive(fd as c_int);
                moved = true;
            }
        }
        moved
    }

    fn ready(&self) -> c_int {
        self.copies.iter().map(|word| word.count_ones()).sum::<u32>() as c_int
    }

    fn report(&mut self) -> Result<(), Errno> {
        let mut told = Ok(());
        for (set, words) in self.sets.iter().zip(self.copies.chunks_exact_mut(self.length)) {
            if !set.is_null() {
                // SAFETY: the caller's set has `count` bits in whole words.
                told = told.and(unsafe { copy_to_program(bytes(words), set.cast()) });
            }
        }
        told
    }
}
