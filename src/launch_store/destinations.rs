//! Destination of a connected socket: an entry that is written where the socket is about to reach
//! another program, and read where one has come from elsewhere.
//!
//! The socket carries nothing. The kernel gives each its `SO_COOKIE`, which it never gives twice, and
//! tells a process that holds the socket; where that one leads is written behind the cookie. There are so
//! many entries, and the newest one stays: a program may pass sockets on for ever.

use core::fmt::Write;
use core::net::SocketAddr;

use super::names::EntryName;
use super::store::{self, Store, Text};
use crate::socks5::Name;

/// As many sockets as are remembered, at most.
const ENTRIES: u64 = 1 << 12;

/// One connection of one socket: connected once more, it has another local port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionId {
    /// The socket's `SO_COOKIE`.
    pub cookie: u64,
    /// The local port.
    pub port: u16,
}

/// Record of a connection for other programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DestinationTag {
    /// Answer of `getpeername` in the process that connected the socket.
    pub destination: SocketAddr,
    /// The name that this is a cookie address for. The address is one of the sender's range.
    pub name: Option<Name>,
}

impl Store {
    /// Tells where `connection` leads. Errors: as for [`Store::make`].
    pub fn tag(
        self,
        connection: ConnectionId,
        tag: &DestinationTag,
    ) -> Result<(), crate::sys::Errno> {
        if self.own_tag_of(connection).as_ref() != Some(tag) {
            self.write(connection, tag)?;
        }
        self.hold();
        Ok(())
    }

    /// In a frame of its own, as some stacks are small.
    #[inline(never)]
    fn write(
        self,
        connection: ConnectionId,
        tag: &DestinationTag,
    ) -> Result<(), crate::sys::Errno> {
        let text = compose(connection, tag);
        self.replace(entry_name(connection.cookie).as_str(), text.as_slice())
    }

    /// Destination of `connection`, if a process of the launch has told that, or of another launch of
    /// the user's.
    pub fn tag_of(self, connection: ConnectionId) -> Option<DestinationTag> {
        let mut tag = self.own_tag_of(connection);
        if tag.is_none() {
            store::each(|other| tag = tag.or_else(|| other.own_tag_of(connection)));
        }
        tag
    }

    #[inline(never)]
    fn own_tag_of(self, connection: ConnectionId) -> Option<DestinationTag> {
        let meant = |text: &[u8]| parse(text).filter(|(id, _)| *id == connection);
        let found = self.look_at(entry_name(connection.cookie).as_str(), meant).flatten();
        found.map(|(_, tag)| tag)
    }

    /// Forgets where the socket `cookie` leads: it has lost its peer.
    pub fn untag(self, cookie: u64) {
        let is_meant = |text: &[u8]| parse(text).is_some_and(|(id, _)| id.cookie == cookie);
        self.remove_if(entry_name(cookie).as_str(), is_meant);
    }
}

fn entry_name(cookie: u64) -> EntryName {
    EntryName::new('s', (cookie % ENTRIES) as u32)
}

/// `COOKIE PORT ADDRESS:PORT`, and a name behind it if there is one.
fn compose(ConnectionId { cookie, port }: ConnectionId, tag: &DestinationTag) -> Text {
    let mut text = Text::EMPTY;
    // Four hundred bytes at most.
    let _ = write!(text, "{cookie:x} {port} {}", tag.destination);
    if let Some(name) = &tag.name {
        let _ = text.extend(b" ") && text.extend(name.as_bytes());
    }
    text
}

