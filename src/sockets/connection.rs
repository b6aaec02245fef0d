//! Destination of a torified socket.

use core::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use crate::socks5::Isolation;

/// Destination of a torified socket. Immutable once it is visible (guarantee A). Its layout is C's: the
/// live view reads it in another process's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Connection {
    /// The address; an IPv4 one has the first four bytes.
    address: [u8; 16],
    flow: u32,
    scope: u32,
    port: u16,
    /// 4 or 6.
    version: u8,
    isolation: u8,
    _padding: u32,
    /// Time at which the connect began, in nanoseconds since boot; 0 where that is not known.
    began: u64,
}

impl Connection {
    /// A connection to `destination`, the address that the program asked for (a cookie address for an
    /// onion name), of which nothing else is known: another process has made it.
    pub const fn to(destination: SocketAddr) -> Connection {
        Connection::new(destination, 0, Isolation::Unknown)
    }

    /// A connection to `destination` whose connect began at `began`, in nanoseconds since boot.
    pub const fn new(destination: SocketAddr, began: u64, isolation: Isolation) -> Connection {
        let (address, version, flow, scope) = match destination {
            SocketAddr::V4(v4) => {
                let [a, b, c, d] = v4.ip().octets();
                ([a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 4, 0, 0)
            }
            SocketAddr::V6(v6) => (v6.ip().octets(), 6, v6.flowinfo(), v6.scope_id()),
        };
        let isolation = isolation as u8;
        let port = destination.port();
        Connection { address, flow, scope, port, version, isolation, _padding: 0, began }
    }

    /// The answer of `getpeername`.
    pub fn destination(&self) -> SocketAddr {
        self.ipv4().map_or_else(
            || {
                let ip = Ipv6Addr::from(self.address);
                SocketAddrV6::new(ip, self.port, self.flow, self.scope).into()
            },
            SocketAddr::V4,
        )
    }

    /// The answer of `getpeername`, if it is an IPv4 address.
    pub fn ipv4(&self) -> Option<SocketAddrV4> {
        let [a, b, c, d, ..] = self.address;
        (self.version == 4).then(|| SocketAddrV4::new(Ipv4Addr::new(a, b, c, d), self.port))
    }

    /// Time at which its connect began, in nanoseconds since boot, if that is known.
    pub fn began(&self) -> Option<u64> {
        Some(self.began).filter(|began| *began != 0)
    }

    /// With which other connections it shares circuits.
    pub fn isolation(&self) -> Isolation {
        Isolation::numbered(self.isolation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_is_told_as_it_was_given() {
        for text in ["192.0.2.1:80", "[2001:db8::1]:65535", "[::ffff:192.0.2.1]:1", "[fe80::1%7]:9"]
        {
            let destination: SocketAddr = text.parse().unwrap();
            let connection = Connection::new(destination, 7, Isolation::Key);
            assert_eq!(connection.destination(), destination);
            assert_eq!((connection.began(), connection.isolation()), (Some(7), Isolation::Key));
            assert_eq!(Connection::to(destination).began(), None);
        }
    }
}
