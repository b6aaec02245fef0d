//! `connect`: reads the arguments, asks the policy, and takes the way that it decides.

use core::ffi::{c_int, c_void};
use core::mem::transmute;
use core::net::SocketAddr;
use core::time::Duration;

use epochsocks::linkage::{self, Symbol};
use epochsocks::policy::connect::connect as decide;
use epochsocks::policy::helper::{looks_names_up, path_in};
use epochsocks::policy::socket::stays_local;
use epochsocks::policy::{Address, ConnectDecision, Refusal, SocketKind};
use epochsocks::registry::Registry;
use epochsocks::sys::Errno;
use epochsocks::sys::net::{self, Answer};
use epochsocks::tor::DialError;
use libc::{sockaddr, socklen_t};

use super::helper;
use super::tor_connect::{HostIs, Outcome, Socket, through_tor};
use crate::destinations::Destinations;
use crate::hooks::arguments::{AddressArgument, socket_kind};
use crate::hooks::data::outgoing;
use crate::log::{log, refused};
use crate::sockets::SOCKETS;
use crate::{datagrams, destination_tag, errno, exports, harmless, nameserver, real, runtime};

/// Length of a `sockaddr_in6` without its scope, the shortest that Linux takes for an IPv6 socket (RFC 2133).
const SHORTEST_INET6: socklen_t = 24;

/// # Safety
/// As connect(2).
pub unsafe fn connect(fd: c_int, address: *const sockaddr, length: socklen_t) -> c_int {
    // SAFETY: the caller's contract.
    let copied = unsafe { AddressArgument::copy(address, length) };
    if let Ok(address) = &copied
        && address.is_unix()
        && !SOCKETS.registry().contains(fd)
    {
        if looks_names_up(path_in(address.bytes())) {
            return refuse_lookup_service(address);
        }
        // It leads no socket to the network, whatever that is: the kernel is asked nothing that the
        // program's own filter might forbid.
        // SAFETY: a whole copy of the caller's address.
        let result = unsafe { real::connect_carrying(fd, address.as_ptr(), address.length()) };
        if result == 0 {
            helper::look_at(fd, address);
        }
        return result;
    }
    if let Some(result) = copied.as_ref().ok().and_then(|address| by_entry(fd, address)) {
        return result;
    }
    let kind = match socket_kind(fd) {
        Answer::Is(kind) if kind.is_inet() => kind,
        // No address leads it off the machine.
        Answer::Is(kind) if stays_local(kind.domain) => {
            // SAFETY: the caller's contract.
            return unsafe { real::connect(fd, address, length) };
        }
        // No hook has made it.
        Answer::Is(kind) => {
            let refusal = Refusal::Family(kind.domain);
            refused!(Warning, Connect, "connect refused: {refusal}");
            return errno::fail(refusal.errno());
        }
        // Of what is not a socket the kernel looks at the address first.
        Answer::NotASocket(Errno(libc::ENOTSOCK)) => {
            return errno::fail(copied.err().unwrap_or(Errno(libc::ENOTSOCK)));
        }
        Answer::NotASocket(errno) | Answer::Unknown(errno) => return errno::fail(errno),
    };
    let address = match copied {
        Ok(address) => address,
        Err(errno) => return errno::fail(errno),
    };
    let decision = decide(kind, address.parse(), &Destinations, runtime::loaded());
    match decision {
        // An address without a family is EINVAL in any state of the socket.
        ConnectDecision::Libc => match address.has_family().then(|| SOCKETS.occupied(fd)).flatten()
        {
            // SAFETY: a whole copy of the caller's address.
            None => unsafe {
                let result = real::connect_carrying(fd, address.as_ptr(), address.length());
                if kind.is_tcp() && (result == 0 || errno::get() == libc::EINPROGRESS) {
                    harmless::insert(fd);
                }
                if result == 0 && datagrams::is_known(fd) {
                    nameserver::let_go(fd);
                }
                if result != 0 && errno::get() == libc::EACCES && net::secret().is_some() {
                    tell_of_backstop(&address);
                }
                if result != 0 && kind.is_tcp() {
                    look_for_tor(fd, &address);
                }
                result
            },
            Some(errno) => errno::fail(errno),
        },
        ConnectDecision::Dissolve => dissolve(fd, &address),
        ConnectDecision::NameServer(server) => to_name_server(fd, kind, server),
        // Linux looks at the length first.
        ConnectDecision::Refuse(Refusal::AddressFamily)
            if kind.domain == libc::AF_INET6 && address.length() < SHORTEST_INET6 =>
        {
            errno::fail(Errno(libc::EINVAL))
        }
        ConnectDecision::Refuse(refusal) => refuse(&address, refusal),
        ConnectDecision::ThroughTor(_) | ConnectDecision::ThroughTorByCookie(_) => {
            let socket = Socket { fd, domain: kind.domain, is_claimed: false };
            by_tor(socket, &address, decision).unwrap_or_else(|| errno::fail(Errno(libc::EBADF)))
        }
    }
}

