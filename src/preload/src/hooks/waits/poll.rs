//! `poll`, `ppoll`: a socket whose handshake is in flight is waited for as the handshake needs it,
//! and shows nothing before its end.

use core::ffi::c_int;
use core::time::Duration;

use epochsocks::sockets::Progress;
use epochsocks::sys::{Errno, copy_from_program, may_write, time};
use libc::{nfds_t, pollfd, sigset_t, size_t, timespec};

use super::wait_loop::{self, Waiter};
use crate::hooks::arguments::value_at;
use crate::nameserver::{self, Slept};
use crate::scratch::{Bits, bytes, with_words, words_for};
use crate::sockets::{SOCKETS, none_in_flight};
use crate::{errno, real};

/// # Safety
/// As poll(2).
pub unsafe fn poll(entries: *mut pollfd, count: nfds_t, timeout: c_int) -> c_int {
    if !none_in_flight() || nameserver::is_asked() {
        let limit = u64::try_from(timeout).ok().map(Duration::from_millis);
        // SAFETY: the caller's contract.
        let result = unsafe { wait(entries, count, limit, core::ptr::null()) };
        if let Some(result) = result {
            return result;
        }
    }
    // SAFETY: the caller's contract.
    unsafe { real::poll(entries, count, timeout) }
}

/// # Safety
/// As ppoll(2).
pub unsafe fn ppoll(
    entries: *mut pollfd,
    count: nfds_t,
    timeout: *const timespec,
    mask: *const sigset_t,
) -> c_int {
    if !none_in_flight() || nameserver::is_asked() {
        // SAFETY: the caller's contract: null or a timespec. What can't be read libc refuses.
        let limit = match unsafe { value_at(timeout) } {
            Ok(time) => time.as_ref().map(duration),
            Err(_) => Some(None),
        };
        if limit != Some(None) {
            // SAFETY: the caller's contract.
            let result = unsafe { wait(entries, count, limit.flatten(), mask) };
            if let Some(result) = result {
                return result;
            }
        }
    }
    // SAFETY: the caller's contract.
    unsafe { real::ppoll(entries, count, timeout, mask) }
}

/// # Safety
/// As poll(2), with the size of the array.
pub unsafe fn poll_chk(entries: *mut pollfd, count: nfds_t, timeout: c_int, size: size_t) -> c_int {
    // SAFETY: the caller's contract.
    unsafe {
        if none_in_flight() && !nameserver::is_asked()
            || size / size_of::<pollfd>() < count as usize
        {
            // Reports the overflow and ends the program.
            return real::__poll_chk(entries, count, timeout, size);
        }
        poll(entries, count, timeout)
    }
}

/// # Safety
/// As ppoll(2), with the size of the array.
pub unsafe fn ppoll_chk(
    entries: *mut pollfd,
    count: nfds_t,
    timeout: *const timespec,
    mask: *const sigset_t,
    size: size_t,
) -> c_int {
    // SAFETY: the caller's contract.
    unsafe {
        if none_in_flight() && !nameserver::is_asked()
            || size / size_of::<pollfd>() < count as usize
        {
            return real::__ppoll_chk(entries, count, timeout, mask, size);
        }
        ppoll(entries, count, timeout, mask)
    }
}

/// A timeout as the kernel takes it; `None` for what it refuses.
pub fn duration(time: &timespec) -> Option<Duration> {
    let nanoseconds = u32::try_from(time.tv_nsec).ok().filter(|&n| n < 1_000_000_000)?;
    Some(Duration::new(u64::try_from(time.tv_sec).ok()?, nanoseconds))
}

