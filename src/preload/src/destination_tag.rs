//! Destinations of connected sockets, told when one is about to reach another program, asked when one has
//! come from elsewhere. See [`epochsocks::launch_store::destinations`].

use core::net::{IpAddr, SocketAddr};

use epochsocks::launch_store::destinations::{ConnectionId, DestinationTag};
use epochsocks::policy::Address;
use epochsocks::policy::address::MAX_LENGTH;
use epochsocks::registry::Registry;
use epochsocks::resolver::onion_pool::Lookup;
use epochsocks::sockets::Connection;
use epochsocks::sys::{self, Errno, net};

use crate::sockets::SOCKETS;
use crate::{launch, runtime};

/// Tells where `fd` leads, if it is connected through Tor. Async-signal-safe.
#[inline(never)] // As for `forget`.
pub fn tell(fd: i32) {
    let look = SOCKETS.registry().borrow(fd, |record| (record.connection().copied(), record.id()));
    let Some((Some(connection), socket)) = look else { return };
    let destination = Connection::destination(&connection);
    let Some(connection) = connection_id(fd).filter(|id| id.cookie == socket.0) else {
        // Closed by a raw system call; the number belongs to another file.
        return;
    };
    launch::share();
    if let Some(store) = launch::store() {
        let tag = DestinationTag { destination, name: launch::name_behind(destination) };
        // Without it the socket goes as one of which nothing is known.
        let _ = store.tag(connection, &tag);
    }
}

/// Tells where every connected socket leads that a program which is executed would inherit, and what
/// it may ask for else. Async-signal-safe.
pub fn tell_inheritable() {
    launch::share();
    SOCKETS.entries().1.filter(|fd| sys::is_close_on_exec(*fd) == Ok(false)).for_each(tell);
}

/// Forgets where `fd` led: it has lost its peer. Async-signal-safe.
#[inline(never)] // Its buffers are not on the stack of every connect.
pub fn forget(fd: i32) {
    if let (Some(store), Ok(cookie)) = (launch::store(), net::cookie(fd)) {
        store.untag(cookie);
    }
}

/// Destination of `fd`, which another program has connected: what that program has told, if the
/// kernel's peer is the Tor port. Async-signal-safe.
fn ask(fd: i32) -> Option<SocketAddr> {
    if !is_connected_to_tor(fd) {
        return None;
    }
    let DestinationTag { mut destination, name } = launch::store()?.tag_of(connection_id(fd)?)?;
    let range = runtime::cookie_range();
    let Some(name) = name else {
        // What is a cookie address here stands for another name.
        let is_ordinary = launch::lookup(destination.ip()) == Lookup::Ordinary;
        return is_ordinary.then_some(destination);
    };
    let cookie = launch::cookie(name.as_bytes()).ok()?;
    destination.set_ip(match destination.ip() {
        IpAddr::V4(_) => range.ipv4(cookie).into(),
        IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some() => {
            range.ipv4(cookie).to_ipv6_mapped().into()
        }
        IpAddr::V6(_) => range.ipv6(cookie).into(),
    });
    Some(destination)
}

/// Gives `fd`, which another program has connected, a record that says where it leads, if that is
/// known. Async-signal-safe.
#[inline(never)] // As for `forget`.
pub fn adopt(fd: i32) -> Option<SocketAddr> {
    let destination = ask(fd)?;
    keep_on_loopback(fd);
    SOCKETS.connected(fd, Connection::to(destination));
    Some(destination)
}

fn connection_id(fd: i32) -> Option<ConnectionId> {
    let mut bytes = [0; MAX_LENGTH];
    let length = net::local_address(fd, &mut bytes).ok()?;
    match Address::parse(bytes.get(..length)?) {
        Address::Inet(local) => {
            Some(ConnectionId { cookie: net::cookie(fd).ok()?, port: local.port() })
        }
        _ => None,
    }
}

/// Tells whether the kernel's peer of `fd`, which another program has connected, is the Tor port;
/// then the socket stays on this machine. Async-signal-safe.
pub fn leads_to_tor(fd: i32) -> bool {
    let is_connected = is_connected_to_tor(fd);
    if is_connected {
        keep_on_loopback(fd);
    }
    is_connected
}

/// Binds a socket to the loopback interface, over which it reaches Tor: a program that has kept it may
/// connect it elsewhere later, and what is written here would leave the machine. Without the
/// privilege to (CAP_NET_RAW) no program can undo that. Does nothing where Tor is on another machine,
/// and before Linux 5.7 without that privilege.
fn keep_on_loopback(fd: i32) {
    if runtime::loaded().tor_address.is_loopback() {
        let _: Result<(), Errno> =
            net::set_option(fd, libc::SOL_SOCKET, libc::SO_BINDTODEVICE, b"lo\0");
    }
}

fn is_connected_to_tor(fd: i32) -> bool {
    let settings = runtime::loaded();
    let mut bytes = [0; MAX_LENGTH];
    let peer = net::peer_address(fd, &mut bytes)
        .ok()
        .and_then(|length| bytes.get(..length))
        .map(Address::parse);
    match peer {
        Some(Address::Inet(peer)) => {
            peer.ip().to_canonical() == settings.tor_address && peer.port() == settings.tor_port
        }
        _ => false,
    }
}
