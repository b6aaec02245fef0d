//! Socket options that would lead packets past Tor's port.

use super::Refusal;

/// What becomes of a `setsockopt()` call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptionDecision {
    /// libc sets it.
    Libc,
    /// It succeeds on a TCP socket without an effect.
    Ignore,
    /// It is refused.
    Refuse(Refusal),
}

// Linux's numbers that the libc crate lacks: asm-generic/socket.h, linux/in.h, linux/in6.h.
const SO_BINDTOIFINDEX: i32 = 62;
const IP_UNICAST_IF: i32 = 50;
const IP_MSFILTER: i32 = 41;
const MCAST_JOIN_GROUP: i32 = 42;
const MCAST_JOIN_SOURCE_GROUP: i32 = 46;
const MCAST_MSFILTER: i32 = 48;
const IPV6_2292RTHDR: i32 = 5;
const IPV6_2292PKTOPTIONS: i32 = 6;
const IPV6_JOIN_ANYCAST: i32 = 27;
const IPV6_UNICAST_IF: i32 = 76;

/// Whether the option is one that [`set`] looks at: nearly none is.
pub const fn is_examined(level: i32, name: i32) -> bool {
    match level {
        libc::SOL_SOCKET => matches!(name, libc::SO_BINDTODEVICE | SO_BINDTOIFINDEX),
        libc::IPPROTO_TCP => matches!(name, libc::TCP_FASTOPEN_CONNECT | libc::TCP_REPAIR),
        libc::IPPROTO_IP => matches!(
            name,
            libc::IP_OPTIONS
                | libc::IP_ADD_MEMBERSHIP
                | libc::IP_ADD_SOURCE_MEMBERSHIP
                | IP_MSFILTER
                | MCAST_JOIN_GROUP
                | MCAST_JOIN_SOURCE_GROUP
                | MCAST_MSFILTER
                | IP_UNICAST_IF
        ),
        libc::IPPROTO_IPV6 => matches!(
            name,
            libc::IPV6_RTHDR
                | IPV6_2292RTHDR
                | IPV6_2292PKTOPTIONS
                | libc::IPV6_ADD_MEMBERSHIP
                | IPV6_JOIN_ANYCAST
                | MCAST_JOIN_GROUP
                | MCAST_JOIN_SOURCE_GROUP
                | MCAST_MSFILTER
                | IPV6_UNICAST_IF
        ),
        _ => false,
    }
}

/// Decides on an option that [`is_examined`]; `value` is what the program gave, or its beginning.
pub fn set(level: i32, name: i32, value: &[u8]) -> OptionDecision {
    use OptionDecision::*;
    match (level, name) {
        // The handshake must come first, and nothing can be told before it.
        (libc::IPPROTO_TCP, libc::TCP_FASTOPEN_CONNECT) => Ignore,
        (libc::IPPROTO_TCP, libc::TCP_REPAIR) => Refuse(Refusal::Repair),
        (libc::SOL_SOCKET, libc::SO_BINDTODEVICE) if !is_loopback_name(value) => {
            Refuse(Refusal::Interface)
        }
        (libc::SOL_SOCKET, SO_BINDTOIFINDEX) if !matches!(number(value), 0 | 1) => {
            Refuse(Refusal::Interface)
        }
        (libc::IPPROTO_IP, name) => ipv4(name, value),
        (libc::IPPROTO_IPV6, name) => ipv6(name, value),
        _ => Libc,
    }
}

fn ipv4(name: i32, value: &[u8]) -> OptionDecision {
    match name {
        libc::IP_OPTIONS => route(value),
        libc::IP_ADD_MEMBERSHIP | libc::IP_ADD_SOURCE_MEMBERSHIP | IP_MSFILTER => joined(),
        MCAST_JOIN_GROUP | MCAST_JOIN_SOURCE_GROUP | MCAST_MSFILTER => joined(),
        IP_UNICAST_IF => interface(value),
        _ => OptionDecision::Libc,
    }
}

fn ipv6(name: i32, value: &[u8]) -> OptionDecision {
    match name {
        libc::IPV6_RTHDR | IPV6_2292RTHDR | IPV6_2292PKTOPTIONS => route(value),
        libc::IPV6_ADD_MEMBERSHIP | IPV6_JOIN_ANYCAST => joined(),
        MCAST_JOIN_GROUP | MCAST_JOIN_SOURCE_GROUP | MCAST_MSFILTER => joined(),
        IPV6_UNICAST_IF => interface(value),
        _ => OptionDecision::Libc,
    }
}

