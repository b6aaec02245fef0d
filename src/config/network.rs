//! An IPv4 network.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr};

/// An IPv4 network of 2^24 to 1 addresses, written `127.42.42.0/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    base: Ipv4Addr,
    prefix: u8,
}

impl Network {
    /// The network of `prefix` bits, 8 to 32, that `address` lies in; the bits behind the prefix
    /// are dropped. `None` for another prefix.
    pub const fn new(address: Ipv4Addr, prefix: u8) -> Option<Network> {
        if prefix < 8 || prefix > 32 {
            return None;
        }
        let mask = u32::MAX << (32 - prefix as u32);
        Some(Network { base: Ipv4Addr::from_bits(address.to_bits() & mask), prefix })
    }

    /// The first address, with nothing but zeros behind the prefix.
    pub const fn base(&self) -> Ipv4Addr {
        self.base
    }

    /// The length of the prefix, 8 to 32 bits.
    pub const fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Tells whether `address`, or the IPv4 address mapped into it, lies in the network.
    pub fn contains(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(address) => Network::new(address, self.prefix) == Some(*self),
            IpAddr::V6(_) => false,
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contains_its_first_and_last_address_and_no_neighbour() {
        let network = Network::new(Ipv4Addr::new(127, 42, 42, 7), 24).unwrap();
        let contains = |text: &str| network.contains(text.parse().unwrap());
        assert_eq!(network.to_string(), "127.42.42.0/24");
        assert!(contains("127.42.42.0") && contains("127.42.42.255"));
        assert!(contains("::ffff:127.42.42.1"));
        assert!(!contains("127.42.41.255") && !contains("127.42.43.0") && !contains("::1"));
    }

    #[test]
    fn prefixes_are_8_to_32() {
        let address = Ipv4Addr::new(10, 1, 2, 3);
        for (prefix, is_network) in [(0, false), (7, false), (8, true), (32, true), (33, false)] {
            assert_eq!(Network::new(address, prefix).is_some(), is_network, "{prefix}");
        }
    }
}
