//! Sockets, by raw system calls. Every function is async-signal-safe.

use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use core::time::Duration;

use super::{Errno, syscall_with_secret, syscall6};

/// The kernel's answer to a question about a socket. An errno is an answer only where it means that
/// there is no socket: all others may come from a seccomp filter, a security module or a lack of
/// memory, and say nothing of the descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Answer<T> {
    /// The descriptor is a socket, of which this is true.
    Is(T),
    /// The descriptor is not a socket: `EBADF` or `ENOTSOCK`, with which every call on a socket fails.
    NotASocket(Errno),
    /// The kernel does not tell.
    Unknown(Errno),
}

impl<T> From<Result<T, Errno>> for Answer<T> {
    fn from(result: Result<T, Errno>) -> Answer<T> {
        match result {
            Ok(value) => Answer::Is(value),
            Err(errno @ Errno(libc::EBADF | libc::ENOTSOCK)) => Answer::NotASocket(errno),
            Err(errno) => Answer::Unknown(errno),
        }
    }
}

/// The secret of the launch's backstop, by which its filter knows the library's own calls; 0 where there
/// is none. Guards no other memory: Relaxed.
static SECRET: AtomicU64 = AtomicU64::new(0);

/// From here on the library's calls carry `secret`.
pub fn carry_secret(secret: u64) {
    SECRET.store(secret, Relaxed);
}

/// The secret that the library's calls carry, if there is a backstop. Async-signal-safe.
#[inline(always)]
pub fn secret() -> Option<u64> {
    Some(SECRET.load(Relaxed)).filter(|secret| *secret != 0)
}

/// Makes a socket; see socket(2). It is one of the library's own calls.
pub fn socket(domain: i32, kind: i32, protocol: i32) -> Result<i32, Errno> {
    let arguments = [domain as usize, kind as usize, protocol as usize, 0, 0];
    // The launcher has this call, too: a number in sight would make it a program with direct calls, which
    // no launch around it runs.
    let number = core::hint::black_box(libc::SYS_socket);
    // SAFETY: socket takes integers only, and looks at three.
    Errno::check(unsafe { syscall_with_secret(number, arguments, SECRET.load(Relaxed)) })
        .map(|fd| fd as i32)
}

/// Connects `fd` to the `sockaddr` in `address`; see connect(2).
pub fn connect(fd: i32, address: &[u8]) -> Result<(), Errno> {
    let arguments = [fd as usize, address.as_ptr() as usize, address.len(), 0, 0];
    // SAFETY: the kernel reads `address.len()` bytes, and looks at three arguments.
    Errno::check(unsafe { syscall_with_secret(libc::SYS_connect, arguments, SECRET.load(Relaxed)) })
        .map(drop)
}

/// Binds `fd` to `address`, a whole `sockaddr`; see bind(2).
pub fn bind(fd: i32, address: &[u8]) -> Result<(), Errno> {
    let arguments = [fd as usize, address.as_ptr() as usize, address.len(), 0, 0];
    // SAFETY: the kernel reads `address.len()` bytes, and looks at three arguments.
    Errno::check(unsafe { syscall_with_secret(libc::SYS_bind, arguments, SECRET.load(Relaxed)) })
        .map(drop)
}

/// Connects `fd` to the `sockaddr` in `address` without waiting, whatever its flags are: sendto(2) with
/// `MSG_FASTOPEN` and no data. `EINPROGRESS`; `EOPNOTSUPP` where the system's `tcp_fastopen` forbids it.
pub fn connect_now(fd: i32, address: &[u8]) -> Result<(), Errno> {
    let flags = libc::MSG_FASTOPEN | libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    send_addressed(fd, &[], flags, address)
}

