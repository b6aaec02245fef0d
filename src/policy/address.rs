//! A program's `sockaddr` as a value.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// The largest `sockaddr` that is looked at (`sockaddr_storage`), in bytes.
pub const MAX_LENGTH: usize = 128;
/// The least length of an IPv6 address that Linux takes: RFC 2133's, without a scope id.
const MIN_V6_LENGTH: usize = 24;

/// Content of a `sockaddr`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Address {
    /// `AF_UNSPEC`: dissolve the association.
    Unspecified,
    /// An IPv4 or IPv6 address.
    Inet(SocketAddr),
    /// An inet family with too few bytes behind it.
    Short,
    /// Another family, or too short to have one.
    Other,
}

impl Address {
    /// Reads the bytes of a `sockaddr`. Never panics.
    pub fn parse(bytes: &[u8]) -> Address {
        let Some(&family) = bytes.first_chunk::<2>() else { return Address::Other };
        match i32::from(u16::from_ne_bytes(family)) {
            libc::AF_UNSPEC => Address::Unspecified,
            libc::AF_INET => parse_v4(bytes).map_or(Address::Short, Address::Inet),
            libc::AF_INET6 => parse_v6(bytes).map_or(Address::Short, Address::Inet),
            _ => Address::Other,
        }
    }
}

fn parse_v4(bytes: &[u8]) -> Option<SocketAddr> {
    let &[_, _, p, q, a, b, c, d, ..] =
        bytes.first_chunk::<{ size_of::<libc::sockaddr_in>() }>()?;
    Some(SocketAddrV4::new(Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([p, q])).into())
}

fn parse_v6(bytes: &[u8]) -> Option<SocketAddr> {
    let (head, rest) = bytes.split_first_chunk::<MIN_V6_LENGTH>()?;
    let &[_, _, p, q, a, b, c, d, ..] = head;
    let octets: [u8; 16] = *head.last_chunk()?;
    let scope = rest.first_chunk().map_or(0, |bytes| u32::from_ne_bytes(*bytes));
    let port = u16::from_be_bytes([p, q]);
    let flow = u32::from_ne_bytes([a, b, c, d]);
    Some(SocketAddrV6::new(Ipv6Addr::from(octets), port, flow, scope).into())
}

/// The loopback address by which a socket reaches this machine as it reaches `ip`: of the same family,
/// and mapped (RFC 4291, 2.5.5.2) where `ip` is.
pub fn loopback_like(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some() => {
            Ipv4Addr::LOCALHOST.to_ipv6_mapped().into()
        }
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    }
}

/// The bytes of `address` as the kernel lays them out, and how many they are.
pub fn encode(address: &SocketAddr) -> ([u8; size_of::<libc::sockaddr_in6>()], usize) {
    let mut bytes = [0; size_of::<libc::sockaddr_in6>()];
    bytes[2..4].copy_from_slice(&address.port().to_be_bytes());
    let (family, length) = match address {
        SocketAddr::V4(v4) => {
            bytes[4..8].copy_from_slice(&v4.ip().octets());
            (libc::AF_INET, size_of::<libc::sockaddr_in>())
        }
        SocketAddr::V6(v6) => {
            bytes[4..8].copy_from_slice(&v6.flowinfo().to_ne_bytes());
            bytes[8..24].copy_from_slice(&v6.ip().octets());
            bytes[24..28].copy_from_slice(&v6.scope_id().to_ne_bytes());
            (libc::AF_INET6, size_of::<libc::sockaddr_in6>())
        }
    };
    bytes[..2].copy_from_slice(&(family as u16).to_ne_bytes());
    (bytes, length)
}

/// Tells whether `ip` (or the IPv4 address mapped in it) is 127.0.0.0/8 or `::1`.
pub fn is_localhost(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

/// Tells whether `ip` (or the IPv4 address in it: mapped, compatible, of 6to4 or of NAT64) is of a network that
/// is not the Internet's: RFC 1918, 3927 and 6598, and RFC 4193, 4291, 3879 and 8215 for IPv6. No exit of Tor
/// leads there.
pub fn is_private(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            ip.is_private() || ip.is_link_local() || (a == 100 && b & 0xc0 == 0x40)
        }
        IpAddr::V6(ip) => {
            let [first, ..] = ip.segments();
            let is_local = first & 0xfe00 == 0xfc00 || first & 0xff80 == 0xfe80;
            is_local || ip.segments().starts_with(&[0x64, 0xff9b, 1]) || embeds_private(ip)
        }
    }
}

/// Tells whether an address holds a private IPv4 address to which a gateway would lead: RFC 4291, 3056 and 6052.
fn embeds_private(ip: Ipv6Addr) -> bool {
    let embedded = match ip.segments() {
        [0, 0, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => (high, low),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => (high, low),
        _ => return false,
    };
    is_private(Ipv4Addr::from_bits(u32::from(embedded.0) << 16 | u32::from(embedded.1)).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_family_without_its_bytes_is_short() {
        let (bytes, length) = encode(&"192.0.2.1:80".parse().unwrap());
        assert_eq!(Address::parse(&bytes[..length - 1]), Address::Short);
        assert_eq!(Address::parse(&bytes[..1]), Address::Other);
        let (bytes, _) = encode(&"[2001:db8::1]:80".parse().unwrap());
        assert_eq!(Address::parse(&bytes[..23]), Address::Short);
        assert!(matches!(Address::parse(&bytes[..24]), Address::Inet(_)));
    }

    #[test]
    fn mapped_loopback_is_localhost() {
        assert!(is_localhost("::ffff:127.3.2.1".parse().unwrap()));
        assert!(is_localhost("::1".parse().unwrap()));
        assert!(!is_localhost("::ffff:192.0.2.1".parse().unwrap()));
    }

    #[test]
    fn private_networks_end_where_they_end() {
        for ip in [
            "10.0.0.0",
            "10.255.255.255",
            "172.16.0.0",
            "172.31.255.255",
            "192.168.0.0",
            "169.254.169.254",
            "100.64.0.0",
            "100.127.255.255",
            "::ffff:10.1.2.3",
            "fc00::",
            "fdff::1",
            "fe80::1",
            "fec0::1",
            "::10.1.2.3",
            "2002:a01:203::1",
            "2002:c0a8:101:5::9",
            "64:ff9b::10.1.2.3",
            "64:ff9b:1::1",
        ] {
            assert!(is_private(ip.parse().unwrap()), "{ip}");
        }
        for ip in [
            "9.255.255.255",
            "11.0.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.169.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "127.0.0.1",
            "::1",
            "fbff::1",
            "fe00::1",
            "ff02::1",
            "2001:db8::1",
            "::",
            "2002:c000:201::1",
            "64:ff9b::192.0.2.1",
            "64:ff9b:2::1",
        ] {
            assert!(!is_private(ip.parse().unwrap()), "{ip}");
        }
    }

    proptest! {
        #[test]
        fn encode_and_parse_agree(address: SocketAddr) {
            let (bytes, length) = encode(&address);
            prop_assert_eq!(Address::parse(&bytes[..length]), Address::Inet(address));
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            let _ = Address::parse(&bytes);
        }
    }
}
