//! Destinations that a program may reach without Tor: the value of `AllowDirect`.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::str::FromStr;

use crate::bytes::Bytes;

/// The shortest prefixes of a network, in bits: an IPv4 one's is that of 10.0.0.0/8, an IPv6 one's
/// that of fc00::/7.
const SHORTEST_V4: u32 = 8;
const SHORTEST_V6: u32 = 7;

/// Networks and names, separated by commas or space, each perhaps with a port: `192.168.1.0/24`,
/// `127.0.0.1:5432`, `[fd00::/8]:80`, `nas.lan`, `.lan:445`. 1 to 511 bytes that were checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Direct(Bytes<511>);

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item<'d> {
    /// The hosts that are meant.
    pub hosts: Hosts<'d>,
    /// Those of their ports that are meant; all, if `None`.
    pub port: Option<u16>,
}

/// The hosts that an item means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hosts<'d> {
    /// The addresses whose first bits are this one's.
    Network(IpAddr, u32),
    /// One name.
    Name(&'d [u8]),
    /// All names below this one.
    Below(&'d [u8]),
}

impl Direct {
    /// Takes `text`, in which each item must be understood.
    pub fn new(text: &[u8]) -> Option<Direct> {
        let mut parts = parts(text).peekable();
        parts.peek()?;
        let is_good = parts.all(|part| item(part).is_some());
        if is_good { Bytes::new(text).map(Direct) } else { None }
    }

    /// The text as it was given.
    pub fn as_slice(&self) -> &[u8] {
        self.0.as_slice()
    }

    /// The items.
    pub fn items(&self) -> impl Iterator<Item = Item<'_>> {
        parts(self.as_slice()).filter_map(item)
    }

    /// Tells whether a network of the list has `address` in it.
    pub fn has_address(&self, address: SocketAddr) -> bool {
        self.items().any(|item| item.has_port(address.port()) && item.hosts.contains(address.ip()))
    }

    /// Tells whether a network of the list has `ip` in it, at some port.
    pub fn has_ip(&self, ip: IpAddr) -> bool {
        self.items().any(|item| item.hosts.contains(ip))
    }

    /// Tells whether the list has an item that is not a network: then the machine's hosts file is
    /// looked at.
    pub fn has_names(&self) -> bool {
        self.items().any(|item| !matches!(item.hosts, Hosts::Network(..)))
    }

    /// Tells whether the list has `name`, at `port` if one is given.
    pub fn has_name(&self, name: &[u8], port: Option<u16>) -> bool {
        let has_port = |item: &Item<'_>| port.is_none_or(|port| item.has_port(port));
        self.items().any(|item| has_port(&item) && item.hosts.is_name(name))
    }
}

impl fmt::Display for Direct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Item<'_> {
    fn has_port(&self, port: u16) -> bool {
        self.port.is_none_or(|own| own == port)
    }
}

impl Hosts<'_> {
    fn contains(self, address: IpAddr) -> bool {
        let Hosts::Network(base, prefix) = self else { return false };
        match (base, address.to_canonical()) {
            (IpAddr::V4(base), IpAddr::V4(address)) => {
                (base.to_bits() ^ address.to_bits()).leading_zeros() >= prefix
            }
            (IpAddr::V6(base), IpAddr::V6(address)) => {
                (base.to_bits() ^ address.to_bits()).leading_zeros() >= prefix
            }
            _ => false,
        }
    }

    /// Tells whether `name` is meant, as a name.
    pub fn is_name(self, name: &[u8]) -> bool {
        match self {
            Hosts::Network(..) => false,
            Hosts::Name(own) => own.eq_ignore_ascii_case(name),
            Hosts::Below(domain) => name
                .len()
                .checked_sub(domain.len())
                .and_then(|start| name.split_at_checked(start))
                .is_some_and(|(label, tail)| {
                    label.len() > 1 && label.ends_with(b".") && tail.eq_ignore_ascii_case(domain)
                }),
        }
    }
}

fn parts(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| byte.is_ascii_whitespace() || *byte == b',').filter(|part| !part.is_empty())
}

