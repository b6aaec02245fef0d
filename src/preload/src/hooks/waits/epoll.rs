//! `epoll_ctl`, `epoll_wait`, `epoll_pwait`, `epoll_pwait2`: while a handshake is in flight the
//! kernel's entries of the socket carry tokens, which stay in here.

use core::ffi::c_int;
use core::time::Duration;

use epochsocks::sockets::EpollControl;
use epochsocks::sockets::handshake::{Interest, Token};
use epochsocks::sys::{copy_from_program, time};
use libc::{epoll_event, sigset_t, timespec};

use super::poll::duration;
use super::wait_loop::{self, Waiter};
use crate::hooks::arguments::value_at;
use crate::nameserver::{self, Slept};
use crate::sockets::{SOCKETS, none_in_flight};
use crate::{clock, errno, real};

/// # Safety
/// As epoll_ctl(2).
pub unsafe fn epoll_ctl(
    epoll: c_int,
    operation: c_int,
    fd: c_int,
    event: *mut epoll_event,
) -> c_int {
    // SAFETY: the caller's contract.
    let real = || unsafe { real::epoll_ctl(epoll, operation, fd, event) };
    if !SOCKETS.has_own_epoll_entries(fd) {
        return real();
    }
    let mut wanted = [0; size_of::<epoll_event>()];
    if operation != libc::EPOLL_CTL_DEL
        // SAFETY: the caller's contract; what can't be read is EFAULT of the kernel.
        && unsafe { copy_from_program(event.cast(), &mut wanted) }.is_err()
    {
        return real();
    }
    // SAFETY: an epoll_event is plain data.
    let wanted = unsafe { wanted.as_ptr().cast::<epoll_event>().read_unaligned() };
    let interest = Interest { events: wanted.events, data: wanted.u64 };
    match SOCKETS.epoll_ctl(&EpollControl { epoll, operation, fd, interest }) {
        Ok(()) => 0,
        Err(errno) => errno::fail(errno),
    }
}

/// # Safety
/// As epoll_wait(2).
pub unsafe fn epoll_wait(
    epoll: c_int,
    events: *mut epoll_event,
    most: c_int,
    timeout: c_int,
) -> c_int {
    // SAFETY: the caller's contract.
    let first = || unsafe { real::epoll_wait(epoll, events, most, timeout) };
    // SAFETY: the caller's contract.
    let call = |time, mask: *const sigset_t| unsafe {
        real::epoll_pwait(epoll, events, most, milliseconds(time), mask)
    };
    wait(Events::new(epoll, events, call), from_milliseconds(timeout), first, None)
}

/// # Safety
/// As epoll_pwait(2).
pub unsafe fn epoll_pwait(
    epoll: c_int,
    events: *mut epoll_event,
    most: c_int,
    timeout: c_int,
    mask: *const sigset_t,
) -> c_int {
    // SAFETY: the caller's contract.
    let first = || unsafe { real::epoll_pwait(epoll, events, most, timeout, mask) };
    // SAFETY: the caller's contract.
    let call = |time, mask: *const sigset_t| unsafe {
        real::epoll_pwait(epoll, events, most, milliseconds(time), mask)
    };
    wait(Events::new(epoll, events, call), from_milliseconds(timeout), first, Some(mask))
}

/// # Safety
/// As epoll_pwait2(2).
pub unsafe fn epoll_pwait2(
    epoll: c_int,
    events: *mut epoll_event,
    most: c_int,
    timeout: *const timespec,
    mask: *const sigset_t,
) -> c_int {
    // SAFETY: the caller's contract.
    let first = || unsafe { real::epoll_pwait2(epoll, events, most, timeout, mask) };
    // SAFETY: null or a timespec.
    let limit = match unsafe { value_at(timeout) }.map(|time| time.as_ref().map(duration)) {
        // What the kernel refuses.
        Ok(Some(None)) => return first(),
        Ok(limit) => limit.flatten(),
        Err(errno) => return errno::fail(errno),
    };
    let call = |time: Option<Duration>, mask: *const sigset_t| {
        let time = time.map(time::timespec);
        let timeout = time.as_ref().map_or(core::ptr::null(), core::ptr::from_ref);
        // SAFETY: as above.
        unsafe { real::epoll_pwait2(epoll, events, most, timeout, mask) }
    };
    wait(Events::new(epoll, events, call), limit, first, Some(mask))
}

fn from_milliseconds(timeout: c_int) -> Option<Duration> {
    u64::try_from(timeout).ok().map(Duration::from_millis)
}

/// Rounded up, so that a wait does not end before its time.
fn milliseconds(time: Option<Duration>) -> c_int {
    let Some(time) = time else { return -1 };
    time.as_nanos().div_ceil(1_000_000).min(c_int::MAX as u128) as c_int
}

