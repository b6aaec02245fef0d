//! `getpeername`: the destination that the program asked for, not Tor's port.

use core::ffi::{c_int, c_void};
use core::mem::offset_of;
use core::net::SocketAddr;

use epochsocks::policy::address::encode;
use epochsocks::registry::Registry;
use epochsocks::sockets::Connection;
use epochsocks::sys::{Errno, copy_to_program, is_beside_stack, may_write, syscall6};
use libc::{in_addr, sa_family_t, sockaddr, sockaddr_in, sockaddr_in6, socklen_t};

use super::state;
use crate::hooks::arguments::put_value;
use crate::hooks::descriptors::tables;
use crate::nameserver::{self, Peer};
use crate::sockets::SOCKETS;
use crate::{datagrams, destination_tag, errno, real, runtime};

/// # Safety
/// As getpeername(2).
pub unsafe fn getpeername(fd: c_int, address: *mut sockaddr, length: *mut socklen_t) -> c_int {
    match peer(fd) {
        // SAFETY: the caller's contract.
        Peer::Server(destination) => match unsafe { write(fd, &destination, address, length) } {
            Ok(()) => 0,
            Err(errno) => errno::fail(errno),
        },
        Peer::None => errno::fail(Errno(libc::ENOTCONN)),
        // SAFETY: the caller's contract.
        Peer::Kernels => unsafe { of_stranger(fd, address, length) },
    }
}

/// `getsockopt` of `SO_PEERNAME`, which is `getpeername` by another name.
///
/// # Safety
/// As getsockopt(2).
#[cold]
pub unsafe fn by_option(fd: c_int, value: *mut c_void, length: *mut socklen_t) -> c_int {
    let destination = match peer(fd) {
        Peer::Server(destination) => Some(destination),
        Peer::None => return errno::fail(Errno(libc::ENOTCONN)),
        Peer::Kernels => destination_tag::adopt(fd),
    };
    let Some(destination) = destination else {
        // SAFETY: the caller's contract.
        return unsafe { real::getsockopt(fd, libc::SOL_SOCKET, libc::SO_PEERNAME, value, length) };
    };
    // SAFETY: as above.
    match unsafe { write_option(&destination, value, length) } {
        Ok(()) => 0,
        Err(errno) => errno::fail(errno),
    }
}

/// Destination of `fd`, as far as this process knows.
#[inline(always)]
fn peer(fd: c_int) -> Peer {
    if datagrams::is_known(fd) {
        match nameserver::peer(fd) {
            Peer::Kernels => {}
            peer => return peer,
        }
    }
    state::refresh(fd);
    let destination = destination(fd);
    match destination {
        // The entry is another table's: what the kernel says of this one's is the whole truth.
        _ if tables::diverge() && !SOCKETS.is_current(fd) => Peer::Kernels,
        Some(destination) => Peer::Server(destination),
        None if SOCKETS.is_connecting(fd) => Peer::None,
        None => Peer::Kernels,
    }
}

/// Destination of the connection of `fd`, if it has one. An IPv4 address, which two registers hold, is asked
/// for by itself: one that is put together in memory and moved as a whole costs as much as the lookup,
/// since the processor waits for the small stores before a large load.
#[inline(always)]
fn destination(fd: c_int) -> Option<SocketAddr> {
    let registry = SOCKETS.registry();
    match registry.borrow(fd, |record| record.connection().and_then(Connection::ipv4))? {
        Some(ipv4) => Some(SocketAddr::V4(ipv4)),
        None => registry.borrow(fd, |record| record.connection().map(Connection::destination))?,
    }
}

/// The kernel's answer, unless it is the Tor port and another program has told where it leads: a
/// socket that was connected before an exec, or by another process.
///
/// # Safety
/// As getpeername(2).
unsafe fn of_stranger(fd: c_int, address: *mut sockaddr, length: *mut socklen_t) -> c_int {
    if !is_beside_stack(length.cast(), size_of::<socklen_t>()) {
        return match destination_tag::adopt(fd) {
            // SAFETY: the caller's contract, here and below.
            Some(destination) => match unsafe { write(fd, &destination, address, length) } {
                Ok(()) => 0,
                Err(errno) => errno::fail(errno),
            },
            // SAFETY: as above.
            None => unsafe { real::getpeername_carrying(fd, address, length) },
        };
    }
    // SAFETY: it is on the stack; the caller's contract, here and below.
    let room = unsafe { length.read_unaligned() };
    // SAFETY: as above.
    let result = unsafe { real::getpeername_carrying(fd, address, length) };
    if result == 0
        // SAFETY: the kernel has just written the length, and up to `room` bytes.
        && unsafe { may_be_tor(address, room, *length) }
        && let Some(destination) = destination_tag::adopt(fd)
    {
        // SAFETY: as above.
        unsafe { *length = write_bytes(&destination, address, room as usize) as socklen_t };
    }
    result
}

