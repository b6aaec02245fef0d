//! `epoll_ctl`, `epoll_wait`, `epoll_pwait`, `epoll_pwait2`: while a handshake is in flight the
//! kernel's entries of the socket carry tokens, which stay in here.

use core::ffi::c_int;
use core::time::Duration;

use epochsocks::pending::{ARENA, Found, Pending, Token};
use epochsocks::registry::{Cookie, Phase, Registry};
use epochsocks::sys::{self, Errno, copy_from_program, net, time};
use libc::{epoll_event, sigset_t, timespec};

use super::poll::duration;
use crate::clock;
use crate::pending::{attend, drive, epoll_slice, quiet};
use crate::registry::REGISTRY;
use crate::{errno, real};

/// How often to look whether a connect that another thread has just begun has taken off.
const PATIENCE: u32 = 1_000;
/// What may stand beside EPOLLEXCLUSIVE (epoll_ctl(2)).
const WITH_EXCLUSIVE: u32 = (libc::EPOLLIN
    | libc::EPOLLOUT
    | libc::EPOLLERR
    | libc::EPOLLHUP
    | libc::EPOLLWAKEUP
    | libc::EPOLLET
    | libc::EPOLLEXCLUSIVE) as u32;

/// # Safety
/// As epoll_ctl(2).
pub unsafe fn epoll_ctl(
    epoll: c_int,
    operation: c_int,
    fd: c_int,
    event: *mut epoll_event,
) -> c_int {
    let look = REGISTRY.borrow(fd, |record| (record.phase(), record.cookie()));
    if let Some((phase, cookie)) = look
        && phase != Phase::Connected
        && net::cookie(fd) == Ok(cookie.0)
    {
        // SAFETY: the caller's contract.
        return unsafe { Control { epoll, operation, fd, event, cookie }.carry_out() };
    }
    // SAFETY: the caller's contract.
    unsafe { real::epoll_ctl(epoll, operation, fd, event) }
}

/// A call of epoll_ctl on a socket that is not connected yet.
struct Control {
    epoll: c_int,
    operation: c_int,
    fd: c_int,
    event: *mut epoll_event,
    cookie: Cookie,
}

impl Control {
    /// # Safety
    /// As epoll_ctl(2).
    unsafe fn carry_out(&self) -> c_int {
        if self.operation == libc::EPOLL_CTL_DEL {
            if let Some(place) = self.place()
                && let Some(Found { registration, .. }) = self.found(place.1)
            {
                // Known or only claimed: vacant now.
                registration.vacate();
            }
            return self.real();
        }
        let mut wish = [0; size_of::<epoll_event>()];
        // SAFETY: the caller's contract; what can't be read is EFAULT of the kernel.
        if unsafe { copy_from_program(self.event.cast(), &mut wish) }.is_err() {
            return self.real();
        }
        // SAFETY: an epoll_event is plain data.
        let wish = unsafe { wish.as_ptr().cast::<epoll_event>().read_unaligned() };
        match self.phase() {
            Phase::Connected => self.real(),
            Phase::Unconnected | Phase::Failed => self.keep(wish),
            Phase::Connecting | Phase::InFlight => self.in_flight(wish, self.operation),
        }
    }

    /// The kernel's answer to the program's own wish.
    fn real(&self) -> c_int {
        // SAFETY: the caller's contract.
        unsafe { real::epoll_ctl(self.epoll, self.operation, self.fd, self.event) }
    }

    fn kernel(&self, operation: c_int, events: u32, data: u64) -> Result<(), Errno> {
        sys::epoll_ctl(self.epoll, operation, self.fd, events, data)
    }

    /// How far the socket is, once a connect that is being begun has taken off.
    fn phase(&self) -> Phase {
        for _ in 0..PATIENCE {
            match REGISTRY.borrow(self.fd, |record| record.phase()) {
                Some(Phase::Connecting) => sys::yield_now(),
                Some(phase) => return phase,
                None => break,
            }
        }
        Phase::Unconnected
    }

    fn place(&self) -> Option<(u32, &'static Pending)> {
        let place = REGISTRY.borrow(self.fd, |record| record.place()).flatten()?;
        Some((place, ARENA.find(place, self.cookie.0)?))
    }

