//! `bind`, `listen`, `accept`, `accept4`: no connection comes in past Tor.

use core::ffi::c_int;
use core::net::SocketAddr;

use epochsocks::config::{Inbound, Settings};
use epochsocks::policy::address::encode;
use epochsocks::policy::listen::{accept_inbound, bind_address, confined_bind_address, inbound};
use epochsocks::policy::{Address, Refusal};
use epochsocks::sys::net::{self, Answer};
use epochsocks::sys::{Errno, OwnedSocket};
use libc::{sockaddr, socklen_t};

use crate::hooks::arguments::{AddressArgument, local_address, socket_kind};
use crate::log::{log, refused};
use crate::sockets::SOCKETS;
use crate::{errno, real, runtime};

/// # Safety
/// As listen(2).
pub unsafe fn listen(fd: c_int, backlog: c_int) -> c_int {
    if runtime::loaded().allow_inbound == Inbound::Loopback {
        bind_unbound(fd);
    }
    // SAFETY: the caller's contract.
    admitted(fd, "listen", inbound, || unsafe { real::listen_carrying(fd, backlog) })
}

/// # Safety
/// As bind(2).
pub unsafe fn bind(fd: c_int, address: *const sockaddr, length: socklen_t) -> c_int {
    // SAFETY: the caller's contract. What can't be copied the kernel can't read either.
    let copied = unsafe { AddressArgument::copy(address, length) };
    if let Ok(Address::Inet(local)) = copied.as_ref().map(AddressArgument::parse) {
        let is_inbound_on_loopback = runtime::loaded().allow_inbound == Inbound::Loopback;
        let loopback = if is_inbound_on_loopback { instead_of(fd, local) } else { None };
        if let Some(loopback) = loopback {
            log!(Warning, Listen, "bind to {local}: bound to {loopback}, by AllowInbound loopback");
        }
        if let Some(address) = loopback.or_else(|| confined_instead_of(fd, local)) {
            return match bind_to(fd, address) {
                Ok(()) => 0,
                Err(errno) => errno::fail(errno),
            };
        }
    }
    let (address, length) =
        copied.as_ref().map_or((address, length), |copy| (copy.as_ptr(), copy.length()));
    // SAFETY: the caller's contract, or a whole copy of what was judged.
    unsafe { real::bind_carrying(fd, address, length) }
}

/// The loopback address for `fd` in place of `local`, if it is a TCP socket that is not to have that.
fn instead_of(fd: c_int, local: SocketAddr) -> Option<SocketAddr> {
    let Answer::Is(kind) = socket_kind(fd) else { return None };
    // The kernel refuses an address of another family.
    if !kind.is_tcp() || local.is_ipv4() != (kind.domain == libc::AF_INET) {
        return None;
    }
    // SAFETY: IPV6_V6ONLY is an int.
    let only = || unsafe { net::option::<i32>(fd, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY) };
    bind_address(local, local.is_ipv6() && only() == Ok(0), runtime::loaded())
}

/// The address for `fd` in place of `local`, another one of this machine's, if the socket is bound to the
/// loopback interface: no answer of Tor's port or of the name server would come to it there.
fn confined_instead_of(fd: c_int, local: SocketAddr) -> Option<SocketAddr> {
    let every = confined_bind_address(local).filter(|_| net::is_confined(fd))?;
    // An address that is not this machine's is the kernel's to refuse.
    let probe = SocketAddr::new(local.ip().to_canonical(), 0);
    let domain = if probe.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    let socket = OwnedSocket::kept_datagram(domain).ok()?;
    let bound = bind_to(socket.fd(), probe);
    socket.close();
    bound.is_ok().then_some(every)
}

/// listen(2) would bind a socket without a port to all addresses.
fn bind_unbound(fd: c_int) {
    if let Answer::Is(Address::Inet(local)) = local_address(fd)
        && local.port() == 0
        && let Some(loopback) = instead_of(fd, local)
    {
        // Where it fails, the socket is as it was, and refused.
        let _ = bind_to(fd, loopback);
    }
}

fn bind_to(fd: c_int, address: SocketAddr) -> Result<(), Errno> {
    let (bytes, length) = encode(&address);
    net::bind(fd, bytes.get(..length).unwrap_or_default())
}

/// # Safety
/// As accept(2).
pub unsafe fn accept(fd: c_int, address: *mut sockaddr, length: *mut socklen_t) -> c_int {
    // SAFETY: the caller's contract.
    let call = || without_entry(unsafe { real::accept(fd, address, length) });
    admitted(fd, "accept", accept_inbound, call)
}

/// # Safety
/// As accept4(2).
pub unsafe fn accept4(
    fd: c_int,
    address: *mut sockaddr,
    length: *mut socklen_t,
    flags: c_int,
) -> c_int {
    // SAFETY: the caller's contract.
    let call = || without_entry(unsafe { real::accept4(fd, address, length, flags) });
    admitted(fd, "accept4", accept_inbound, call)
}

/// Removes a stale entry of `fd`, a descriptor that the kernel has just made: an entry would belong to a
/// descriptor that was closed by a raw system call.
fn without_entry(fd: c_int) -> c_int {
    SOCKETS.forget(fd);
    fd
}

/// Runs `call` if `policy` lets the socket be reached from outside. `call` fails itself for what is no
/// socket.
fn admitted(
    fd: c_int,
    name: &str,
    policy: impl FnOnce(Address, &Settings) -> Option<Refusal>,
    call: impl FnOnce() -> c_int,
) -> c_int {
    let settings = runtime::loaded();
    // Of a UNIX socket nothing is asked that the filter of a sandbox might forbid.
    if settings.allow_inbound == Inbound::All || net::is_unix(fd) {
        return call();
    }
    match local_address(fd) {
        Answer::NotASocket(_) => call(),
        Answer::Is(local) => match policy(local, settings) {
            None => call(),
            Some(refusal) => {
                refused!(Warning, Listen, "{name} refused: {refusal}");
                errno::fail(refusal.errno())
            }
        },
        Answer::Unknown(errno) => {
            refused!(
                Warning,
                Listen,
                "{name} refused: the kernel does not tell the local address: {errno}"
            );
            errno::fail(errno)
        }
    }
}
