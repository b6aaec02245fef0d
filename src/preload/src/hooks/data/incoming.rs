//! `recv`, `read` and their kin on a UDP socket that has asked a name server: they wait for Tor, too, and
//! an answer comes from the server that was asked.

use core::ffi::{c_int, c_uint, c_void};
use core::net::SocketAddr;
use core::ptr::null;
use core::time::Duration;

use epochsocks::policy::Address;
use epochsocks::policy::address::encode;
use epochsocks::sys::{self, Errno, net, readable_bytes};
use libc::{
    iovec, mmsghdr, msghdr, off_t, sigset_t, size_t, sockaddr, socklen_t, ssize_t, timespec,
};

use super::transfer;
use crate::hooks::arguments::value_at;
use crate::hooks::waits::wait_loop::{self, Waiter};
use crate::nameserver::Slept;
use crate::{datagrams, errno, nameserver};

/// As many messages as are received at a time.
const MOST_MESSAGES: usize = 64;

/// Tells whether a call on `fd` is for this file: few are.
#[inline(always)]
fn is_concerned(fd: c_int) -> bool {
    datagrams::is_known(fd) && nameserver::has_asked(fd)
}

/// Waits until something has come for `fd` that is the program's to receive. Errors: `EAGAIN` if the
/// call does not wait or the socket's time is over, `EINTR`, and the socket's own.
#[inline(never)]
fn arrival(fd: c_int, flags: c_int) -> Result<(), Errno> {
    if flags & libc::MSG_ERRQUEUE != 0 {
        return Ok(());
    }
    let mut call = Arrival { fd, seen: Err(Errno(libc::EAGAIN)), woken: false };
    if flags & libc::MSG_DONTWAIT != 0 || sys::status_flags(fd)?.is_nonblocking() {
        call.look();
        return call.seen;
    }
    match wait_loop::wait(&mut call, wait_loop::timeout(fd, libc::SO_RCVTIMEO), null()) {
        ..0 => Err(Errno(errno::get())),
        _ => call.seen,
    }
}

struct Arrival {
    fd: c_int,
    /// `Ok` if data is there, `EAGAIN` if not.
    seen: Result<(), Errno>,
    /// Set if the questions cut the last sleep short.
    woken: bool,
}

impl Arrival {
    fn look(&mut self) {
        nameserver::drive();
        self.seen = net::peek(self.fd);
    }
}

impl Waiter for Arrival {
    fn translate(&mut self, _: u64) -> Duration {
        self.look();
        Duration::MAX
    }

    fn is_done(&self) -> bool {
        self.seen != Err(Errno(libc::EAGAIN))
    }

    fn sleep(&mut self, limit: Option<Duration>, mask: *const sigset_t) -> c_int {
        let slept = nameserver::sleep_beside(self.fd, limit, mask);
        self.woken = slept == Slept::Woken;
        if slept == Slept::Failed { -1 } else { 0 }
    }

    fn goes_on_after_signal(&self) -> bool {
        sys::all_handlers_restart()
    }

    fn drive(&mut self) -> bool {
        self.look();
        core::mem::take(&mut self.woken) || self.is_done()
    }

    fn ready(&self) -> c_int {
        c_int::from(self.is_done())
    }
}

macro_rules! incoming_hooks {
    ($($name:ident($fd:ident $(, $argument:ident: $type:ty)*), $flags:expr;)*) => {
        $(
            /// # Safety
            /// As the C function's.
            pub unsafe fn $name($fd: c_int $(, $argument: $type)*) -> ssize_t {
                // SAFETY: the caller's contract.
                unsafe {
                    match datagrams::is_known($fd) {
                        true => looked_at::$name($fd $(, $argument)*),
                        false => transfer::$name($fd $(, $argument)*),
                    }
                }
            }
        )*

        /// Apart, so that files and pipes pay nothing for it.
        mod looked_at {
            use super::*;
            $(
                #[inline(never)]
                pub unsafe fn $name($fd: c_int $(, $argument: $type)*) -> ssize_t {
                    if is_concerned($fd)
                        && let Err(errno) = arrival($fd, $flags)
                    {
                        return errno::fail(errno);
                    }
                    // SAFETY: the caller's contract.
                    unsafe { transfer::$name($fd $(, $argument)*) }
                }
            )*
        }
    };
}

