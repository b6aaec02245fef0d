//! The one loop of all waits while handshakes are in flight: of `poll`, `select`, `epoll_wait` and
//! their kin, and of calls that wait for one socket.

use core::ffi::c_int;
use core::time::Duration;

use epochsocks::sockets::{LONGEST_SLEEP, Progress, Sent};
use epochsocks::sys::{self, Errno, net};
use libc::sigset_t;

use crate::cancellation::{cancellable, pthread_testcancel};
use crate::sockets::SOCKETS;
use crate::{clock, errno};

/// A call that waits: what it asks the kernel for, until the program's own condition holds.
pub trait Waiter {
    /// Makes the kernel's copy of what the program asked for, in which a socket in flight waits for
    /// what its handshake does. Gives the longest time to sleep before the next look; `now` is in
    /// nanoseconds since boot.
    fn translate(&mut self, now: u64) -> Duration;

    /// Tells whether the condition holds already, so that no sleep is needed.
    fn is_done(&self) -> bool {
        false
    }

    /// Waits on the copy as libc's function does, for ever without `limit`, with the signals of
    /// `mask` blocked.
    fn sleep(&mut self, limit: Option<Duration>, mask: *const sigset_t) -> c_int;

    /// Tells whether the wait goes on after a signal that was handled in [`Waiter::sleep`].
    fn goes_on_after_signal(&self) -> bool {
        false
    }

    /// Takes what came for handshakes out of the kernel's answer, and drives them. Says whether it
    /// drove one, so that the kernel's answer is out of date.
    fn drive(&mut self) -> bool;

    /// Number of things that the program asked for and that are ready.
    fn ready(&self) -> c_int;

    /// Gives the program the kernel's answer. Errors: `EFAULT` where it can't be written.
    fn report(&mut self) -> Result<(), Errno> {
        Ok(())
    }
}

/// Waits at most `limit` with the signals of `mask` blocked, those of the thread if it is null, and
/// answers as libc's function does.
///
/// Signals come in only where the kernel waits: one that was handled in between would not end the
/// call, and its program might wait for that.
pub fn wait(call: &mut impl Waiter, limit: Option<Duration>, mask: *const sigset_t) -> c_int {
    // A thread that was cancelled before cleans up with its own mask.
    pthread_testcancel();
    let before = sys::block_signals_but_cancellation();
    let own: *const sigset_t = (&raw const before).cast();
    let result = rounds(call, limit, if mask.is_null() { own } else { mask });
    sys::set_signals(before);
    result
}

/// Repeats the wait: an event of a handshake does not end it, but leads to another one for the rest
/// of the time.
fn rounds(call: &mut impl Waiter, limit: Option<Duration>, mask: *const sigset_t) -> c_int {
    let mut now = clock::now();
    let end = limit.map(|limit| now.saturating_add(limit));
    let saved = errno::get();
    // Other descriptors are ready, and only what the handshakes have become is still to be seen.
    let mut peeks = false;
    // The time is over, and one more answer of the kernel is taken as it is.
    let mut is_last = false;
    loop {
        let left = end.map(|end| end.saturating_sub(now));
        let longest = call.translate(now.as_nanos() as u64);
        if call.is_done() {
            return finish(call, saved);
        }
        let expires = !peeks && left.is_some_and(|left| left <= longest);
        let time = if peeks { Duration::ZERO } else { left.map_or(longest, |l| l.min(longest)) };
        if call.sleep(Some(time).filter(|time| *time != Duration::MAX), mask) < 0 {
            // A call with a time limit of its socket's is never restarted; see signal(7).
            let restarts = limit.is_none() && call.goes_on_after_signal();
            if errno::get() != libc::EINTR || !restarts {
                return -1;
            }
            errno::set(saved);
        } else if call.drive() && !peeks && !is_last {
            if call.is_done() {
                return finish(call, saved);
            }
            peeks = call.ready() > 0;
            is_last = left == Some(Duration::ZERO);
        } else if call.ready() > 0 || expires || is_last {
            return finish(call, saved);
        } else {
            peeks = false;
        }
        now = clock::now();
    }
}

fn finish(call: &mut impl Waiter, errno: c_int) -> c_int {
    match call.report() {
        Ok(()) => {
            errno::set(errno);
            call.ready()
        }
        Err(errno) => errno::fail(errno),
    }
}

/// Waits until the handshake of `fd`, which a look has just found at `progress`, has ended, at most as
/// long as the socket's `option`, SO_SNDTIMEO or SO_RCVTIMEO, says. A cancellation point, at which
/// nothing is held. `EAGAIN` after that time; `EINTR` if a signal was handled that is not to restart
/// the call.
pub fn wait_for_handshake(fd: c_int, progress: Progress, option: c_int) -> Result<Progress, Errno> {
    if !progress.is_pending() {
        return Ok(progress);
    }
    // As in `wait`.
    pthread_testcancel();
    sys::without_signals(|blocked| {
        let mask = blocked.mask_before();
        let mut call = OneSocket { fd, programs: fd, progress, mask, sent: None };
        call.wait(timeout(fd, option)).map(|()| call.progress)
    })
}

