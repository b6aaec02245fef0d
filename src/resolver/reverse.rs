//! The names of PTR records: which address a reverse name asks for, and which answers are names.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The address that `4.3.2.1.in-addr.arpa` (RFC 1035 section 3.5) or 32 nibbles below `ip6.arpa`
/// (RFC 3596 section 2.5) stand for, with or without a trailing dot. Async-signal-safe.
pub fn parse(name: &[u8]) -> Option<IpAddr> {
    let name = name.strip_suffix(b".").unwrap_or(name);
    if let Some(labels) = below(name, b".in-addr.arpa") {
        ipv4(labels).map(IpAddr::V4)
    } else {
        ipv6(below(name, b".ip6.arpa")?).map(IpAddr::V6)
    }
}

fn below<'n>(name: &'n [u8], domain: &[u8]) -> Option<&'n [u8]> {
    let (labels, tail) = name.split_at_checked(name.len().checked_sub(domain.len())?)?;
    tail.eq_ignore_ascii_case(domain).then_some(labels)
}

fn ipv4(labels: &[u8]) -> Option<Ipv4Addr> {
    // The same bytes in the other order; the standard parser knows what a byte may look like.
    let address: Ipv4Addr = core::str::from_utf8(labels).ok()?.parse().ok()?;
    let [a, b, c, d] = address.octets();
    Some(Ipv4Addr::new(d, c, b, a))
}

fn ipv6(labels: &[u8]) -> Option<Ipv6Addr> {
    let mut bits = 0_u128;
    let mut count = 0;
    for label in labels.split(|byte| *byte == b'.') {
        let &[digit] = label else { return None };
        bits |= u128::from(char::from(digit).to_digit(16)?).checked_shl(4 * count)?;
        count += 1;
    }
    (count == 32).then_some(Ipv6Addr::from_bits(bits))
}

/// Tells whether libc takes `name` for a host name in a PTR record (`res_hnok`): letters, digits,
/// `-` and `_` in labels of 1 to 63 bytes, and no `-` first. Programs put it into logs and
/// commands. Async-signal-safe.
pub fn is_host_name(name: &[u8]) -> bool {
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let is_label = |label: &[u8]| matches!(label.len(), 1..=63) && label.iter().all(fits);
    !name.starts_with(b"-") && name.split(|byte| *byte == b'.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_hosts_are_answers() {
        let longest = "a".repeat(63) + ".example";
        for name in ["a", "host.example", "A-1_b.example", "a.-b", "192.0.2.1", &longest] {
            assert!(is_host_name(name.as_bytes()), "{name}");
        }
        let too_long = "a".repeat(64) + ".example";
        for name in
            ["", "-rf", "-a.example", "a..b", ".a", "bad name", "a\n", "$(a)", "b\u{fc}", &too_long]
        {
            assert!(!is_host_name(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn reverse_names_of_both_families_are_read() {
        let v4 = IpAddr::from([192, 0, 2, 1]);
        assert_eq!(parse(b"1.2.0.192.in-addr.arpa"), Some(v4));
        assert_eq!(parse(b"1.2.0.192.IN-ADDR.ARPA."), Some(v4));
        let v6: IpAddr = "2001:db8::567:89ab".parse().unwrap();
        let name = b"b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.B.D.0.1.0.0.2.ip6.arpa";
        assert_eq!(parse(name), Some(v6));
    }

    #[test]
    fn other_names_are_not() {
        for name in [
            "",
            ".",
            "in-addr.arpa",
            ".in-addr.arpa",
            "3.2.1.in-addr.arpa",
            "5.4.3.2.1.in-addr.arpa",
            "256.0.0.1.in-addr.arpa",
            "1.2.0.192.in-addr.arpa.example",
            "1.ip6.arpa",
            "ip6.arpa",
            "192.0.2.1",
        ] {
            assert_eq!(parse(name.as_bytes()), None, "{name}");
        }
        let nibbles = "0.".repeat(33) + "ip6.arpa";
        assert_eq!(parse(nibbles.as_bytes()), None);
    }
}
