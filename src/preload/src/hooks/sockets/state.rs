//! `getsockopt` of `SO_ERROR`, `TCP_INFO`, `SO_PEERNAME` and the interface, `ioctl` of the queues' lengths,
//! `shutdown`: what a program asks of a socket while it is connecting.

use core::ffi::{c_int, c_long, c_ulong, c_void};

use epochsocks::policy::option::SO_BINDTOIFINDEX;
use epochsocks::sockets::Progress;
use epochsocks::sys::{Errno, net};
use libc::socklen_t;

use super::peer_name;
use super::socket::confines_streams;
use crate::sockets::{SOCKETS, none_in_flight};
use crate::{datagrams, errno, real};

/// # Safety
/// As getsockopt(2).
pub unsafe fn getsockopt(
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *mut c_void,
    length: *mut socklen_t,
) -> c_int {
    // SAFETY: the caller's contract.
    let real = || unsafe { real::getsockopt(fd, level, name, value, length) };
    match (level, name) {
        (libc::SOL_SOCKET, libc::SO_ERROR) if !none_in_flight() && SOCKETS.is_connecting(fd) => {
            let owed = match SOCKETS.drive(fd) {
                Progress::Failed(_) => SOCKETS.take_error(fd),
                _ => None,
            };
            let result = real();
            if let (0, Some(Errno(owed))) = (result, owed) {
                // SAFETY: the kernel has just written as many bytes there.
                unsafe { overwrite(&owed.to_ne_bytes(), value, length) };
            }
            result
        }
        (libc::IPPROTO_TCP, libc::TCP_INFO) if !none_in_flight() && SOCKETS.is_connecting(fd) => {
            let is_pending = SOCKETS.drive(fd).is_pending();
            let result = real();
            if result == 0 && is_pending {
                // The connection that is established leads to Tor's port.
                // SAFETY: as above; the state is the first byte of a tcp_info.
                unsafe { overwrite(&[TCP_SYN_SENT], value, length) };
            }
            result
        }
        // SAFETY: the caller's contract.
        (libc::SOL_SOCKET, libc::SO_PEERNAME) => unsafe { peer_name::by_option(fd, value, length) },
        (libc::SOL_SOCKET, libc::SO_BINDTODEVICE | SO_BINDTOIFINDEX)
            if confines_streams() && !datagrams::is_known(fd) && net::is_confined(fd) =>
        {
            let result = real();
            if result == 0 {
                // The hooks have bound it, not the program.
                // SAFETY: as above; the name is no longer than its length, the index is an int.
                unsafe {
                    overwrite(&0_i32.to_ne_bytes(), value, length);
                    if name == libc::SO_BINDTODEVICE {
                        *length = 0;
                    }
                }
            }
            result
        }
        _ => real(),
    }
}

/// `tcpi_state` of a socket that is connecting (`TCP_SYN_SENT` of netinet/tcp.h).
const TCP_SYN_SENT: u8 = 2;

/// Puts `bytes` in place of the first that the kernel has written.
///
/// # Safety
/// The kernel has just written the length, and as many bytes at `value`.
unsafe fn overwrite(bytes: &[u8], value: *mut c_void, length: *const socklen_t) {
    // SAFETY: the caller's contract.
    unsafe {
        let room = (*length as usize).min(bytes.len());
        core::ptr::copy_nonoverlapping(bytes.as_ptr(), value.cast(), room);
    }
}

/// Requests that ask how much has come, or is to be sent and acknowledged.
const QUEUES: [c_ulong; 3] = [libc::FIONREAD, libc::TIOCOUTQ, SIOCOUTQNSD];
/// See linux/sockios.h.
const SIOCOUTQNSD: c_ulong = 0x894b;

/// # Safety
/// As ioctl(2).
pub unsafe fn ioctl(fd: c_int, request: c_ulong, argument: c_long) -> c_int {
    let is_pending = !none_in_flight()
        && QUEUES.contains(&request)
        && SOCKETS.is_connecting(fd)
        && SOCKETS.drive(fd).is_pending();
    // SAFETY: the caller's contract.
    let result = unsafe { real::ioctl(fd, request, argument) };
    if is_pending && result == 0 {
        let count: *mut c_int = core::ptr::with_exposed_provenance_mut(argument as usize);
        // What is there is the proxy's, or for it.
        // SAFETY: the kernel has just written it.
        unsafe { *count = 0 };
    }
    result
}

/// # Safety
/// As shutdown(2).
pub unsafe fn shutdown(fd: c_int, how: c_int) -> c_int {
    if !none_in_flight() && SOCKETS.is_connecting(fd) && SOCKETS.drive(fd).is_pending() {
        if !matches!(how, libc::SHUT_RD | libc::SHUT_WR | libc::SHUT_RDWR) {
            return errno::fail(Errno(libc::EINVAL));
        }
        // As Linux does with a socket that is connecting: it is unconnected again.
        SOCKETS.cancel(fd);
        return 0;
    }
    // SAFETY: the caller's contract.
    unsafe { real::shutdown(fd, how) }
}

/// Lets the handshake of `fd` go on, so that what is asked of the record is up to date.
pub fn refresh(fd: c_int) {
    if !none_in_flight() && SOCKETS.is_connecting(fd) {
        SOCKETS.drive(fd);
    }
}