incoming_hooks! {
    read(fd, data: *mut c_void, size: size_t), 0;
    readv(fd, pieces: *const iovec, count: c_int), 0;
    preadv2(fd, pieces: *const iovec, count: c_int, offset: off_t, flags: c_int), 0;
    recv(fd, data: *mut c_void, size: size_t, flags: c_int), flags;
    __read_chk(fd, data: *mut c_void, size: size_t, room: size_t), 0;
    __recv_chk(fd, data: *mut c_void, size: size_t, room: size_t, flags: c_int), flags;
}

/// # Safety
/// As recvfrom(2).
pub unsafe fn recvfrom(
    fd: c_int,
    data: *mut c_void,
    size: size_t,
    flags: c_int,
    address: *mut sockaddr,
    length: *mut socklen_t,
) -> ssize_t {
    // SAFETY: the caller's contract.
    let call = || unsafe { transfer::recvfrom(fd, data, size, flags, address, length) };
    if !is_concerned(fd) {
        return call();
    }
    // SAFETY: the caller's contract.
    unsafe { with_source(fd, (data.cast_const(), size), flags, address, length, call) }
}

/// # Safety
/// As recvfrom(2), with the size of the buffer.
pub unsafe fn __recvfrom_chk(
    fd: c_int,
    data: *mut c_void,
    size: size_t,
    room: size_t,
    flags: c_int,
    address: *mut sockaddr,
    length: *mut socklen_t,
) -> ssize_t {
    // SAFETY: the caller's contract.
    let call = || unsafe { transfer::__recvfrom_chk(fd, data, size, room, flags, address, length) };
    if !is_concerned(fd) {
        return call();
    }
    // SAFETY: the caller's contract.
    unsafe { with_source(fd, (data.cast_const(), size), flags, address, length, call) }
}

/// # Safety
/// As recvfrom(2).
unsafe fn with_source(
    fd: c_int,
    (data, size): (*const c_void, size_t),
    flags: c_int,
    address: *mut sockaddr,
    length: *mut socklen_t,
    call: impl FnOnce() -> ssize_t,
) -> ssize_t {
    // SAFETY: the caller's contract. Where it can't be read, the kernel answers EFAULT.
    let room = unsafe { value_at(length) }.ok().flatten();
    if let Err(errno) = arrival(fd, flags) {
        return errno::fail(errno);
    }
    let received = call();
    if received >= 0
        && !address.is_null()
        && let Some(room) = room
    {
        // SAFETY: the kernel has just written data, address and length.
        unsafe {
            // With MSG_TRUNC the answer is the datagram's length.
            let id = id(data.cast(), (received as usize).min(size));
            if let Some(full) = rename(fd, address.cast(), *length, room, id) {
                *length = full;
            }
        }
    }
    received
}

/// # Safety
/// As recvmsg(2).
pub unsafe fn recvmsg(fd: c_int, message: *mut msghdr, flags: c_int) -> ssize_t {
    // SAFETY: the caller's contract.
    let header = if is_concerned(fd) { unsafe { value_at(message) } } else { Ok(None) };
    let Ok(Some(header)) = header else {
        // SAFETY: the caller's contract. What can't be read is EFAULT of the kernel.
        return unsafe { transfer::recvmsg(fd, message, flags) };
    };
    if let Err(errno) = arrival(fd, flags) {
        return errno::fail(errno);
    }
    // SAFETY: the caller's contract; what the kernel has written can be written.
    unsafe {
        let room = header.msg_namelen;
        let received = transfer::recvmsg(fd, message, flags);
        if received >= 0 {
            rename_message(fd, &mut *message, room, received as usize);
        }
        received
    }
}

