//! The networks that cookie addresses come from.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The IPv6 twins of the cookie addresses start here: the discard-only block of RFC 6666, in which
/// nothing can live, so that no service is shadowed and a packet that strayed there would be
/// dropped.
const FIRST_IPV6: u128 = 0x0100_u128 << 112;

/// A name's place in its pool. It stands for one IPv4 and one IPv6 address of the range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cookie(pub u32);

/// An IPv4 network whose addresses stand for names (`OnionAddrRange`), and as many addresses of
/// `100::/64` (RFC 6666) for programs that ask for IPv6 alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CookieRange {
    first: u32,
    capacity: u32,
}

impl CookieRange {
    /// torsocks' `127.42.42.0/24`: 254 names.
    pub const DEFAULT: CookieRange = CookieRange::new(Ipv4Addr::new(127, 42, 42, 0), 24);

    /// The addresses of `base`/`prefix` but for the network's and the broadcast address, which a
    /// `/31` and a `/32` do not have. Bits of `base` behind the prefix are ignored; a prefix
    /// shorter than 8 counts as 8, one longer than 32 as 32.
    pub const fn new(base: Ipv4Addr, prefix: u8) -> Self {
        let prefix = match prefix {
            0..8 => 8,
            8..=32 => prefix as u32,
            _ => 32,
        };
        let size = 1_u32 << (32 - prefix);
        let network = base.to_bits() & !(size - 1);
        if size > 2 {
            CookieRange { first: network + 1, capacity: size - 2 }
        } else {
            CookieRange { first: network, capacity: size }
        }
    }

    /// Number of names that the range has addresses for: 1 to 2^24 - 2.
    pub const fn capacity(self) -> u32 {
        self.capacity
    }

    /// The IPv4 address of `cookie`, which is below the capacity.
    pub const fn ipv4(self, cookie: Cookie) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.first.wrapping_add(cookie.0))
    }

    /// The IPv6 address of `cookie`, which is below the capacity.
    pub const fn ipv6(self, cookie: Cookie) -> Ipv6Addr {
        // From 1: `100::` itself is the network's.
        Ipv6Addr::from_bits(FIRST_IPV6 + 1 + cookie.0 as u128)
    }

    /// The cookie that `address` would be, whether or not it was ever handed out. IPv4-mapped
    /// addresses count as IPv4.
    pub fn cookie(self, address: IpAddr) -> Option<Cookie> {
        let index = match address.to_canonical() {
            IpAddr::V4(address) => address.to_bits().checked_sub(self.first)?,
            IpAddr::V6(address) => {
                address.to_bits().checked_sub(FIRST_IPV6 + 1)?.try_into().ok()?
            }
        };
        (index < self.capacity).then_some(Cookie(index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_network_and_broadcast_addresses_are_no_cookies() {
        let range = CookieRange::DEFAULT;
        assert_eq!(range.capacity(), 254);
        assert_eq!(range.ipv4(Cookie(0)), Ipv4Addr::new(127, 42, 42, 1));
        assert_eq!(range.ipv4(Cookie(253)), Ipv4Addr::new(127, 42, 42, 254));
        for last in [0, 255] {
            assert_eq!(range.cookie(Ipv4Addr::new(127, 42, 42, last).into()), None);
        }
    }

    #[test]
    fn both_families_lead_back_to_the_cookie() {
        for range in [
            CookieRange::DEFAULT,
            CookieRange::new(Ipv4Addr::new(10, 1, 2, 3), 8),
            CookieRange::new(Ipv4Addr::new(255, 255, 255, 255), 32),
            CookieRange::new(Ipv4Addr::new(255, 255, 255, 255), 31),
            CookieRange::new(Ipv4Addr::UNSPECIFIED, 0),
        ] {
            for index in [0, range.capacity() / 2, range.capacity() - 1] {
                let cookie = Cookie(index);
                assert_eq!(range.cookie(range.ipv4(cookie).into()), Some(cookie));
                assert_eq!(range.cookie(range.ipv4(cookie).to_ipv6_mapped().into()), Some(cookie));
                assert_eq!(range.cookie(range.ipv6(cookie).into()), Some(cookie));
            }
        }
    }

    #[test]
    fn addresses_outside_are_no_cookies() {
        let range = CookieRange::DEFAULT;
        for address in ["127.0.0.1", "127.42.43.1", "0.0.0.0", "::1", "::", "100::", "100::ff"] {
            assert_eq!(range.cookie(address.parse().unwrap()), None, "{address}");
        }
    }
}