/// Waits for events of a set. With nothing in flight, `first` is the program's own call, and its
/// answer is the program's, unless a thread that slept there has met the token of a connect that
/// began later. It is not a tail call: the tokens may have to be removed afterwards.
#[inline(always)]
fn wait<C: Fn(Option<Duration>, *const sigset_t) -> c_int>(
    mut call: Events<C>,
    limit: Option<Duration>,
    first: impl FnOnce() -> c_int,
    mask: Option<*const sigset_t>,
) -> c_int {
    let mut left = limit;
    if none_in_flight() && !nameserver::is_asked() {
        let start = limit.filter(|limit| !limit.is_zero()).map(|_| clock::now());
        let count = first();
        if count <= 0 || !call.takes_tokens(count) {
            return count;
        }
        if call.kept > 0 {
            return call.kept;
        }
        let gone = start.map_or(Duration::ZERO, |start| clock::now().saturating_sub(start));
        left = limit.map(|limit| limit.saturating_sub(gone));
    } else {
        call.note_before();
    }
    wait_loop::wait(&mut call, left, mask.unwrap_or(core::ptr::null()))
}

/// The events of a set, in the program's own memory.
struct Events<C> {
    epoll: c_int,
    events: *mut epoll_event,
    call: C,
    /// Number of those that are the program's.
    kept: c_int,
    /// Set if the questions that wait for Tor cut the last sleep short.
    woken: bool,
    /// Content of the first event before the wait. A program that is told of none may go on to use it.
    before: Option<epoll_event>,
}

impl<C> Events<C> {
    fn new(epoll: c_int, events: *mut epoll_event, call: C) -> Self {
        Events { epoll, events, call, kept: 0, woken: false, before: None }
    }

    fn note_before(&mut self) {
        let mut bytes = [0; size_of::<epoll_event>()];
        // SAFETY: the caller's contract; what can't be read can't be written either, and is EFAULT of the
        // kernel.
        self.before = unsafe { copy_from_program(self.events.cast(), &mut bytes) }
            .ok()
            // SAFETY: an epoll_event is plain data.
            .map(|()| unsafe { bytes.as_ptr().cast::<epoll_event>().read_unaligned() });
    }

    /// Takes the tokens out of `count` events, drives their handshakes, and moves the rest together;
    /// whether there was any.
    fn takes_tokens(&mut self, count: c_int) -> bool {
        let mut kept = 0;
        for index in 0..count as usize {
            // SAFETY: the kernel has just written `count` events.
            let event = unsafe { self.events.add(index).read_unaligned() };
            match Token::decode(event.u64) {
                Some(token) => {
                    let saved = errno::get();
                    let instead = SOCKETS.token_fired(self.epoll, token);
                    errno::set(saved);
                    if let Some(Interest { events, data }) = instead {
                        let event = epoll_event { events, u64: data };
                        // SAFETY: `kept` is at most `index`.
                        unsafe { self.events.add(kept).write_unaligned(event) };
                        kept += 1;
                    }
                }
                None => {
                    if kept != index {
                        // SAFETY: `kept` is below `index`.
                        unsafe { self.events.add(kept).write_unaligned(event) };
                    }
                    kept += 1;
                }
            }
        }
        if let (0, Some(before)) = (kept, self.before) {
            // SAFETY: the kernel has just written an event there.
            unsafe { self.events.write_unaligned(before) };
        }
        self.kept = kept as c_int;
        self.kept != count
    }
}

impl<C: Fn(Option<Duration>, *const sigset_t) -> c_int> Waiter for Events<C> {
    fn translate(&mut self, now: u64) -> Duration {
        SOCKETS.longest_epoll_sleep(|| now).unwrap_or(Duration::MAX)
    }

    fn sleep(&mut self, mut limit: Option<Duration>, mask: *const sigset_t) -> c_int {
        self.kept = 0;
        if nameserver::is_asked() {
            // Whatever is ready in the set makes the set itself readable.
            let slept = nameserver::sleep_beside(self.epoll, limit, mask);
            if slept == Slept::Failed {
                return -1;
            }
            self.woken = slept == Slept::Woken;
            limit = Some(Duration::ZERO);
        }
        self.kept = (self.call)(limit, mask);
        self.kept
    }

    /// The events are taken from the kernel: if the program's are among them, the wait ends.
    fn drive(&mut self) -> bool {
        if self.kept == 0 {
            let saved = errno::get();
            SOCKETS.drive_overdue();
            errno::set(saved);
            return core::mem::take(&mut self.woken);
        }
        self.takes_tokens(self.kept) && self.kept == 0
    }

    fn ready(&self) -> c_int {
        self.kept
    }
}