/// Connects a descriptor that has an entry through Tor, if that is where it goes as the TCP socket that
/// the entry is of. `None` where the kernel has to be asked what the descriptor is.
fn by_entry(fd: c_int, address: &AddressArgument) -> Option<c_int> {
    let Address::Inet(destination) = address.parse() else { return None };
    if !SOCKETS.registry().contains(fd) {
        return None;
    }
    let domain = if destination.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    let kind = SocketKind { domain, kind: libc::SOCK_STREAM, protocol: libc::IPPROTO_TCP };
    let decision = decide(kind, Address::Inet(destination), &Destinations, runtime::loaded());
    by_tor(Socket { fd, domain, is_claimed: true }, address, decision)
}

/// Connects `socket` through Tor if that is the decision; `None` if it is another one, or the socket is not
/// what was claimed.
fn by_tor(socket: Socket, address: &AddressArgument, decision: ConnectDecision) -> Option<c_int> {
    let (destination, host) = match decision {
        ConnectDecision::ThroughTor(destination) => (destination, HostIs::OfAddress),
        ConnectDecision::ThroughTorByCookie(destination) => (destination, HostIs::BehindCookie),
        _ => return None,
    };
    match through_tor(socket, destination, host) {
        Outcome::Done(result) => Some(result),
        Outcome::UnknownCookie => Some(refuse(address, Refusal::UnknownCookie)),
        Outcome::NotAsClaimed => None,
    }
}

/// In a frame of its own, as some stacks are small.
#[inline(never)]
fn to_name_server(fd: c_int, kind: SocketKind, server: SocketAddr) -> c_int {
    let connected = match SOCKETS.occupied(fd) {
        Some(errno) if kind.is_tcp() => Err(errno),
        None if kind.is_tcp() => nameserver::connect_stream(fd, kind.domain, server),
        _ => nameserver::connect(fd, kind.domain, server),
    };
    match connected {
        Ok(()) => 0,
        Err(errno) => errno::fail(errno),
    }
}