/// # Safety
/// As recvmmsg(2).
pub unsafe fn recvmmsg(
    fd: c_int,
    messages: *mut mmsghdr,
    count: c_uint,
    flags: c_int,
    limit: *mut timespec,
) -> c_int {
    // As many as can be read: the kernel stops there as well.
    let most = (count as usize).min(MOST_MESSAGES);
    let readable = || readable_bytes(messages.cast(), most * size_of::<mmsghdr>());
    let looked_at = if is_concerned(fd) { readable() / size_of::<mmsghdr>() } else { 0 };
    if looked_at == 0 {
        // SAFETY: the caller's contract.
        return unsafe { transfer::recvmmsg(fd, messages, count, flags, limit) };
    }
    if let Err(errno) = arrival(fd, flags) {
        return errno::fail(errno);
    }
    // SAFETY: the caller's contract; the kernel has filled as many messages.
    unsafe {
        // The kernel writes the lengths of the names over the room for them.
        let mut rooms = [0; MOST_MESSAGES];
        for (index, room) in rooms.iter_mut().take(looked_at).enumerate() {
            *room = (*messages.add(index)).msg_hdr.msg_namelen;
        }
        let received = transfer::recvmmsg(fd, messages, looked_at as c_uint, flags, limit);
        for (index, room) in rooms.iter().take(received.max(0) as usize).enumerate() {
            let message = &mut *messages.add(index);
            rename_message(fd, &mut message.msg_hdr, *room, message.msg_len as usize);
        }
        received
    }
}

/// # Safety
/// The kernel has filled the message with `length` bytes; its name had `room`.
unsafe fn rename_message(fd: c_int, message: &mut msghdr, room: socklen_t, length: usize) {
    if message.msg_name.is_null() {
        return;
    }
    // SAFETY: the caller's contract.
    unsafe {
        let piece = if message.msg_iovlen == 0 { None } else { message.msg_iov.as_ref() };
        let id = piece.and_then(|piece| id(piece.iov_base.cast(), length.min(piece.iov_len)));
        if let Some(full) = rename(fd, message.msg_name.cast(), message.msg_namelen, room, id) {
            message.msg_namelen = full;
        }
    }
}

/// The number that a DNS message begins with.
///
/// # Safety
/// `data` has `length` bytes.
unsafe fn id(data: *const u8, length: usize) -> Option<u16> {
    // SAFETY: the caller's contract.
    (length >= 2).then(|| u16::from_be_bytes(unsafe { [*data, *data.add(1)] }))
}

/// Puts the name server in the place of a source that is ours; gives its length.
///
/// # Safety
/// The kernel has written an address of `length` bytes, as far as there was `room`.
unsafe fn rename(
    fd: c_int,
    address: *mut u8,
    length: socklen_t,
    room: socklen_t,
    id: Option<u16>,
) -> Option<socklen_t> {
    let seen = length.min(room) as usize;
    // SAFETY: the caller's contract.
    let bytes = unsafe { core::slice::from_raw_parts(address, seen) };
    let Address::Inet(source) = Address::parse(bytes) else { return None };
    let server = nameserver::server_behind(fd, source, id)?;
    let (bytes, full) = encode(&of_family(server, source));
    // SAFETY: the caller's contract.
    unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), address, full.min(room as usize)) };
    Some(full as socklen_t)
}

/// An IPv4 server as an IPv6 socket sees it.
fn of_family(mut server: SocketAddr, source: SocketAddr) -> SocketAddr {
    if let (SocketAddr::V4(v4), true) = (server, source.is_ipv6()) {
        server.set_ip(v4.ip().to_ipv6_mapped().into());
    }
    server
}
