//! Cancellation points of pthreads(7) that are the hooks' own.

use core::ffi::c_int;

unsafe extern "C" {
    safe fn pthread_setcanceltype(kind: c_int, old: &mut c_int) -> c_int;
    pub safe fn pthread_testcancel();
}

const PTHREAD_CANCEL_ASYNCHRONOUS: c_int = 1;

/// Makes `call`, a system call that is not a cancellation point of libc's, one. Nothing is held. Async-signal-safe.
pub fn cancellable<T>(call: impl FnOnce() -> T) -> T {
    let mut before = 0;
    pthread_testcancel();
    pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &mut before);
    let result = call();
    pthread_setcanceltype(before, &mut 0);
    result
}
