//! getaddrinfo_a(3).
//!
//! The whole list is looked up before the call returns, also with `GAI_NOWAIT`: glibc's own threads
//! would call its getaddrinfo from the inside, where no hook stands. What gai_error(3),
//! gai_suspend(3) and gai_cancel(3) of libc say about a finished request is right.

use core::ffi::{c_int, c_void};

use libc::sigevent;

use super::getaddrinfo;
use crate::errno;
use crate::hooks::c_types::gaicb;

const GAI_WAIT: c_int = 0;
const GAI_NOWAIT: c_int = 1;

/// See getaddrinfo_a(3). A mode other than the two is `EAI_SYSTEM` with `EINVAL`.
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
    for index in 0..usize::try_from(count).unwrap_or(0) {
        // SAFETY: the caller's list has that many entries, each null or a request.
        unsafe {
            if let Some(request) = (*list.add(index)).as_mut() {
                request.ar_result = core::ptr::null_mut();
                request.outcome = getaddrinfo(
                    request.ar_name,
                    request.ar_service,
                    request.ar_request,
                    &mut request.ar_result,
                );
            }
        }
    }
    if mode == GAI_NOWAIT {
        // SAFETY: null or the caller's.
        return match unsafe { notification.as_ref() } {
            Some(notification) => notify(notification),
            None => 0,
        };
    }
    0
}

fn notify(notification: &sigevent) -> c_int {
    match notification.sigev_notify {
        libc::SIGEV_SIGNAL => {
            // SAFETY: a signal to ourselves with the value that the program chose.
            unsafe {
                libc::sigqueue(
                    epochsocks::sys::getpid(),
                    notification.sigev_signo,
                    notification.sigev_value,
                );
            }
            0
        }
        libc::SIGEV_THREAD => start_thread(notification),
        _ => 0,
    }
}

/// The members of `struct sigevent` that the libc crate keeps to itself (signal.h).
#[repr(C)]
struct ThreadEvent {
    value: *mut c_void,
    _signal_and_kind: [c_int; 2],
    function: extern "C" fn(*mut c_void) -> *mut c_void,
    attributes: *const libc::pthread_attr_t,
}

const _: () = assert!(size_of::<ThreadEvent>() <= size_of::<sigevent>());

fn start_thread(notification: &sigevent) -> c_int {
    // SAFETY: SIGEV_THREAD says that function and attributes are set. The function takes a union
    // of the size of a pointer, in the register of one, and what it returns is not looked at.
    let started = unsafe {
        let event = &*core::ptr::from_ref(notification).cast::<ThreadEvent>();
        let mut thread = core::mem::zeroed();
        let error =
            libc::pthread_create(&mut thread, event.attributes, event.function, event.value);
        if error == 0 {
            libc::pthread_detach(thread);
        }
        error
    };
    match started {
        0 => 0,
        error => {
            errno::set(error);
            libc::EAI_SYSTEM
        }
    }
}
