//! Sockets, by raw system calls. Every function is async-signal-safe.

use core::mem::MaybeUninit;
use core::time::Duration;

use super::{Errno, syscall6};

/// Makes a socket; see socket(2).
pub fn socket(domain: i32, kind: i32, protocol: i32) -> Result<i32, Errno> {
    // SAFETY: socket takes integers only.
    Errno::check(unsafe {
        syscall6(libc::SYS_socket, domain as usize, kind as usize, protocol as usize, 0, 0, 0)
    })
    .map(|fd| fd as i32)
}

/// Connects `fd` to the `sockaddr` in `address`; see connect(2).
pub fn connect(fd: i32, address: &[u8]) -> Result<(), Errno> {
    // SAFETY: the kernel reads `address.len()` bytes.
    Errno::check(unsafe {
        syscall6(libc::SYS_connect, fd as usize, address.as_ptr() as usize, address.len(), 0, 0, 0)
    })
    .map(drop)
}

/// Sends without waiting and without SIGPIPE; see send(2).
pub fn send_now(fd: i32, bytes: &[u8]) -> Result<usize, Errno> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: the kernel reads `bytes.len()` bytes.
    Errno::check(unsafe {
        syscall6(
            libc::SYS_sendto,
            fd as usize,
            bytes.as_ptr() as usize,
            bytes.len(),
            flags as usize,
            0,
            0,
        )
    })
}

/// Receives without waiting; 0 is the end of the stream. See recv(2).
pub fn receive_now(fd: i32, bytes: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: the kernel writes at most `bytes.len()` bytes.
    Errno::check(unsafe {
        syscall6(
            libc::SYS_recvfrom,
            fd as usize,
            bytes.as_mut_ptr() as usize,
            bytes.len(),
            libc::MSG_DONTWAIT as usize,
            0,
            0,
        )
    })
}

/// Waits for `events` on `fd`, at most `timeout`; gives the events, 0 after the timeout. See ppoll(2).
pub fn poll(fd: i32, events: i16, timeout: Duration) -> Result<i16, Errno> {
    let mut entry = libc::pollfd { fd, events, revents: 0 };
    let mut limit = super::time::timespec(timeout);
    // SAFETY: one pollfd and one timespec, both alive and ours; no signal mask.
    Errno::check(unsafe {
        syscall6(libc::SYS_ppoll, &raw mut entry as usize, 1, &raw mut limit as usize, 0, 0, 0)
    })?;
    Ok(entry.revents)
}

/// The bytes of the local address of `fd` in `address`; gives how many. See getsockname(2).
pub fn local_address(fd: i32, address: &mut [u8]) -> Result<usize, Errno> {
    let mut length = address.len() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes and the length.
    Errno::check(unsafe {
        syscall6(
            libc::SYS_getsockname,
            fd as usize,
            address.as_mut_ptr() as usize,
            &raw mut length as usize,
            0,
            0,
            0,
        )
    })?;
    Ok((length as usize).min(address.len()))
}

/// The bytes of the address that `fd` is connected to in `address`; gives how many. See
/// getpeername(2).
pub fn peer_address(fd: i32, address: &mut [u8]) -> Result<usize, Errno> {
    let mut length = address.len() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes and the length.
    Errno::check(unsafe {
        syscall6(
            libc::SYS_getpeername,
            fd as usize,
            address.as_mut_ptr() as usize,
            &raw mut length as usize,
            0,
            0,
            0,
        )
    })?;
    Ok((length as usize).min(address.len()))
}

/// Lets go of the peer: connect(2) to `AF_UNSPEC`.
pub fn disconnect(fd: i32) -> Result<(), Errno> {
    connect(fd, &[0; size_of::<libc::sockaddr>()])
}

/// Whether the kernel has a peer for `fd`.
pub fn has_peer(fd: i32) -> bool {
    peer_address(fd, &mut [0; size_of::<libc::sockaddr_in6>()]).is_ok()
}

/// Reads a socket option of plain data; see getsockopt(2).
///
/// # Safety
/// `T` is valid for any bytes, and the option is of its size.
pub unsafe fn option<T: Copy>(fd: i32, level: i32, name: i32) -> Result<T, Errno> {
    let mut value = MaybeUninit::<T>::zeroed();
    let mut length = size_of::<T>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes and the length.
    Errno::check(unsafe {
        syscall6(
            libc::SYS_getsockopt,
            fd as usize,
            level as usize,
            name as usize,
            value.as_mut_ptr() as usize,
            &raw mut length as usize,
            0,
        )
    })?;
    // SAFETY: zeroed before, and any bytes are valid.
    Ok(unsafe { value.assume_init() })
}

/// Sets a socket option of plain data; see setsockopt(2).
pub fn set_option<T: Copy>(fd: i32, level: i32, name: i32, value: &T) -> Result<(), Errno> {
    // SAFETY: the kernel reads the bytes of one `T`.
    Errno::check(unsafe {
        syscall6(
            libc::SYS_setsockopt,
            fd as usize,
            level as usize,
            name as usize,
            core::ptr::from_ref(value) as usize,
            size_of::<T>(),
            0,
        )
    })
    .map(drop)
}

/// An integer option at `SOL_SOCKET`.
pub fn socket_number(fd: i32, name: i32) -> Result<i32, Errno> {
    // SAFETY: callers name options that are an `int`.
    unsafe { option(fd, libc::SOL_SOCKET, name) }
}

/// `SO_COOKIE`, the identity that the kernel never gives twice.
pub fn cookie(fd: i32) -> Result<u64, Errno> {
    // SAFETY: SO_COOKIE is 64 bits.
    unsafe { option(fd, libc::SOL_SOCKET, libc::SO_COOKIE) }
}

/// The pending error, `SO_ERROR`; reading clears it. 0 is none.
pub fn take_error(fd: i32) -> Result<i32, Errno> {
    socket_number(fd, libc::SO_ERROR)
}