/// Sends `bytes` to `address`; see sendto(2). That call has no argument left for the secret: with a
/// backstop it is sendmsg(2), which has.
fn send_addressed(fd: i32, bytes: &[u8], flags: i32, address: &[u8]) -> Result<(), Errno> {
    let (data, place) = (bytes.as_ptr() as usize, address.as_ptr() as usize);
    let sent = match secret() {
        // SAFETY: the kernel reads `bytes.len()` and `address.len()` bytes.
        None => unsafe {
            let (fd, flags) = (fd as usize, flags as usize);
            syscall6(libc::SYS_sendto, fd, data, bytes.len(), flags, place, address.len())
        },
        Some(secret) => {
            let mut piece =
                libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
            // SAFETY: plain data, valid as zeroes.
            let mut message: libc::msghdr = unsafe { core::mem::zeroed() };
            message.msg_name = address.as_ptr().cast_mut().cast();
            message.msg_namelen = address.len() as libc::socklen_t;
            message.msg_iov = &raw mut piece;
            message.msg_iovlen = 1;
            let arguments = [fd as usize, &raw const message as usize, flags as usize, 0, 0];
            // SAFETY: the kernel reads the message and what it names, and looks at three arguments.
            unsafe { syscall_with_secret(libc::SYS_sendmsg, arguments, secret) }
        }
    };
    Errno::check(sent).map(drop)
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

/// Lets `fd` listen for one connection; see listen(2).
pub fn listen_once(fd: i32) -> Result<(), Errno> {
    let secret = SECRET.load(Relaxed);
    // SAFETY: listen takes integers, and looks at two.
    Errno::check(unsafe {
        syscall_with_secret(libc::SYS_listen, [fd as usize, 1, 0, 0, 0], secret)
    })
    .map(drop)
}

/// Looks whether anything waits to be received from `fd`, which stays there; see recv(2).
pub fn peek(fd: i32) -> Result<(), Errno> {
    let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT;
    // SAFETY: the kernel writes nothing.
    let seen = unsafe { syscall6(libc::SYS_recvfrom, fd as usize, 0, 0, flags as usize, 0, 0) };
    Errno::check(seen).map(drop)
}

/// Sends a datagram to the `sockaddr` in `address` without waiting and without SIGPIPE; see sendto(2).
pub fn send_to(fd: i32, bytes: &[u8], address: &[u8]) -> Result<(), Errno> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    send_addressed(fd, bytes, flags, address)
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
    poll_with(fd, events, Some(timeout), None)
}

