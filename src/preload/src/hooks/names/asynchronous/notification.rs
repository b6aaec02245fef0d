//! How a program is told that its requests are finished (sigevent(3type)).

use core::ffi::{c_int, c_void};
use core::mem::MaybeUninit;
use core::ptr::{null, null_mut};

use epochsocks::sys;
use libc::sigevent;

use super::batch::Batch;
use crate::unhooked;

/// What the program wants.
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
    /// What `event` asks for.
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

    /// Tells the program; `batch` is the one that this is the notification of. A thread that can't
    /// be made is nobody's to report.
    pub fn send(&self, batch: Batch) {
        match *self {
            Notification::None => {}
            Notification::Signal(signal, value) => {
                sys::queue_signal(signal, libc::SI_ASYNCNL, value);
            }
            Notification::Thread(_, _, attributes) => {
                batch.hold();
                if !start(attributes, batch) {
                    batch.put();
                }
            }
        }
    }
}

fn start(attributes: *const libc::pthread_attr_t, batch: Batch) -> bool {
    let mut thread = MaybeUninit::<libc::pthread_t>::uninit();
    // SAFETY: null or the program's attributes; a thread that can be joined is there until it is
    // detached.
    unsafe {
        let started =
            libc::pthread_create(thread.as_mut_ptr(), attributes, call, batch.to_argument()) == 0;
        if started && is_joinable(attributes) {
            unhooked::pthread_detach(thread.assume_init());
        }
        started
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

/// The thread that the program is told by; it takes signals, as libc's does.
extern "C" fn call(argument: *mut c_void) -> *mut c_void {
    // SAFETY: the argument of `start`.
    let batch = unsafe { Batch::from_argument(argument) };
    let notification = batch.notification().copied();
    batch.put();
    if let Some(Notification::Thread(function, value, _)) = notification {
        let mut none = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: libc fills the set.
        unsafe {
            unhooked::sigemptyset(none.as_mut_ptr());
            unhooked::pthread_sigmask(libc::SIG_SETMASK, none.as_ptr(), null_mut());
        }
        function(value);
    }
    null::<c_void>().cast_mut()
}