fn parse(text: &[u8]) -> Option<(ConnectionId, DestinationTag)> {
    let mut parts = text.splitn(4, |byte| *byte == b' ');
    let mut word = || core::str::from_utf8(parts.next()?).ok();
    let cookie = u64::from_str_radix(word()?, 16).ok()?;
    let port = word()?.parse().ok()?;
    let destination = word()?.parse().ok()?;
    let name = match parts.next() {
        None => None,
        Some(name) => Some(Name::new(name).ok()?),
    };
    Some((ConnectionId { cookie, port }, DestinationTag { destination, name }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::launch_store::tests::Scratch;
    use proptest::prelude::*;

    const CONNECTION: ConnectionId = ConnectionId { cookie: 7, port: 40_000 };

    fn tag(destination: &str, name: Option<&[u8]>) -> DestinationTag {
        let name = name.map(|name| Name::new(name).unwrap());
        DestinationTag { destination: destination.parse().unwrap(), name }
    }

    #[test]
    fn a_tag_is_read_as_it_was_written() {
        let scratch = Scratch::new();
        let store = scratch.store();
        for tag in [
            tag("192.0.2.1:80", None),
            tag("[2001:db8::1]:65535", None),
            tag("[fe80::1%7]:1", None),
            tag("127.42.42.9:443", Some(b"example.onion")),
            tag("[100::1]:443", Some(&[b'a'; 255])),
        ] {
            store.tag(CONNECTION, &tag).unwrap();
            assert_eq!(store.own_tag_of(CONNECTION), Some(tag));
        }
    }

    #[test]
    fn another_socket_and_another_connection_of_the_same_one_have_no_tag() {
        let scratch = Scratch::new();
        let store = scratch.store();
        store.tag(CONNECTION, &tag("192.0.2.1:80", None)).unwrap();
        let next = CONNECTION.cookie + ENTRIES;
        assert_eq!(store.own_tag_of(ConnectionId { cookie: next, ..CONNECTION }), None);
        assert_eq!(store.own_tag_of(ConnectionId { port: 1, ..CONNECTION }), None);
        store.untag(next);
        assert!(store.own_tag_of(CONNECTION).is_some());
        store.untag(CONNECTION.cookie);
        assert_eq!(store.own_tag_of(CONNECTION), None);
    }

    #[test]
    fn a_tag_of_another_launch_is_found() {
        let (one, other) = (Scratch::new(), Scratch::new());
        // A cookie that no other test has.
        let connection = ConnectionId { cookie: u64::from(std::process::id()) << 32, port: 9 };
        one.store().tag(connection, &tag("192.0.2.1:80", None)).unwrap();
        assert_eq!(other.store().tag_of(connection), Some(tag("192.0.2.1:80", None)));
    }

    #[test]
    fn the_newest_of_many_sockets_are_remembered_in_so_many_entries() {
        let scratch = Scratch::new();
        let store = scratch.store();
        let tag = tag("192.0.2.1:80", None);
        for cookie in 1..=ENTRIES + 100 {
            store.tag(ConnectionId { cookie, port: 1 }, &tag).unwrap();
        }
        assert_eq!(scratch.entries(), ENTRIES as usize);
        let found = |cookie| store.own_tag_of(ConnectionId { cookie, port: 1 }).is_some();
        assert!((101..=ENTRIES + 100).all(found) && !(1..=100).any(found));
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text: Vec<u8>) {
            let _ = parse(&text);
        }

        #[test]
        fn any_tag_is_read_as_it_was_composed(
            cookie: u64,
            port: u16,
            destination: SocketAddr,
            name in prop::option::of(prop::collection::vec(1_u8.., 1..255)),
        ) {
            // One trailing dot is taken off each time: of names with several, none is as it was.
            let name = name.filter(|name| !name.ends_with(b".."));
            let name = name.and_then(|name| Name::new(&name).ok());
            // The flow label, which no text shows, is not part of where a connection leads.
            let destination = match destination {
                SocketAddr::V6(mut address) => {
                    address.set_flowinfo(0);
                    address.into()
                }
                destination => destination,
            };
            let (id, tag) = (ConnectionId { cookie, port }, DestinationTag { destination, name });
            prop_assert_eq!(parse(compose(id, &tag).as_slice()), Some((id, tag)));
        }
    }
}
