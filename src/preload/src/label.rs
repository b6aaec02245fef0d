//! The labels of connected sockets: written where a socket is about to reach another program, read
//! where one has come from elsewhere. See [`epochsocks::label`].

use core::net::{IpAddr, SocketAddr};

use epochsocks::label::{HEADER, Label, WHOLE, slot_of};
use epochsocks::policy::Address;
use epochsocks::policy::address::MAX_LENGTH;
use epochsocks::registry::Registry;
use epochsocks::resolver::onion_pool::Lookup;
use epochsocks::sockets::Connection;
use epochsocks::sys::{self, Locked, net};

use crate::runtime;
use crate::sockets::SOCKETS;

/// Labels `fd` if it is connected through Tor. What a program has locked itself stays as it is; then
/// the socket has no label, as on a kernel that refuses the locks. Async-signal-safe.
pub fn write(fd: i32) {
    let look = SOCKETS.registry().borrow(fd, |record| (record.connection().copied(), record.id()));
    let Some((Some(Connection { destination }), id)) = look else { return };
    if net::cookie(fd) != Ok(id.0) {
        // Closed behind our back, and another file by now.
        return;
    }
    let label = Label { destination, name: runtime::name_behind(destination) };
    match look_for(fd) {
        Some(found) if found == label => return,
        Some(_) => remove(fd),
        // None yet, or another thread is at it: what it has finished meanwhile must stay.
        None => {}
    }
    // Another thread's locks are the same.
    let is_vacant = |lock: i64| {
        let (start, length) = slot_of(lock);
        let found = sys::first_lock(fd, start, length);
        found == Locked::Nothing || found == Locked::Byte(lock)
    };
    if label.locks().all(is_vacant) {
        // The header is the last, and without it there is no label.
        let _ = label.locks().try_for_each(|lock| sys::lock(fd, lock));
    }
}

/// Labels every connected socket that a program which is executed would inherit.
/// Async-signal-safe.
pub fn write_inheritable() {
    SOCKETS.entries().1.filter(|fd| sys::is_close_on_exec(*fd) == Ok(false)).for_each(write);
}

/// Takes the label off, if there is one: the socket has lost its peer. Async-signal-safe.
pub fn remove(fd: i32) {
    let (start, length) = HEADER;
    if let Locked::Byte(header) = sys::first_lock(fd, start, length)
        && Label::begins_at(header)
    {
        let (start, length) = WHOLE;
        let _ = sys::unlock(fd, start, length);
    }
}

/// Where `fd`, which another program has connected, leads: what its label says, if the kernel's peer
/// is the Tor port. Async-signal-safe.
pub fn read(fd: i32) -> Option<SocketAddr> {
    if !is_connected_to_tor(fd) {
        return None;
    }
    let Label { mut destination, name } = look_for(fd)?;
    let range = runtime::cookie_range();
    let Some(name) = name else {
        // What is a cookie address here stands for another name.
        let is_ordinary = runtime::ONION_POOL.lookup(range, destination.ip()) == Lookup::Ordinary;
        return is_ordinary.then_some(destination);
    };
    let cookie = runtime::ONION_POOL.cookie(range, name.as_bytes()).ok()?;
    destination.set_ip(match destination.ip() {
        IpAddr::V4(_) => range.ipv4(cookie).into(),
        IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some() => {
            range.ipv4(cookie).to_ipv6_mapped().into()
        }
        IpAddr::V6(_) => range.ipv6(cookie).into(),
    });
    Some(destination)
}

/// As [`read`], and gives `fd` a record that says so. Async-signal-safe.
pub fn adopt(fd: i32) -> Option<SocketAddr> {
    let destination = read(fd)?;
    SOCKETS.connected(fd, Connection { destination });
    Some(destination)
}

fn look_for(fd: i32) -> Option<Label> {
    Label::read(|start, length| match sys::first_lock(fd, start, length) {
        Locked::Byte(lock) => Some(lock),
        Locked::Nothing | Locked::Other => None,
    })
}

/// Whether the kernel's peer of `fd` is the Tor port. Async-signal-safe.
pub fn is_connected_to_tor(fd: i32) -> bool {
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
