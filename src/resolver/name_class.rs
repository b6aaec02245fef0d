//! Classes of host names, decided without a question to Tor.

use super::ipv4_text;
use crate::config::proxy::LOCAL_DOMAINS;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The longest name: what a SOCKS5 request can carry (RFC 1928, one length byte).
pub const MAX_NAME: usize = 255;

/// Reason that a name can't exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadName {
    /// Empty, or a lone dot.
    Empty,
    /// Longer than the 255 bytes that a SOCKS5 request carries.
    TooLong,
    /// A label is empty: a leading dot, two in a row.
    EmptyLabel,
    /// A space, a control character, or a character of an address that is none.
    Character,
    /// Ends in a number but is not an address.
    NotAnAddress,
    /// `onion` alone.
    BareOnion,
}

impl core::fmt::Display for BadName {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            BadName::Empty => "the host name is empty",
            BadName::TooLong => "a host name has at most 255 bytes",
            BadName::EmptyLabel => "the host name has an empty label",
            BadName::Character => "the host name has a character that no name has",
            BadName::NotAnAddress => "the host name ends in a number but is no address",
            BadName::BareOnion => "an onion address needs a label before .onion",
        })
    }
}

/// A host name, as what is to be done with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameClass<'n> {
    /// An address in any form that libc accepts; `scope` is what follows the `%` of an IPv6 one.
    Numeric {
        /// The address.
        address: IpAddr,
        /// An interface's name or index.
        scope: Option<&'n [u8]>,
    },
    /// This machine: answered with a loopback address, without a question.
    Localhost,
    /// A name below `.onion`, without a trailing dot: answered with a cookie (RFC 7686).
    Onion(&'n [u8]),
    /// A name of local networks, without a trailing dot: no exit knows it, and to ask would tell one
    /// what this machine looks for.
    Local(&'n [u8]),
    /// A name to ask Tor for, without a trailing dot, otherwise as the program gave it (bytes above
    /// 127 included).
    Ask(&'n [u8]),
    /// Not a name.
    Bad(BadName),
}

impl<'n> NameClass<'n> {
    /// Classifies `host`. `own` is the machine's own name, as uname(2) gives it: to ask for it would
    /// tell it to an exit, so it is this machine. Neither /etc/hosts nor search domains are looked
    /// at here. Async-signal-safe.
    pub fn classify(host: &'n [u8], own: &[u8]) -> NameClass<'n> {
        if let Some(address) = ipv4_text::parse(host) {
            return NameClass::Numeric { address: address.into(), scope: None };
        }
        if host.contains(&b':') {
            return numeric_ipv6(host).unwrap_or(NameClass::Bad(BadName::Character));
        }
        let name = host.strip_suffix(b".").unwrap_or(host);
        if let Some(reason) = fault(name) {
            NameClass::Bad(reason)
        } else if is_localhost(name) || name.eq_ignore_ascii_case(own) {
            NameClass::Localhost
        } else if is_below(name, b"onion") {
            NameClass::Onion(name)
        } else if is_local(name) {
            NameClass::Local(name)
        } else {
            NameClass::Ask(name)
        }
    }
}

/// The loopback address of the wanted family.
pub fn loopback(ipv6: bool) -> IpAddr {
    if ipv6 { Ipv6Addr::LOCALHOST.into() } else { Ipv4Addr::LOCALHOST.into() }
}

fn numeric_ipv6(host: &[u8]) -> Option<NameClass<'_>> {
    let mut halves = host.splitn(2, |byte| *byte == b'%');
    let text = core::str::from_utf8(halves.next()?).ok()?;
    let scope = halves.next();
    if scope == Some(b"") {
        return None;
    }
    let address: Ipv6Addr = text.parse().ok()?;
    Some(NameClass::Numeric { address: address.into(), scope })
}

fn fault(name: &[u8]) -> Option<BadName> {
    if name.is_empty() {
        Some(BadName::Empty)
    } else if name.len() > MAX_NAME {
        Some(BadName::TooLong)
    } else if name.split(|byte| *byte == b'.').any(<[u8]>::is_empty) {
        Some(BadName::EmptyLabel)
    } else if name.iter().any(|byte| byte.is_ascii_control() || b" %/[]".contains(byte)) {
        Some(BadName::Character)
    } else if ipv4_text::ends_in_number(name) {
        Some(BadName::NotAnAddress)
    } else if name.eq_ignore_ascii_case(b"onion") {
        Some(BadName::BareOnion)
    } else {
        None
    }
}

/// RFC 6761 section 6.3, and the names that distributions put next to it in /etc/hosts.
fn is_localhost(name: &[u8]) -> bool {
    let others: [&[u8]; 4] =
        [b"localhost", b"localhost.localdomain", b"ip6-localhost", b"ip6-loopback"];
    is_below(name, b"localhost") || others.iter().any(|other| name.eq_ignore_ascii_case(other))
}

/// A single label, or a name of a domain that never leaves a local network.
fn is_local(name: &[u8]) -> bool {
    let is_below_one =
        || LOCAL_DOMAINS.split(|byte| *byte == b',').any(|domain| is_below(name, domain));
    !name.contains(&b'.') || is_below_one()
}

/// Tells whether `name` ends in a dot and `domain`, after at least one byte.
fn is_below(name: &[u8], domain: &[u8]) -> bool {
    name.len()
        .checked_sub(domain.len() + 1)
        .filter(|rest| *rest > 0)
        .and_then(|rest| name.split_at_checked(rest))
        .and_then(|(_, tail)| tail.split_first())
        .is_some_and(|(dot, tail)| *dot == b'.' && tail.eq_ignore_ascii_case(domain))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classify(host: &str) -> NameClass<'_> {
        NameClass::classify(host.as_bytes(), b"debian")
    }

    #[test]
    fn every_numeric_form_is_an_address() {
        for (text, address) in [
            ("192.0.2.7", "192.0.2.7"),
            ("1", "0.0.0.1"),
            ("127.1", "127.0.0.1"),
            ("0x7f.1", "127.0.0.1"),
            ("0177.0.0.1", "127.0.0.1"),
            ("::1", "::1"),
            ("::ffff:192.0.2.7", "::ffff:192.0.2.7"),
        ] {
            let address = address.parse().unwrap();
            assert_eq!(classify(text), NameClass::Numeric { address, scope: None }, "{text}");
        }
        let address = "fe80::1".parse().unwrap();
        assert_eq!(classify("fe80::1%eth0"), NameClass::Numeric { address, scope: Some(b"eth0") });
    }

    #[test]
    fn this_machine_is_never_asked_for() {
        for name in [
            "localhost",
            "LocalHost.",
            "a.localhost",
            "localhost.localdomain",
            "ip6-localhost",
            "ip6-loopback",
            "debian",
            "Debian.",
        ] {
            assert_eq!(classify(name), NameClass::Localhost, "{name}");
        }
        for name in
            ["mylocalhost.example", "localhost.example", "debian.org", "ip6-loopback.example"]
        {
            assert_eq!(classify(name), NameClass::Ask(name.as_bytes()));
        }
    }

    #[test]
    fn names_of_local_networks_are_told_from_others() {
        for name in [
            "printer",
            "lan",
            "nas.lan",
            "a.b.Local",
            "host.localdomain",
            "x.home.arpa",
            "router.home",
            "api.internal",
            "no.invalid",
            "a.intranet",
            "a.private",
            "dc.corp",
            "a.alt",
            "default.service.arpa",
            "_dns.resolver.arpa",
            "1.0.0.10.in-addr.arpa",
            "b._dns-sd._udp.0.1.168.192.IN-ADDR.ARPA",
            "0.8.e.f.ip6.arpa",
        ] {
            assert_eq!(classify(name), NameClass::Local(name.as_bytes()), "{name}");
        }
        for name in [
            "mylan.example",
            "a.lan.example",
            "home.example",
            "arpa.example",
            "a.xlan",
            "ipv4only.arpa",
        ] {
            assert_eq!(classify(name), NameClass::Ask(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn an_unknown_own_name_makes_nothing_local() {
        assert_eq!(NameClass::classify(b"example.org", b""), NameClass::Ask(b"example.org"));
        assert_eq!(NameClass::classify(b"", b""), NameClass::Bad(BadName::Empty));
    }

    #[test]
    fn onion_names_are_told_from_others() {
        assert_eq!(classify("abc.onion"), NameClass::Onion(b"abc.onion"));
        assert_eq!(classify("www.abc.ONION."), NameClass::Onion(b"www.abc.ONION"));
        assert_eq!(classify("abc.xonion"), NameClass::Ask(b"abc.xonion"));
        assert_eq!(classify("abc.onion.example"), NameClass::Ask(b"abc.onion.example"));
        assert_eq!(classify("onion"), NameClass::Bad(BadName::BareOnion));
        assert_eq!(classify(".onion"), NameClass::Bad(BadName::EmptyLabel));
    }

    #[test]
    fn names_are_asked_for_as_given_but_for_the_trailing_dot() {
        assert_eq!(classify("Example.ORG."), NameClass::Ask(b"Example.ORG"));
        assert_eq!(classify("bücher.example"), NameClass::Ask("bücher.example".as_bytes()));
        assert_eq!(classify("_sip._tcp.example"), NameClass::Ask(b"_sip._tcp.example"));
    }

    #[test]
    fn bad_names_have_a_reason() {
        for (name, reason) in [
            ("", BadName::Empty),
            (".", BadName::Empty),
            ("a..b", BadName::EmptyLabel),
            ("a..", BadName::EmptyLabel),
            ("a b", BadName::Character),
            ("a\nb", BadName::Character),
            ("[::1]", BadName::Character),
            ("::1%", BadName::Character),
            ("example.org:80", BadName::Character),
            ("http://example.org", BadName::Character),
            ("a%eth0", BadName::Character),
            ("256.0.0.1", BadName::NotAnAddress),
            ("1.2.3.4.", BadName::NotAnAddress),
            ("1.2.3.4.5", BadName::NotAnAddress),
        ] {
            assert_eq!(classify(name), NameClass::Bad(reason), "{name}");
        }
    }

    #[test]
    fn the_longest_name_has_255_bytes_and_perhaps_a_dot() {
        let longest = format!("{}.a", "a".repeat(253));
        assert_eq!(classify(&longest), NameClass::Ask(longest.as_bytes()));
        assert_eq!(classify(&format!("{longest}.")), NameClass::Ask(longest.as_bytes()));
        assert_eq!(classify(&"a".repeat(256)), NameClass::Bad(BadName::TooLong));
    }
}
