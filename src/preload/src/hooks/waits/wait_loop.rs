//! The wait of `poll`, `select` and their kin while handshakes are in flight.

use core::ffi::c_int;
use core::time::Duration;

use epochsocks::sys::{self, time};
use libc::{sigset_t, timespec};

use crate::pending::Look;
use crate::{clock, errno};

/// What a call asks the kernel for, again and again until the program's own wish is answered.
pub trait Wait {
    /// Makes the kernel's copy of what the program asked for, in which a socket in flight waits for
    /// what its handshake does.
    fn translate(&mut self, look: &mut Look);

    /// Waits on the copy as libc's function does, for ever if `limit` is null, with the signals of
    /// `mask` blocked.
    fn sleep(&mut self, limit: *const timespec, mask: *const sigset_t) -> c_int;

    /// Takes what came for handshakes out of the kernel's answer, and drives them; whether anything
    /// did.
    fn drive(&mut self) -> bool;

    /// How much of what the program asked for is ready.
    fn ready(&self) -> c_int;

    /// Gives the program the kernel's answer.
    fn report(&mut self);
}

/// Waits at most `limit` with the signals of `mask` blocked, those of the thread if it is null, and
/// answers as libc's function does.
///
/// Signals come in only where the kernel waits: one that was handled in between would not end the
/// call, and its program might wait for that.
pub fn wait(call: &mut impl Wait, limit: Option<Duration>, mask: *const sigset_t) -> c_int {
    let before = sys::block_signals();
    let own: *const sigset_t = (&raw const before).cast();
    let result = rounds(call, limit, if mask.is_null() { own } else { mask });
    sys::set_signals(before);
    result
}

/// What comes for a handshake ends no wait; it leads to another one with what remains of the time.
fn rounds(call: &mut impl Wait, limit: Option<Duration>, mask: *const sigset_t) -> c_int {
    let end = limit.map(|limit| clock::now().saturating_add(limit));
    let saved = errno::get();
    let mut left = limit;
    // Other descriptors are ready, and only what the handshakes have become is still to be seen.
    let mut peeks = false;
    loop {
        let mut look = Look::new();
        call.translate(&mut look);
        let nap = look.nap();
        let expires = !peeks && left.is_some_and(|left| left <= nap);
        let time = if peeks { Duration::ZERO } else { left.map_or(nap, |left| left.min(nap)) };
        let spelled = time::timespec(time);
        let forever = time == Duration::MAX;
        let spelled = if forever { core::ptr::null() } else { &raw const spelled };
        if call.sleep(spelled, mask) < 0 {
            return -1;
        }
        let moved = call.drive();
        let ready = call.ready();
        if moved && !peeks {
            peeks = ready > 0;
        } else if ready > 0 || expires {
            call.report();
            errno::set(saved);
            return ready;
        } else {
            peeks = false;
        }
        left = end.map(|end| end.saturating_sub(clock::now()));
    }
}