/// A wait in which at least one entry has a handshake in flight; `None` if none has, or if the
/// array can't be read: then the kernel answers.
///
/// # Safety
/// As ppoll(2).
unsafe fn wait(
    entries: *mut pollfd,
    count: nfds_t,
    limit: Option<Duration>,
    mask: *const sigset_t,
) -> Option<c_int> {
    let count = usize::try_from(count).ok().filter(|&count| (1..1 << 20).contains(&count))?;
    // Behind the program's entries is one for the questions that wait for Tor.
    let room = count + usize::from(nameserver::is_asked());
    let waited = with_words(room + words_for(count), |words| {
        let (copy, marks) = words.split_at_mut(room);
        let (own, _) = copy.split_at_mut(count);
        // SAFETY: the caller's contract; a pollfd is a word.
        unsafe { copy_from_program(entries.cast(), bytes(own)) }.ok()?;
        // SAFETY: pollfds are plain data of the size of a word, less aligned.
        let copy: &mut [pollfd] =
            unsafe { core::slice::from_raw_parts_mut(copy.as_mut_ptr().cast(), room) };
        if room == count && !copy.iter().any(|entry| SOCKETS.is_connecting(entry.fd)) {
            return None;
        }
        if !may_write(entries.cast(), count * size_of::<pollfd>()) {
            // The kernel answers EFAULT, too, but not before the wait.
            return Some(errno::fail(Errno(libc::EFAULT)));
        }
        // SAFETY: the array may be read and written, and belongs to the call.
        let original = unsafe { core::slice::from_raw_parts_mut(entries, count) };
        Some(wait_loop::wait(&mut Entries { original, copy, marks, woken: false }, limit, mask))
    });
    waited.unwrap_or_else(|errno| Some(errno::fail(errno)))
}

struct Entries<'w> {
    original: &'w mut [pollfd],
    /// Array for the kernel, with an entry at the end if questions wait.
    copy: &'w mut [pollfd],
    /// The entries that wait for a handshake in place of what the program wants.
    marks: &'w mut [u64],
    /// Set if the questions cut the last sleep short.
    woken: bool,
}

impl Waiter for Entries<'_> {
    fn translate(&mut self, now: u64) -> Duration {
        let mut longest = Duration::MAX;
        for (index, (entry, original)) in self.copy.iter_mut().zip(&*self.original).enumerate() {
            *entry = pollfd { fd: original.fd, events: original.events, revents: 0 };
            if !SOCKETS.is_connecting(entry.fd) {
                self.marks.put(index, false);
                continue;
            }
            let progress = SOCKETS.progress(entry.fd, now);
            longest = longest.min(progress.longest_sleep(now));
            self.marks.put(index, progress.is_pending());
            match progress {
                Progress::Waiting(wait) => entry.events = wait.events,
                // Not even an error, or this would spin.
                Progress::Busy => entry.fd = -1,
                Progress::Unconnected | Progress::Connected | Progress::Failed(_) => {}
            }
        }
        longest
    }

    fn sleep(&mut self, limit: Option<Duration>, mask: *const sigset_t) -> c_int {
        if self.copy.len() > self.original.len() {
            let slept = nameserver::sleep(self.copy, limit, mask);
            self.woken = slept == Slept::Woken;
            return if slept == Slept::Failed { -1 } else { self.ready() };
        }
        let limit = limit.map(time::timespec);
        let limit = limit.as_ref().map_or(core::ptr::null(), core::ptr::from_ref);
        // SAFETY: our copy of the array; a mask of ours, or the caller's.
        unsafe { real::ppoll(self.copy.as_mut_ptr(), self.copy.len() as nfds_t, limit, mask) }
    }

    fn drive(&mut self) -> bool {
        let mut moved = core::mem::take(&mut self.woken);
        let own = self.copy.iter_mut().take(self.original.len());
        for (index, entry) in own.enumerate() {
            if entry.revents != 0 && self.marks.has(index) {
                entry.revents = 0;
                SOCKETS.drive(entry.fd);
                moved = true;
            }
        }
        moved
    }

    fn ready(&self) -> c_int {
        self.copy.iter().take(self.original.len()).filter(|entry| entry.revents != 0).count()
            as c_int
    }

    fn report(&mut self) -> Result<(), Errno> {
        for (original, entry) in self.original.iter_mut().zip(&*self.copy) {
            original.revents = entry.revents;
        }
        Ok(())
    }
}
