//! getaddrinfo_a(3), gai_suspend(3), gai_error(3), gai_cancel(3).
//!
//! libc's own threads would call its getaddrinfo from the inside, where no hook stands. So requests
//! are looked up in threads of ours, and all four functions answer from what these write into the
//! requests; libc never sees one.
//!
//! A request under way can't be cancelled. In a forked child no thread works on its parent's requests:
//! there they are `EAI_CANCELED`.

mod batch;
mod notification;

use core::ffi::c_int;
use core::sync::atomic::{
    AtomicI32, AtomicU32,
    Ordering::{Acquire, Release},
};
use core::time::Duration;

use epochsocks::sys::{Errno, futex, getpid, time};
use libc::{sigevent, timespec};

use crate::cancellation::cancellable;
use crate::errno;
use crate::hooks::c_types::gaicb;
use crate::hooks::waits::poll::duration;
use batch::Batch;
use notification::Notification;

const GAI_WAIT: c_int = 0;
const GAI_NOWAIT: c_int = 1;

// glibc, netdb.h.
const EAI_INPROGRESS: c_int = -100;
const EAI_CANCELED: c_int = -101;
const EAI_NOTCANCELED: c_int = -102;
const EAI_ALLDONE: c_int = -103;
const EAI_INTR: c_int = -104;

/// Changes with every request that is finished: what waiters sleep on.
static FINISHED: AtomicU32 = AtomicU32::new(0);

/// See getaddrinfo_a(3). A mode other than the two is `EAI_SYSTEM` with `EINVAL`; `EAI_MEMORY`, and
/// `EAI_AGAIN` if no thread can be made.
///
/// # Safety
/// As getaddrinfo_a(3).
pub unsafe fn getaddrinfo_a(
    mode: c_int,
    list: *mut *mut gaicb,
    count: c_int,
    notification: *mut sigevent,
) -> c_int {
    if mode != GAI_WAIT && mode != GAI_NOWAIT {
        errno::set(libc::EINVAL);
        return libc::EAI_SYSTEM;
    }
    let list = match usize::try_from(count) {
        // SAFETY: the caller's list has that many entries, each null or a request.
        Ok(count @ 1..) => unsafe { core::slice::from_raw_parts(list, count) },
        _ => &[],
    };
    // SAFETY: null or the caller's.
    let event = unsafe { notification.as_ref() };
    let notification = event.filter(|_| mode == GAI_NOWAIT).map(Notification::new);
    // SAFETY: the requests live until they are finished, by the caller's contract.
    match unsafe { Batch::new(list, notification) } {
        Ok(batch) if mode == GAI_WAIT => batch.run_and_wait(),
        Ok(batch) => batch.start(),
        Err(code) => code,
    }
}

/// See gai_error(3).
///
/// # Safety
/// As gai_error(3).
pub unsafe fn gai_error(request: *mut gaicb) -> c_int {
    // SAFETY: the caller's contract.
    unsafe { outcome(request) }
}

/// See gai_cancel(3).
///
/// # Safety
/// As gai_cancel(3).
pub unsafe fn gai_cancel(request: *mut gaicb) -> c_int {
    // SAFETY: the caller's contract.
    match unsafe { outcome(request) } {
        EAI_INPROGRESS => EAI_NOTCANCELED,
        EAI_CANCELED => EAI_CANCELED,
        _ => EAI_ALLDONE,
    }
}

/// See gai_suspend(3): returns when one of the requests that are under way is finished, as glibc's
/// does; those that were finished before don't count. A cancellation point.
///
/// # Safety
/// As gai_suspend(3).
pub unsafe fn gai_suspend(
    list: *const *const gaicb,
    count: c_int,
    timeout: *const timespec,
) -> c_int {
    let list = match usize::try_from(count) {
        // SAFETY: the caller's list has that many entries, each null or a request.
        Ok(count @ 1..) => unsafe { core::slice::from_raw_parts(list, count) },
        _ => &[],
    };
    // SAFETY: null or a timespec.
    let limit = match unsafe { timeout.as_ref() }.map(duration) {
        Some(None) => {
            errno::set(libc::EINVAL);
            return libc::EAI_SYSTEM;
        }
        limit => limit.flatten(),
    };
    suspend(|| under_way(list), limit)
}

fn suspend(under_way: impl Fn() -> usize, limit: Option<Duration>) -> c_int {
    let at_first = under_way();
    if at_first == 0 {
        return EAI_ALLDONE;
    }
    let end = limit.map(|limit| time::monotonic().saturating_add(limit));
    loop {
        // Acquire pairs with the Release in `announce`: what has changed the word shows below.
        let seen = FINISHED.load(Acquire);
        if under_way() < at_first {
            return 0;
        }
        let left = end.map(|end| end.saturating_sub(time::monotonic()));
        match cancellable(|| futex::wait(&FINISHED, seen, left)) {
            Err(Errno(libc::EINTR)) => return EAI_INTR,
            Err(Errno(libc::ETIMEDOUT)) => return libc::EAI_AGAIN,
            _ => {}
        }
    }
}

fn under_way(list: &[*const gaicb]) -> usize {
    // SAFETY: each is null or a request, by the caller's contract.
    list.iter().filter(|request| unsafe { outcome(request.cast_mut()) } == EAI_INPROGRESS).count()
}

/// State of a request; null is done.
///
/// # Safety
/// `request` is null or a request.
unsafe fn outcome(request: *mut gaicb) -> c_int {
    if request.is_null() {
        return 0;
    }
    // Acquire pairs with the Release in `finish`: the result is written.
    // SAFETY: the request's field, which other threads access in the same way.
    let outcome = unsafe { AtomicI32::from_ptr(&raw mut (*request).outcome).load(Acquire) };
    // SAFETY: written before the request was under way.
    if outcome == EAI_INPROGRESS && unsafe { (*request).owner } != getpid() {
        return EAI_CANCELED;
    }
    outcome
}

/// Puts a request under way.
///
/// # Safety
/// `request` is a request that no thread works on.
unsafe fn begin(request: *mut gaicb) {
    // SAFETY: the caller's contract.
    unsafe {
        (*request).ar_result = core::ptr::null_mut();
        (*request).owner = getpid();
        (*request).outcome = EAI_INPROGRESS;
    }
}

/// Ends a request, which belongs to the program again from then on.
///
/// # Safety
/// `request` is under way, and the caller is the only one who works on it.
unsafe fn finish(request: *mut gaicb, result: *mut libc::addrinfo, code: c_int) {
    // SAFETY: the caller's contract.
    unsafe {
        (*request).ar_result = result;
        // Release pairs with the Acquire in `outcome`.
        AtomicI32::from_ptr(&raw mut (*request).outcome).store(code, Release);
    }
}

/// Wakes the threads that wait for requests; after `finish`.
fn announce() {
    // Release pairs with the Acquire in `suspend` and in `Batch::run_and_wait`.
    FINISHED.fetch_add(1, Release);
    futex::wake_all(&FINISHED);
}
