//! Calls that move data: on a socket whose handshake is in flight they wait or answer EAGAIN, as
//! the kernel's do while a socket is connecting.

use core::ffi::{c_int, c_uint, c_void};

use epochsocks::sockets::Progress;
use epochsocks::sys::{self, Errno};
use libc::{iovec, mmsghdr, msghdr, off_t, size_t, sockaddr, socklen_t, ssize_t, timespec};

use crate::hooks::waits::wait_loop::wait_for_handshake;
use crate::sockets::{SOCKETS, none_in_flight};
use crate::{errno, real};

/// Direction of data: the option that limits how long a call waits for it.
#[derive(Clone, Copy)]
enum Way {
    In = libc::SO_RCVTIMEO as isize,
    Out = libc::SO_SNDTIMEO as isize,
}

/// Waits until no handshake of `fd` is in the way, or says why the call fails.
#[inline(always)]
fn after_handshake(fd: c_int, way: Way, flags: c_int) -> Result<(), Errno> {
    if none_in_flight() || !SOCKETS.is_connecting(fd) { Ok(()) } else { pass(fd, way, flags) }
}

/// As [`after_handshake`], for a function that writes inside libc.
pub fn ready_to_write(fd: c_int) -> Result<(), Errno> {
    after_handshake(fd, Way::Out, 0)
}

/// As [`after_handshake`], for a call that waits on no socket.
pub fn ready_now(fd: c_int) -> Result<(), Errno> {
    after_handshake(fd, Way::In, libc::MSG_DONTWAIT)
}

#[cold]
fn pass(fd: c_int, way: Way, flags: c_int) -> Result<(), Errno> {
    let mut progress = SOCKETS.drive(fd);
    if progress.is_pending() {
        if flags & libc::MSG_DONTWAIT != 0 || sys::status_flags(fd)?.is_nonblocking() {
            return Err(Errno(libc::EAGAIN));
        }
        progress = wait_for_handshake(fd, progress, way as c_int)?;
    }
    match progress {
        Progress::Failed(_) => SOCKETS.take_error(fd).map_or(Ok(()), Err),
        _ => Ok(()),
    }
}

macro_rules! data_hooks {
    ($($name:ident($fd:ident $(, $argument:ident: $type:ty)*) -> $result:ty, $way:ident, $flags:expr;)*) => {
        $(
            /// # Safety
            /// As the C function's.
            pub unsafe fn $name($fd: c_int $(, $argument: $type)*) -> $result {
                if let Err(errno) = after_handshake($fd, Way::$way, $flags) {
                    return errno::fail(errno);
                }
                // SAFETY: the caller's contract.
                unsafe { real::$name($fd $(, $argument)*) }
            }
        )*
    };
}

data_hooks! {
    read(fd, data: *mut c_void, size: size_t) -> ssize_t, In, 0;
    readv(fd, pieces: *const iovec, count: c_int) -> ssize_t, In, 0;
    recv(fd, data: *mut c_void, size: size_t, flags: c_int) -> ssize_t, In, flags;
    recvfrom(fd, data: *mut c_void, size: size_t, flags: c_int, address: *mut sockaddr, length: *mut socklen_t) -> ssize_t, In, flags;
    recvmsg(fd, message: *mut msghdr, flags: c_int) -> ssize_t, In, flags;
    recvmmsg(fd, messages: *mut mmsghdr, count: c_uint, flags: c_int, timeout: *mut timespec) -> c_int, In, flags;
    __read_chk(fd, data: *mut c_void, size: size_t, room: size_t) -> ssize_t, In, 0;
    __recv_chk(fd, data: *mut c_void, size: size_t, room: size_t, flags: c_int) -> ssize_t, In, flags;
    __recvfrom_chk(fd, data: *mut c_void, size: size_t, room: size_t, flags: c_int, address: *mut sockaddr, length: *mut socklen_t) -> ssize_t, In, flags;
    write(fd, data: *const c_void, size: size_t) -> ssize_t, Out, 0;
    writev(fd, pieces: *const iovec, count: c_int) -> ssize_t, Out, 0;
    send(fd, data: *const c_void, size: size_t, flags: c_int) -> ssize_t, Out, flags;
    sendto(fd, data: *const c_void, size: size_t, flags: c_int, address: *const sockaddr, length: socklen_t) -> ssize_t, Out, flags;
    sendmsg(fd, message: *const msghdr, flags: c_int) -> ssize_t, Out, flags;
    sendmmsg(fd, messages: *mut mmsghdr, count: c_uint, flags: c_int) -> c_int, Out, flags;
    preadv2(fd, pieces: *const iovec, count: c_int, offset: off_t, flags: c_int) -> ssize_t, In, without_waiting(flags);
    pwritev2(fd, pieces: *const iovec, count: c_int, offset: off_t, flags: c_int) -> ssize_t, Out, without_waiting(flags);
}

/// `RWF_NOWAIT` as a socket's flag.
fn without_waiting(flags: c_int) -> c_int {
    if flags & libc::RWF_NOWAIT != 0 { libc::MSG_DONTWAIT } else { 0 }
}

/// # Safety
/// As sendfile(2).
pub unsafe fn sendfile(target: c_int, source: c_int, offset: *mut off_t, size: size_t) -> ssize_t {
    let ready = || {
        after_handshake(target, Way::Out, 0)?;
        after_handshake(source, Way::In, 0)
    };
    match ready() {
        // SAFETY: the caller's contract.
        Ok(()) => unsafe { real::sendfile(target, source, offset, size) },
        Err(errno) => errno::fail(errno),
    }
}

/// # Safety
/// As splice(2).
pub unsafe fn splice(
    source: c_int,
    source_offset: *mut i64,
    target: c_int,
    target_offset: *mut i64,
    size: size_t,
    flags: c_uint,
) -> ssize_t {
    let wait = if flags & libc::SPLICE_F_NONBLOCK != 0 { libc::MSG_DONTWAIT } else { 0 };
    let ready = || {
        after_handshake(source, Way::In, wait)?;
        after_handshake(target, Way::Out, wait)
    };
    match ready() {
        // SAFETY: the caller's contract.
        Ok(()) => unsafe {
            real::splice(source, source_offset, target, target_offset, size, flags)
        },
        Err(errno) => errno::fail(errno),
    }
}