/// Serves as libc's `connect` for a library behind the hooks, which a hook may have called: it is
/// libc's own where that hook leaves the call to libc, and the hook where that would go through Tor
/// or refuse.
///
/// # Safety
/// As connect(2).
pub unsafe extern "C" fn connect_behind(
    fd: c_int,
    address: *const sockaddr,
    length: socklen_t,
) -> c_int {
    type Function = unsafe extern "C" fn(c_int, *const sockaddr, socklen_t) -> c_int;
    // SAFETY: the caller's contract.
    let Ok(copied) = (unsafe { AddressArgument::copy(address, length) }) else {
        return errno::fail(Errno(libc::EFAULT));
    };
    let is_libcs = match socket_kind(fd) {
        _ if copied.is_unix() => true,
        Answer::Is(kind) => matches!(
            decide(kind, copied.parse(), &Destinations, runtime::loaded()),
            ConnectDecision::Libc | ConnectDecision::Dissolve
        ),
        Answer::NotASocket(errno) | Answer::Unknown(errno) => return errno::fail(errno),
    };
    if !is_libcs {
        // SAFETY: the caller's contract.
        return unsafe { exports::connect(fd, address, length) };
    }
    match linkage::in_libc(const { Symbol::new(c"connect") }) {
        // SAFETY: libc's function; a whole copy of the caller's address.
        Some(next) => unsafe {
            transmute::<*mut c_void, Function>(next)(fd, copied.as_ptr(), copied.length())
        },
        None => errno::fail(Errno(libc::ENOSYS)),
    }
}

/// Says why the kernel refuses an address that the settings permit: Landlock lets what a launch starts reach
/// what the settings at its beginning permit, and they have changed since.
#[cold]
#[inline(never)]
fn tell_of_backstop(address: &AddressArgument) {
    if let Address::Inet(destination) = address.parse() {
        refused!(
            Warning,
            Connect,
            "connect to {destination} refused by the kernel: what the backstop lets through is set where \
             the launch begins"
        );
    }
}

/// Says that Tor's port, to which the program connects by itself, has refused the connection. A port of this
/// machine has done so before a connect comes back that does not wait.
#[cold]
#[inline(never)]
fn look_for_tor(fd: c_int, address: &AddressArgument) {
    let Address::Inet(tor) = address.parse() else { return };
    let is_tor = runtime::loaded().is_tor(tor);
    let has_failed =
        || net::poll(fd, 0, Duration::ZERO).is_ok_and(|ready| ready & libc::POLLERR != 0);
    let is_refused = match errno::get() {
        libc::ECONNREFUSED => is_tor,
        libc::EINPROGRESS => is_tor && has_failed(),
        _ => false,
    };
    if is_refused {
        let error = DialError::Connect(Errno(libc::ECONNREFUSED));
        log!(Error, Proxy, "can't reach the Tor port {tor}: {error}");
    }
}

/// As [`to_name_server`], a frame of its own.
#[cold]
#[inline(never)]
fn refuse(address: &AddressArgument, refusal: Refusal) -> c_int {
    match address.parse() {
        Address::Inet(destination) if refusal == Refusal::NotAStream => {
            outgoing::refuse(destination, refusal);
        }
        Address::Inet(destination) => {
            refused!(Warning, Connect, "connect to {destination} refused: {refusal}");
        }
        _ => refused!(Warning, Connect, "connect refused: {refusal}"),
    }
    errno::fail(refusal.errno())
}

/// As [`to_name_server`], a frame of its own.
#[cold]
#[inline(never)]
fn refuse_lookup_service(address: &AddressArgument) -> c_int {
    let (path, refusal) = (path_in(address.bytes()), Refusal::LookupService);
    refused!(Warning, Connect, "connect to {} refused: {refusal}", path.escape_ascii());
    errno::fail(refusal.errno())
}

/// `AF_UNSPEC`: the kernel lets go of the peer, and so do we, on every duplicate.
#[inline(never)]
fn dissolve(fd: c_int, address: &AddressArgument) -> c_int {
    SOCKETS.cancel(fd);
    let _ = SOCKETS.take_error(fd);
    // SAFETY: a whole copy of the caller's address.
    let result = unsafe { real::connect_carrying(fd, address.as_ptr(), address.length()) };
    if result == 0 {
        if datagrams::is_known(fd) {
            nameserver::let_go(fd);
        }
        // Of its duplicates some may be among them.
        SOCKETS.entries().1.chain([fd]).for_each(harmless::remove);
        destination_tag::forget(fd);
        if let Err(errno) = SOCKETS.dissolve(fd) {
            return errno::fail(errno);
        }
    }
    result
}