/// Tells whether an address that the kernel wrote has the Tor port's number, as far as it can be
/// seen.
///
/// # Safety
/// `address` has `room` bytes or `length`, whichever is less.
unsafe fn may_be_tor(address: *const sockaddr, room: socklen_t, length: socklen_t) -> bool {
    if length as usize != size_of::<sockaddr_in>() && length as usize != size_of::<sockaddr_in6>() {
        return false;
    }
    // In both families the port is in the same place.
    // SAFETY: the caller's contract.
    let port =
        || unsafe { (&raw const (*address.cast::<sockaddr_in>()).sin_port).read_unaligned() };
    let is_seen = room as usize >= offset_of!(sockaddr_in, sin_addr);
    !is_seen || port() == runtime::loaded().tor_port.to_be()
}

/// Reads the room for an address, which the kernel is to write the length over. Errors: `EFAULT`.
///
/// # Safety
/// As getpeername(2).
unsafe fn room_at(length: *const socklen_t) -> Result<socklen_t, Errno> {
    if !may_write(length.cast(), size_of::<socklen_t>()) {
        return Err(Errno(libc::EFAULT));
    }
    // SAFETY: what may be written may be read; the caller's contract.
    Ok(unsafe { length.read_unaligned() })
}

/// Lets the kernel write an address and its length, of the same size; returns the room that there was.
/// Errors: `EFAULT`, `EINVAL`.
///
/// # Safety
/// As getpeername(2).
#[cold]
#[inline(never)]
unsafe fn tried_by_kernel(
    fd: c_int,
    address: *mut sockaddr,
    length: *mut socklen_t,
) -> Result<socklen_t, Errno> {
    // SAFETY: the caller's contract.
    let room = unsafe { room_at(length)? };
    let ask = |number| {
        // SAFETY: the kernel says where it can't write.
        Errno::check(unsafe {
            syscall6(number, fd as usize, address as usize, length as usize, 0, 0, 0)
        })
    };
    match ask(libc::SYS_getpeername) {
        // The peer has gone, whose address the program has asked for; the socket's own is there.
        Err(Errno(libc::ENOTCONN)) => ask(libc::SYS_getsockname)?,
        result => result?,
    };
    Ok(room)
}

/// Writes as many bytes as there is room for and the full length, as POSIX says.
///
/// # Safety
/// As getpeername(2).
unsafe fn write(
    fd: c_int,
    destination: &SocketAddr,
    address: *mut sockaddr,
    length: *mut socklen_t,
) -> Result<(), Errno> {
    let size =
        if destination.is_ipv4() { size_of::<sockaddr_in>() } else { size_of::<sockaddr_in6>() };
    let is_at_hand = is_beside_stack(length.cast(), size_of::<socklen_t>())
        && is_beside_stack(address.cast(), size);
    let room = if is_at_hand {
        // SAFETY: it is on the stack, and the caller's contract.
        unsafe { length.read_unaligned() }
    } else {
        // SAFETY: the caller's contract.
        unsafe { tried_by_kernel(fd, address, length)? }
    };
    if room > i32::MAX as socklen_t {
        return Err(Errno(libc::EINVAL));
    }
    // SAFETY: both may be written, and the caller's contract.
    unsafe {
        let full = write_bytes(destination, address, room as usize);
        length.write_unaligned(full as socklen_t);
    }
    Ok(())
}

/// Writes as many bytes as are asked for, as the kernel does for `SO_PEERNAME`. Errors: `EFAULT`,
/// `EINVAL` for more than there are.
///
/// # Safety
/// As getsockopt(2).
unsafe fn write_option(
    destination: &SocketAddr,
    value: *mut c_void,
    length: *mut socklen_t,
) -> Result<(), Errno> {
    // SAFETY: the caller's contract.
    let asked = unsafe { room_at(length)? };
    let (bytes, full) = encode(destination);
    let bytes = bytes.get(..full).and_then(|bytes| bytes.get(..asked as usize));
    // SAFETY: the caller's contract. The length stays what it is, but must be writable.
    unsafe {
        copy_to_program(bytes.ok_or(Errno(libc::EINVAL))?, value.cast())?;
        put_value(&asked, length)
    }
}

/// Writes up to `room` bytes; answers how many there are in full.
///
/// # Safety
/// `address` has `room` bytes.
unsafe fn write_bytes(destination: &SocketAddr, address: *mut sockaddr, room: usize) -> usize {
    if let SocketAddr::V4(v4) = destination
        && room >= size_of::<sockaddr_in>()
    {
        // Field by field into place: to collect the bytes first and copy them as one costs as much
        // as the lookup, since the processor waits for the small stores before the large load.
        let value = sockaddr_in {
            sin_family: libc::AF_INET as sa_family_t,
            sin_port: v4.port().to_be(),
            sin_addr: in_addr { s_addr: u32::from(*v4.ip()).to_be() },
            sin_zero: [0; 8],
        };
        // SAFETY: there is room for it.
        unsafe { address.cast::<sockaddr_in>().write_unaligned(value) };
        return size_of::<sockaddr_in>();
    }
    let (bytes, full) = encode(destination);
    // SAFETY: the caller's contract.
    unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), address.cast(), full.min(room)) };
    full
}