fn item(text: &[u8]) -> Option<Item<'_>> {
    if let Some(rest) = text.strip_prefix(b"[") {
        let end = rest.iter().position(|byte| *byte == b']')?;
        let (inside, behind) = (rest.get(..end)?, rest.get(end + 1..)?);
        let port = if behind.is_empty() { None } else { Some(port(behind.strip_prefix(b":")?)?) };
        return Some(Item { hosts: network::<Ipv6Addr>(inside, 128, SHORTEST_V6)?, port });
    }
    if text.iter().filter(|byte| **byte == b':').count() > 1 {
        return Some(Item { hosts: network::<Ipv6Addr>(text, 128, SHORTEST_V6)?, port: None });
    }
    let mut halves = text.splitn(2, |byte| *byte == b':');
    let host = halves.next()?;
    let port = match halves.next() {
        Some(digits) => Some(port(digits)?),
        None => None,
    };
    let hosts = match network::<Ipv4Addr>(host, 32, SHORTEST_V4) {
        Some(network) => network,
        None => name(host)?,
    };
    Some(Item { hosts, port })
}

fn network<A: FromStr + Into<IpAddr>>(
    text: &[u8],
    longest: u32,
    shortest: u32,
) -> Option<Hosts<'static>> {
    let mut halves = text.splitn(2, |byte| *byte == b'/');
    let base: A = parse(halves.next()?)?;
    let prefix = match halves.next() {
        Some(digits) => number(digits).filter(|bits| (shortest..=longest).contains(bits))?,
        None => longest,
    };
    Some(Hosts::Network(base.into(), prefix))
}

fn name(text: &[u8]) -> Option<Hosts<'_>> {
    let (domain, is_below) = match text.strip_prefix(b".") {
        Some(domain) => (domain, true),
        None => (text, false),
    };
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let mut labels = domain.split(|byte| *byte == b'.');
    let last_is_number = domain.rsplit(|byte| *byte == b'.').next()?.iter().all(u8::is_ascii_digit);
    let is_name = labels.all(|label| matches!(label.len(), 1..=63) && label.iter().all(fits));
    (is_name && !last_is_number).then_some(if is_below {
        Hosts::Below(domain)
    } else {
        Hosts::Name(domain)
    })
}

fn port(digits: &[u8]) -> Option<u16> {
    number(digits).filter(|port| *port != 0)
}

/// Decimal digits alone; the standard parser takes a sign as well.
fn number<T: FromStr>(digits: &[u8]) -> Option<T> {
    if digits.iter().all(u8::is_ascii_digit) { parse(digits) } else { None }
}

fn parse<T: FromStr>(text: &[u8]) -> Option<T> {
    core::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn direct(text: &str) -> Direct {
        Direct::new(text.as_bytes()).unwrap_or_else(|| panic!("{text}"))
    }

    #[test]
    fn networks_have_the_addresses_of_their_prefix() {
        let list = direct("192.168.1.0/24,10.9.8.7 [fd00::/8]:80 fe80::/10");
        let has = |address: &str| list.has_address(address.parse().unwrap());
        for address in [
            "192.168.1.255:1",
            "10.9.8.7:65535",
            "[fd12::1]:80",
            "[fe80::1]:9",
            "[::ffff:10.9.8.7]:1",
        ] {
            assert!(has(address), "{address}");
        }
        for address in ["192.168.2.1:1", "10.9.8.8:1", "[fd12::1]:81", "[fc00::1]:80", "[::1]:80"] {
            assert!(!has(address), "{address}");
        }
        assert!(!list.has_names());
    }

    #[test]
    fn a_port_is_the_only_one() {
        let list = direct("127.0.0.1:5432 nas.lan:445");
        assert!(list.has_address("127.0.0.1:5432".parse().unwrap()));
        assert!(!list.has_address("127.0.0.1:5433".parse().unwrap()));
        assert!(list.has_name(b"nas.lan", Some(445)) && list.has_name(b"nas.lan", None));
        assert!(!list.has_name(b"nas.lan", Some(80)));
    }

    #[test]
    fn names_are_whole_or_all_below_a_domain() {
        let list = direct("NAS, .home.example");
        for name in ["nas", "Nas", "a.home.example", "a.b.HOME.example"] {
            assert!(list.has_name(name.as_bytes(), None), "{name}");
        }
        for name in ["", "nas.lan", "home.example", ".home.example", "ahome.example", "example"] {
            assert!(!list.has_name(name.as_bytes(), None), "{name}");
        }
        assert!(list.has_names());
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for text in [
            "",
            " , ",
            "0.0.0.0/0",
            "10.0.0.0/7",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "10.0.0",
            "256.1.1.1",
            "::/0",
            "[fd00::]80",
            "[fd00::]:0",
            "[10.0.0.1]",
            "nas:",
            "nas:port",
            "nas:0",
            "a..b",
            ".",
            "*.lan",
            "http://nas",
            "nas.lan,10.0.0.0/0",
        ] {
            assert_eq!(Direct::new(text.as_bytes()), None, "{text}");
        }
    }
}