    fn found<'p>(&self, pending: &'p Pending) -> Option<Found<'p>> {
        pending.registration(self.epoll, self.fd)
    }

    /// Remembers a registration of a socket that may be connected later.
    fn keep(&self, wish: epoll_event) -> c_int {
        let place = self.place().or_else(|| self.make_place());
        // Without room the kernel gets the wish all the same; a connect then shows its first step.
        let Some(found) = place.and_then(|(_, pending)| self.found(pending)) else {
            return self.real();
        };
        let result = self.real();
        if result != 0 {
            if !found.is_known {
                found.registration.vacate();
            }
            return result;
        }
        let (events, data) = (wish.events, wish.u64);
        found.registration.fill(sys::getpid(), self.epoll, self.fd, events, data, false);
        match self.phase() {
            // A connect has begun meanwhile and may have missed it.
            Phase::Connecting | Phase::InFlight => self.in_flight(wish, libc::EPOLL_CTL_MOD),
            _ => result,
        }
    }

    fn make_place(&self) -> Option<(u32, &'static Pending)> {
        let (place, pending) = ARENA.keep_registrations(self.cookie.0)?;
        REGISTRY.borrow(self.fd, |record| record.set_place(place))?.then_some((place, pending))
    }

    /// Gives the kernel a token for the program's wish, which it gets when the handshake is over.
    fn in_flight(&self, wish: epoll_event, operation: c_int) -> c_int {
        let Some((place, pending)) = self.place() else { return self.real() };
        let Some(found) = self.found(pending) else { return errno::fail(Errno(libc::ENOSPC)) };
        match self.give_token(&found, place, pending, wish, operation) {
            Ok(()) => {
                // Again after the kernel has it, and then look: see `Registration::restore`.
                found.registration.becomes_token();
                drive(self.fd);
                0
            }
            Err(errno) => {
                let added_before = errno == Errno(libc::EEXIST);
                if !found.is_known || !added_before && errno != Errno(libc::EINVAL) {
                    found.registration.vacate();
                }
                errno::fail(errno)
            }
        }
    }

    fn give_token(
        &self,
        found: &Found<'_>,
        place: u32,
        pending: &Pending,
        wish: epoll_event,
        operation: c_int,
    ) -> Result<(), Errno> {
        let (events, data) = (wish.events, wish.u64);
        let exclusive = events & libc::EPOLLEXCLUSIVE as u32 != 0;
        let adds = operation == libc::EPOLL_CTL_ADD;
        if exclusive && (!adds || events & !WITH_EXCLUSIVE != 0)
            || found.is_known && !adds && found.registration.is_exclusive()
            || !adds && operation != libc::EPOLL_CTL_MOD
        {
            return Err(Errno(libc::EINVAL));
        }
        let token = Token::new(place, pending.serial(), found.index).encode();
        let kick = epochsocks::pending::Registration::kick();
        let fill = |registration: &epochsocks::pending::Registration| {
            registration.fill(sys::getpid(), self.epoll, self.fd, events, data, true);
        };
        if adds && found.is_known {
            // The kernel knows whether it is there still.
            self.kernel(operation, kick, token)?;
            fill(found.registration);
            Ok(())
        } else {
            fill(found.registration);
            self.kernel(operation, kick, token)
        }
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
    if quiet() && timeout <= 0 {
        // SAFETY: the caller's contract.
        let count = unsafe { real::epoll_wait(epoll, events, most, timeout) };
        if let Some(result) = settled(epoll, events, count) {
            return result;
        }
    }
    // SAFETY: the caller's contract.
    let call = |time, own: *const sigset_t| unsafe {
        let time = milliseconds(time);
        match own.is_null() {
            true => real::epoll_wait(epoll, events, most, time),
            false => real::epoll_pwait(epoll, events, most, time, own),
        }
    };
    wait(epoll, events, from_milliseconds(timeout), call)
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
    if quiet() && timeout <= 0 {
        // SAFETY: the caller's contract.
        let count = unsafe { real::epoll_pwait(epoll, events, most, timeout, mask) };
        if let Some(result) = settled(epoll, events, count) {
            return result;
        }
    }
    // SAFETY: the caller's contract.
    let call = |time, own| unsafe {
        let mask = if mask.is_null() { own } else { mask };
        real::epoll_pwait(epoll, events, most, milliseconds(time), mask)
    };
    wait(epoll, events, from_milliseconds(timeout), call)
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
    // SAFETY: the caller's contract: null or a timespec.
    let limit = match unsafe { timeout.as_ref() }.map(duration) {
        // SAFETY: the caller's contract; the kernel refuses it.
        Some(None) => return unsafe { real::epoll_pwait2(epoll, events, most, timeout, mask) },
        limit => limit.flatten(),
    };
    let call = |time: Option<Duration>, own| {
        let mask = if mask.is_null() { own } else { mask };
        let time = time.map(time::timespec);
        let timeout = time.as_ref().map_or(core::ptr::null(), core::ptr::from_ref);
        // SAFETY: the caller's contract.
        unsafe { real::epoll_pwait2(epoll, events, most, timeout, mask) }
    };
    wait(epoll, events, limit, call)
}

