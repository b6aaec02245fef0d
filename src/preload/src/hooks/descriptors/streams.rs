//! `fclose`, `freopen`: libc closes the stream's descriptor inside, past our `close`. `fdopen`: it reads
//! and writes inside.

use core::ffi::{c_char, c_int};

use libc::FILE;

use crate::hooks::data::outgoing;
use crate::hooks::exec::pipe;
use crate::hooks::waits::wait_loop::wait_for_handshake;
use crate::sockets::{SOCKETS, none_in_flight};
use crate::{errno, harmless, real, unhooked};

/// Waits for the handshake of `fd` if one is in flight, as a call that moves data does on a blocking
/// socket, whatever this one is: what the stream moved meanwhile would be the proxy's. A handshake that
/// fails is told by SO_ERROR, and by the stream. `EINTR`; `EAGAIN` after SO_SNDTIMEO.
///
/// # Safety
/// As fdopen(3).
pub unsafe fn fdopen(fd: c_int, mode: *const c_char) -> *mut FILE {
    if !none_in_flight()
        && SOCKETS.is_connecting(fd)
        && let Err(errno) = wait_for_handshake(fd, SOCKETS.drive(fd), libc::SO_SNDTIMEO)
    {
        return errno::fail(errno);
    }
    if let Err(errno) = outgoing::may_write_unseen(fd) {
        return errno::fail(errno);
    }
    // SAFETY: the caller's contract.
    unsafe { real::fdopen(fd, mode) }
}

/// # Safety
/// As fclose(3).
pub unsafe fn fclose(stream: *mut FILE) -> c_int {
    // SAFETY: the caller's contract, here and below.
    unsafe {
        // libc's fclose ends a stream of popen as pclose does.
        if let Some(child) = pipe::take(stream) {
            return pipe::close(stream, child);
        }
        forget(stream);
        real::fclose(stream)
    }
}

/// # Safety
/// As freopen(3).
pub unsafe fn freopen(path: *const c_char, mode: *const c_char, stream: *mut FILE) -> *mut FILE {
    // SAFETY: the caller's contract, here and below.
    unsafe {
        forget(stream);
        real::freopen(path, mode, stream)
    }
}

/// # Safety
/// As freopen(3).
pub unsafe fn freopen64(path: *const c_char, mode: *const c_char, stream: *mut FILE) -> *mut FILE {
    // SAFETY: the caller's contract, here and below.
    unsafe {
        forget(stream);
        real::freopen64(path, mode, stream)
    }
}

/// Drops the entry of the stream's descriptor, which is closed even if the call fails.
///
/// # Safety
/// `stream` is null or an open stream.
unsafe fn forget(stream: *mut FILE) {
    if stream.is_null() {
        return;
    }
    let saved = errno::get();
    // SAFETY: an open stream; one without a descriptor answers -1, which has no entry.
    let fd = unsafe { unhooked::fileno(stream) };
    errno::set(saved);
    harmless::remove(fd);
    SOCKETS.forget(fd);
}