/// A first hop may be among the options; none takes them away.
fn route(value: &[u8]) -> OptionDecision {
    match value {
        [] => OptionDecision::Libc,
        _ => OptionDecision::Refuse(Refusal::SourceRoute),
    }
}

/// Joining a group tells the routers.
fn joined() -> OptionDecision {
    OptionDecision::Refuse(Refusal::Multicast)
}

/// A number in network byte order; 0 is none, and 1 is `lo` in every network namespace.
fn interface(value: &[u8]) -> OptionDecision {
    match i32::from_be(number(value)) {
        0 | 1 => OptionDecision::Libc,
        _ => OptionDecision::Refuse(Refusal::Interface),
    }
}

/// No name lets the socket go.
fn is_loopback_name(value: &[u8]) -> bool {
    let name = value.split(|byte| *byte == 0).next().unwrap_or_default();
    name.is_empty() || name == b"lo"
}

/// The int of an option; what is too short for one fails in the kernel.
fn number(value: &[u8]) -> i32 {
    match value.first_chunk() {
        Some(bytes) => i32::from_ne_bytes(*bytes),
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(level: i32, name: i32, value: &[u8]) -> OptionDecision {
        assert!(is_examined(level, name));
        set(level, name, value)
    }

    #[test]
    fn only_the_loopback_interface_may_be_chosen() {
        let refused = OptionDecision::Refuse(Refusal::Interface);
        let device = |name: &[u8]| decide(libc::SOL_SOCKET, libc::SO_BINDTODEVICE, name);
        assert_eq!(device(b"eth0\0"), refused);
        assert_eq!(device(b"lo0"), refused);
        for name in [&b"lo"[..], b"lo\0eth0", b"", b"\0"] {
            assert_eq!(device(name), OptionDecision::Libc);
        }
        let index = |index: i32| decide(libc::SOL_SOCKET, SO_BINDTOIFINDEX, &index.to_ne_bytes());
        assert_eq!((index(1), index(2)), (OptionDecision::Libc, refused));
        for (level, name) in
            [(libc::IPPROTO_IP, IP_UNICAST_IF), (libc::IPPROTO_IPV6, IPV6_UNICAST_IF)]
        {
            let index = |index: i32| decide(level, name, &index.to_be_bytes());
            assert_eq!((index(0), index(2)), (OptionDecision::Libc, refused));
        }
    }

    #[test]
    fn no_source_route_leads_past_tor() {
        let refused = OptionDecision::Refuse(Refusal::SourceRoute);
        let loose_route = [0x83, 7, 4, 192, 0, 2, 1, 0];
        assert_eq!(decide(libc::IPPROTO_IP, libc::IP_OPTIONS, &loose_route), refused);
        assert_eq!(decide(libc::IPPROTO_IPV6, libc::IPV6_RTHDR, &[0; 24]), refused);
        assert_eq!(decide(libc::IPPROTO_IP, libc::IP_OPTIONS, &[]), OptionDecision::Libc);
    }

    #[test]
    fn groups_are_not_joined() {
        let refused = OptionDecision::Refuse(Refusal::Multicast);
        assert_eq!(decide(libc::IPPROTO_IP, libc::IP_ADD_MEMBERSHIP, &[0; 8]), refused);
        assert_eq!(decide(libc::IPPROTO_IPV6, libc::IPV6_ADD_MEMBERSHIP, &[0; 20]), refused);
        assert_eq!(decide(libc::IPPROTO_IPV6, MCAST_JOIN_GROUP, &[0; 136]), refused);
    }

    #[test]
    fn fast_open_is_ignored_and_repair_refused() {
        let tcp = |name| decide(libc::IPPROTO_TCP, name, &1i32.to_ne_bytes());
        assert_eq!(tcp(libc::TCP_FASTOPEN_CONNECT), OptionDecision::Ignore);
        assert_eq!(tcp(libc::TCP_REPAIR), OptionDecision::Refuse(Refusal::Repair));
        assert!(!is_examined(libc::IPPROTO_TCP, libc::TCP_NODELAY));
        assert!(!is_examined(libc::SOL_SOCKET, libc::SO_REUSEADDR));
        assert!(!is_examined(libc::IPPROTO_IP, libc::IP_TOS));
        assert!(!is_examined(libc::IPPROTO_IPV6, libc::IPV6_V6ONLY));
    }
}