/// What a wait without a time to keep track of answers; `None` if it has met nothing but tokens.
#[inline(always)]
fn settled(epoll: c_int, events: *mut epoll_event, count: c_int) -> Option<c_int> {
    if count <= 0 {
        return Some(count);
    }
    Some(without_tokens(epoll, events, count)).filter(|kept| *kept > 0)
}

fn from_milliseconds(timeout: c_int) -> Option<Duration> {
    u64::try_from(timeout).ok().map(Duration::from_millis)
}

/// Rounded up, so that a wait does not end before its time.
fn milliseconds(time: Option<Duration>) -> c_int {
    let Some(time) = time else { return -1 };
    time.as_nanos().div_ceil(1_000_000).min(c_int::MAX as u128) as c_int
}

/// Waits by `call`, which gets a time and the thread's own signal mask if it is to be used, again as
/// long as only tokens come and there is time. Never the last thing that a hook does: a thread that
/// sleeps here may meet the token of a connect that begins later.
fn wait(
    epoll: c_int,
    events: *mut epoll_event,
    limit: Option<Duration>,
    call: impl Fn(Option<Duration>, *const sigset_t) -> c_int,
) -> c_int {
    let mut own = None;
    let result = rounds(epoll, events, limit, &mut own, call);
    if let Some(own) = own {
        sys::set_signals(own);
    }
    result
}

/// As in `hooks::waiting`, a signal comes in only where the kernel waits: from the moment on at which
/// something is in flight, `own` is the mask that the thread had before.
fn rounds(
    epoll: c_int,
    events: *mut epoll_event,
    limit: Option<Duration>,
    own: &mut Option<u64>,
    call: impl Fn(Option<Duration>, *const sigset_t) -> c_int,
) -> c_int {
    let end =
        limit.filter(|limit| !limit.is_zero()).map(|limit| time::monotonic().saturating_add(limit));
    let mut left = limit;
    let mut is_last = false;
    loop {
        let slice = epoll_slice().filter(|slice| left.is_none_or(|left| *slice < left));
        if own.is_none() && !quiet() {
            *own = Some(sys::block_signals());
        }
        let mask = own.as_ref().map_or(core::ptr::null(), |own| core::ptr::from_ref(own).cast());
        let count = call(slice.or(left), mask);
        match count {
            0 if slice.is_some() => sweep(),
            1.. => {
                let kept = without_tokens(epoll, events, count);
                if kept > 0 || is_last {
                    return kept;
                }
                // Once more for what the handshakes have become, not for as long as there are any.
                is_last = left == Some(Duration::ZERO);
            }
            _ => return count,
        }
        left = end.map(|end| end.saturating_sub(clock::now())).or(limit);
    }
}

/// Looks at the handshakes that nobody has touched in time.
#[cold]
fn sweep() {
    let saved = errno::get();
    ARENA.each_overdue(attend);
    errno::set(saved);
}

/// Takes the tokens out of `count` events, drives their handshakes, and moves the rest together.
fn without_tokens(epoll: c_int, events: *mut epoll_event, count: c_int) -> c_int {
    let mut kept = 0;
    for index in 0..count as usize {
        // SAFETY: the kernel has just written `count` events.
        let event = unsafe { events.add(index).read_unaligned() };
        match Token::decode(event.u64) {
            Some(token) => spend(epoll, token),
            None => {
                if kept != index {
                    // SAFETY: `kept` is below `index`.
                    unsafe { events.add(kept).write_unaligned(event) };
                }
                kept += 1;
            }
        }
    }
    kept as c_int
}

/// A token has come out of the set `epoll`. A stale one ends here: it fires once.
#[cold]
fn spend(epoll: c_int, token: Token) {
    let Some(pending) = ARENA.get(token.place) else { return };
    let registration = pending.registrations.get(token.index as usize);
    let Some(registration) = registration.filter(|_| pending.has_serial(token.serial)) else {
        return;
    };
    let saved = errno::get();
    registration.spent(sys::getpid(), epoll, pending.cookie());
    attend(token.place, pending);
    errno::set(saved);
}
