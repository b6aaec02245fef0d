//! Notification of a program that its requests are finished (sigevent(3type)).

use core::ffi::{c_int, c_void};
use core::mem::MaybeUninit;
use core::ptr::null_mut;

use epochsocks::sys;
use libc::sigevent;

use crate::unhooked;

/// Notification that the program wants.
#[derive(Clone, Copy)]
pub enum Notification {
    /// Nothing, or what libc does not know either.
    None,
    /// A signal with a value.
    Signal(c_int, *mut c_void),
    /// A thread that runs a function with a value, with attributes or null.
    Thread(Function, *mut c_void, *const libc::pthread_attr_t),
}

/// It takes a union of the size of a pointer, in the register of one, and returns nothing.
type Function = extern "C" fn(*mut c_void);

/// The members of `struct sigevent` that the libc crate keeps to itself (signal.h).
#[repr(C)]
struct ThreadEvent {
    value: *mut c_void,
    _signal_and_kind: [c_int; 2],
    function: Function,
    attributes: *const libc::pthread_attr_t,
}

const _: () = assert!(size_of::<ThreadEvent>() <= size_of::<sigevent>());

impl Notification {
    /// Reads the notification that `event` asks for.
    pub fn new(event: &sigevent) -> Notification {
        match event.sigev_notify {
            libc::SIGEV_SIGNAL => {
                Notification::Signal(event.sigev_signo, event.sigev_value.sival_ptr)
            }
            libc::SIGEV_THREAD => {
                // SAFETY: SIGEV_THREAD says that function and attributes are set.
                let event = unsafe { &*core::ptr::from_ref(event).cast::<ThreadEvent>() };
                Notification::Thread(event.function, event.value, event.attributes)
            }
            _ => Notification::None,
        }
    }

    /// Sends the signal, or starts `thread` with `argument`; `thread` must then [`Notification::call`].
    /// Returns whether it was started. A thread that can't be made is not reported, as libc does.
    pub fn send(
        &self,
        thread: extern "C" fn(*mut c_void) -> *mut c_void,
        argument: *mut c_void,
    ) -> bool {
        match *self {
            Notification::None => false,
            Notification::Signal(signal, value) => {
                sys::queue_signal(signal, libc::SI_ASYNCNL, value);
                false
            }
            Notification::Thread(_, _, attributes) => start(attributes, thread, argument),
        }
    }

    /// Calls the program's function, in a thread that takes signals, as libc's does.
    pub fn call(&self) {
        let Notification::Thread(function, value, _) = *self else { return };
        let mut none = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: libc fills the set.
        unsafe {
            unhooked::sigemptyset(none.as_mut_ptr());
            unhooked::pthread_sigmask(libc::SIG_SETMASK, none.as_ptr(), null_mut());
        }
        function(value);
    }
}

fn start(
    attributes: *const libc::pthread_attr_t,
    thread: extern "C" fn(*mut c_void) -> *mut c_void,
    argument: *mut c_void,
) -> bool {
    let mut started = MaybeUninit::<libc::pthread_t>::uninit();
    // SAFETY: null or the program's attributes; a thread that can be joined is there until it is
    // detached.
    unsafe {
        let is_started =
            libc::pthread_create(started.as_mut_ptr(), attributes, thread, argument) == 0;
        if is_started && is_joinable(attributes) {
            unhooked::pthread_detach(started.assume_init());
        }
        is_started
    }
}

/// # Safety
/// `attributes` is null or initialised.
unsafe fn is_joinable(attributes: *const libc::pthread_attr_t) -> bool {
    let mut state = libc::PTHREAD_CREATE_JOINABLE;
    if !attributes.is_null() {
        // SAFETY: the caller's contract.
        unsafe { unhooked::pthread_attr_getdetachstate(attributes, &raw mut state) };
    }
    state == libc::PTHREAD_CREATE_JOINABLE
}