/// Waits for the end of the connect `sent`, which this thread has begun or joined by `fd`, as
/// [`wait_for_handshake`] does.
pub fn wait_for_connect(fd: c_int, sent: &mut Sent) -> Result<(), Errno> {
    let Some(mask) = sent.mask().filter(|_| sent.progress.is_pending()) else { return Ok(()) };
    let (programs, fd, progress) = (fd, sent.kept.unwrap_or(fd), sent.progress);
    let mut call = OneSocket { fd, programs, progress, mask, sent: Some(sent) };
    match SOCKETS.may_have_time_limit() {
        true => call.wait(timeout(fd, libc::SO_SNDTIMEO)),
        false => call.wait_without_known_limit(),
    }
}

/// A timeout option of the socket `fd`, `SO_SNDTIMEO` or `SO_RCVTIMEO`; `None` if there is none.
pub fn timeout(fd: c_int, option: c_int) -> Option<Duration> {
    // SAFETY: both are a timeval.
    let time = unsafe { net::option::<libc::timeval>(fd, libc::SOL_SOCKET, option) }.ok()?;
    let set = time.tv_sec != 0 || time.tv_usec != 0;
    set.then(|| Duration::new(time.tv_sec as u64, (time.tv_usec as u32).saturating_mul(1_000)))
}

struct OneSocket<'s> {
    /// A descriptor of the program's, or of the library's own.
    fd: c_int,
    /// The descriptor of the program's.
    programs: c_int,
    progress: Progress,
    /// The program's signal mask: all are blocked but where the kernel waits.
    mask: u64,
    /// The connect that this thread waits for.
    sent: Option<&'s mut Sent>,
}

impl OneSocket<'_> {
    /// Waits for the end. The socket has no time limit that a hook has seen set: the kernel is asked for one
    /// only where a first sleep was too short.
    fn wait_without_known_limit(&mut self) -> Result<(), Errno> {
        let saved = errno::get();
        let first = self.wait(Some(LONGEST_SLEEP));
        let (is_over, is_interrupted) =
            (first == Err(Errno(libc::EAGAIN)), first == Err(Errno(libc::EINTR)));
        if !is_over && !is_interrupted {
            return first;
        }
        let limit = timeout(self.fd, libc::SO_SNDTIMEO);
        if is_interrupted && !(limit.is_none() && self.goes_on_after_signal()) {
            return first;
        }
        // A connect that succeeds leaves it as it was.
        errno::set(saved);
        self.wait(limit.map(|limit| limit.saturating_sub(LONGEST_SLEEP)))
    }

    /// Waits at most `limit`. Errors: `EAGAIN`, `EINTR`.
    fn wait(&mut self, limit: Option<Duration>) -> Result<(), Errno> {
        // It sleeps with the mask of its own.
        match rounds(self, limit, core::ptr::null()) {
            0 => Err(Errno(libc::EAGAIN)),
            1.. => Ok(()),
            _ => Err(Errno(errno::get())),
        }
    }
}

impl Waiter for OneSocket<'_> {
    fn translate(&mut self, now: u64) -> Duration {
        self.progress = match &mut self.sent {
            Some(sent) => SOCKETS.progress_of(sent, now),
            None => SOCKETS.progress(self.fd, now),
        };
        self.progress.longest_sleep(now)
    }

    fn is_done(&self) -> bool {
        !self.progress.is_pending()
    }

    fn sleep(&mut self, limit: Option<Duration>, _: *const sigset_t) -> c_int {
        // Nothing of the descriptor while another thread drives, not even an error.
        let (fd, events) = match self.progress {
            Progress::Waiting(wait) => (self.fd, wait.events),
            _ => (-1, 0),
        };
        // Not libc's ppoll, which may wait for the signal of a cancellation after the kernel has let it in no
        // more.
        let slept = cancellable(|| net::poll_with(fd, events, limit, Some(&self.mask)));
        if slept.is_ok_and(|events| events & libc::POLLNVAL != 0) {
            // The library's own went with its connect, and another thread has begun a new one of this socket.
            self.fd = self.programs;
        }
        slept.map_or_else(errno::fail, c_int::from)
    }

    fn goes_on_after_signal(&self) -> bool {
        sys::all_handlers_restart()
    }

    fn drive(&mut self) -> bool {
        self.progress = match &mut self.sent {
            Some(sent) => SOCKETS.drive_sent(sent),
            None => SOCKETS.drive(self.fd),
        };
        true
    }

    fn ready(&self) -> c_int {
        c_int::from(self.is_done())
    }
}