/// As [`poll`], for ever without `timeout`, and with `mask` as the thread's signal mask while the kernel waits. A
/// negative `fd` has no event.
pub fn poll_with(
    fd: i32,
    events: i16,
    timeout: Option<Duration>,
    mask: Option<&u64>,
) -> Result<i16, Errno> {
    let mut entry = libc::pollfd { fd, events, revents: 0 };
    let mut limit = timeout.map(super::time::timespec);
    let limit = limit.as_mut().map_or(0, |limit| core::ptr::from_mut(limit) as usize);
    let (mask, size) = mask.map_or((0, 0), |mask| (core::ptr::from_ref(mask) as usize, 8));
    // SAFETY: one pollfd, and a timespec and a mask of 8 bytes if any, alive and ours.
    Errno::check(unsafe {
        syscall6(libc::SYS_ppoll, &raw mut entry as usize, 1, limit, mask, size, 0)
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
    let (place, length_at) = (address.as_mut_ptr() as usize, &raw mut length as usize);
    let (arguments, secret) = ([fd as usize, place, length_at, 0, 0], SECRET.load(Relaxed));
    // SAFETY: the kernel writes at most `length` bytes and the length, and looks at three arguments.
    Errno::check(unsafe { syscall_with_secret(libc::SYS_getpeername, arguments, secret) })?;
    Ok((length as usize).min(address.len()))
}

/// Lets go of the peer: connect(2) to `AF_UNSPEC`.
pub fn disconnect(fd: i32) -> Result<(), Errno> {
    connect(fd, &[0; size_of::<libc::sockaddr>()])
}

/// Tells whether the kernel has a peer for `fd`.
pub fn has_peer(fd: i32) -> bool {
    peer_address(fd, &mut [0; size_of::<libc::sockaddr_in6>()]).is_ok()
}

/// Tells whether the TCP socket `fd` may get a peer without another call: it is connecting. True also where the
/// kernel does not tell.
pub fn is_connecting(fd: i32) -> bool {
    /// tcpi_state (netinet/tcp.h), the first byte of a tcp_info.
    const SYN_SENT_OR_RECEIVED: [u8; 2] = [2, 3];
    // SAFETY: any byte is one.
    let state = unsafe { option::<u8>(fd, libc::IPPROTO_TCP, libc::TCP_INFO) };
    state.map_or(true, |state| SYN_SENT_OR_RECEIVED.contains(&state))
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

/// Sets a socket option of any length, 0 for one that is taken away; see setsockopt(2).
pub fn set_bytes(fd: i32, level: i32, name: i32, value: &[u8]) -> Result<(), Errno> {
    // SAFETY: the kernel reads `value.len()` bytes.
    Errno::check(unsafe {
        syscall6(
            libc::SYS_setsockopt,
            fd as usize,
            level as usize,
            name as usize,
            value.as_ptr() as usize,
            value.len(),
            0,
        )
    })
    .map(drop)
}

/// Binds `fd` to the loopback interface: nothing leaves by it or comes in from elsewhere, whatever is
/// called. A process without CAP_NET_RAW can't undo it. Errors: `EPERM` before Linux 5.7 without
/// CAP_NET_RAW.
pub fn confine(fd: i32) -> Result<(), Errno> {
    set_bytes(fd, libc::SOL_SOCKET, libc::SO_BINDTODEVICE, b"lo")
}

/// Takes sending away from the UDP socket `fd`, for good: data are `EPIPE`, with an address and without, also
/// those of system calls that no hook sees. Receiving goes on.
pub fn silence(fd: i32) {
    // It is done all the same where the kernel says that there is no peer.
    // SAFETY: takes integers.
    unsafe { syscall6(libc::SYS_shutdown, fd as usize, libc::SHUT_WR as usize, 0, 0, 0, 0) };
}

/// The name of the interface that `fd` is bound to, up to a NUL; empty if there is none.
fn interface(fd: i32) -> Result<[u8; libc::IFNAMSIZ], Errno> {
    // SAFETY: a name of that length.
    unsafe { option(fd, libc::SOL_SOCKET, libc::SO_BINDTODEVICE) }
}

/// Tells whether `fd` is bound to the loopback interface.
pub fn is_confined(fd: i32) -> bool {
    interface(fd).is_ok_and(|name| name.starts_with(b"lo\0"))
}

/// Takes off `fd`, a TCP socket that was made elsewhere, what would lead it past the address that it
/// is connected to: an interface and source routes. Errors: those of setsockopt(2), `EPERM` where a
/// process without CAP_NET_RAW can't unbind it.
pub fn take_off_routes(fd: i32, domain: i32) -> Result<(), Errno> {
    if !matches!(interface(fd)?, [0, ..] | [b'l', b'o', 0, ..]) {
        set_bytes(fd, libc::SOL_SOCKET, libc::SO_BINDTODEVICE, b"")?;
    }
    // Of an IPv6 socket too, which may go to a mapped address.
    set_bytes(fd, libc::IPPROTO_IP, libc::IP_OPTIONS, b"")?;
    match domain {
        libc::AF_INET6 => set_bytes(fd, libc::IPPROTO_IPV6, libc::IPV6_RTHDR, b""),
        _ => Ok(()),
    }
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

/// Tells whether the socket `fd` is AF_UNIX, without a question that the filter of a sandbox
/// forbids: those let `sendmsg` pass where `recvmsg` brings descriptors. No socket sends the
/// message, whose data can't be read. A UNIX socket looks first at the descriptors that go along,
/// of which this is none (`EBADF`); those of other families pass them over. A closed TCP socket
/// forgets its pending error by it: `MSG_FASTOPEN`, which ends the call before that, is a flag for which
/// Firefox's sandbox ends the process.
pub fn is_unix(fd: i32) -> bool {
    /// The kernel's `cmsghdr` and one descriptor, with its padding.
    #[repr(C)]
    struct Control {
        length: usize,
        level: i32,
        kind: i32,
        descriptor: i32,
        _padding: i32,
    }
    let mut control = Control {
        length: core::mem::offset_of!(Control, _padding),
        level: libc::SOL_SOCKET,
        kind: libc::SCM_RIGHTS,
        descriptor: -1,
        _padding: 0,
    };
    // Nothing is ever mapped there.
    let mut unreadable = libc::iovec { iov_base: core::ptr::without_provenance_mut(8), iov_len: 1 };
    // SAFETY: plain data, valid as zeroes.
    let mut message: libc::msghdr = unsafe { core::mem::zeroed() };
    message.msg_iov = &raw mut unreadable;
    message.msg_iovlen = 1;
    message.msg_control = (&raw mut control).cast();
    message.msg_controllen = size_of::<Control>() as _;
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: the kernel reads the message, and finds that it can't read its data.
    let sent = Errno::check(unsafe {
        let message = &raw const message as usize;
        syscall6(libc::SYS_sendmsg, fd as usize, message, flags as usize, 0, 0, 0)
    });
    sent == Err(Errno(libc::EBADF))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;
    use crate::sys::close;

    #[test]
    fn only_what_says_that_there_is_no_socket_is_an_answer() {
        let answer = |errno| Answer::<()>::from(Err(Errno(errno)));
        assert_eq!(answer(libc::EBADF), Answer::NotASocket(Errno(libc::EBADF)));
        assert_eq!(answer(libc::ENOTSOCK), Answer::NotASocket(Errno(libc::ENOTSOCK)));
        for errno in [libc::EPERM, libc::ENOSYS, libc::EACCES, libc::ENOMEM, libc::EINVAL] {
            assert_eq!(answer(errno), Answer::Unknown(Errno(errno)));
        }
        assert_eq!(Answer::from(Ok(1)), Answer::Is(1));
    }

    #[test]
    fn unix_sockets_are_told_from_all_others_and_nothing_is_sent() {
        use libc::SOCK_STREAM;
        use libc::{AF_INET, AF_INET6, AF_NETLINK, AF_UNIX, SOCK_DGRAM, SOCK_RAW, SOCK_SEQPACKET};
        for kind in [SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET] {
            let mut pair = [0; 2];
            // SAFETY: socketpair writes two descriptors.
            assert_eq!(unsafe { libc::socketpair(AF_UNIX, kind, 0, pair.as_mut_ptr()) }, 0);
            assert!(is_unix(pair[0]) && is_unix(pair[1]));
            for fd in pair {
                assert_eq!(receive_now(fd, &mut [0]), Err(Errno(libc::EAGAIN)));
            }
            close(pair[1]).unwrap();
            assert!(is_unix(pair[0]), "without a peer");
            close(pair[0]).unwrap();
        }
        let unconnected = socket(AF_UNIX, SOCK_DGRAM, 0).unwrap();
        assert!(is_unix(unconnected));
        close(unconnected).unwrap();
        for (domain, kind) in
            [(AF_INET, SOCK_STREAM), (AF_INET6, SOCK_DGRAM), (AF_NETLINK, SOCK_RAW)]
        {
            let fd = socket(domain, kind, 0).unwrap();
            assert!(!is_unix(fd));
            close(fd).unwrap();
        }
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let datagrams = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        datagrams.connect(datagrams.local_addr().unwrap()).unwrap();
        for fd in [listener.as_raw_fd(), stream.as_raw_fd(), datagrams.as_raw_fd()] {
            assert!(!is_unix(fd));
        }
        assert_eq!(receive_now(datagrams.as_raw_fd(), &mut [0]), Err(Errno(libc::EAGAIN)));
    }
}
