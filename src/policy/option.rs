//! Socket options that would lead packets past Tor's port, and ancillary data that say the same for
//! one datagram.

use core::mem::offset_of;

use super::Refusal;

/// Decision about a `setsockopt()` call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptionDecision {
    /// libc sets it.
    Libc,
    /// libc sets it, and a connect asks for it from then on: the time limit of a connect.
    LimitsTime,
    /// It succeeds on a TCP socket without an effect.
    Ignore,
    /// libc sets it, but a socket that the hooks have bound to the loopback interface stays so: there
    /// it succeeds without an effect.
    Unbind,
    /// It is refused.
    Refuse(Refusal),
}

// Linux's numbers that the libc crate lacks: asm-generic/socket.h, linux/in.h, linux/in6.h.
/// The interface that a socket is bound to, by its number.
pub const SO_BINDTOIFINDEX: i32 = 62;
const SO_SNDTIMEO_NEW: i32 = 67;
const IP_UNICAST_IF: i32 = 50;
const IP_MSFILTER: i32 = 41;
const MCAST_JOIN_GROUP: i32 = 42;
const MCAST_JOIN_SOURCE_GROUP: i32 = 46;
const MCAST_MSFILTER: i32 = 48;
const IPV6_2292RTHDR: i32 = 5;
const IPV6_2292PKTOPTIONS: i32 = 6;
const IPV6_JOIN_ANYCAST: i32 = 27;
const IPV6_UNICAST_IF: i32 = 76;

/// Options of level `IPPROTO_IP` that join multicast groups, of which routers are told.
pub const JOINS_V4: [i32; 6] = [
    libc::IP_ADD_MEMBERSHIP,
    libc::IP_ADD_SOURCE_MEMBERSHIP,
    IP_MSFILTER,
    MCAST_JOIN_GROUP,
    MCAST_JOIN_SOURCE_GROUP,
    MCAST_MSFILTER,
];
/// Those of level `IPPROTO_IPV6`.
pub const JOINS_V6: [i32; 5] = [
    libc::IPV6_ADD_MEMBERSHIP,
    IPV6_JOIN_ANYCAST,
    MCAST_JOIN_GROUP,
    MCAST_JOIN_SOURCE_GROUP,
    MCAST_MSFILTER,
];

/// Tells whether [`set`] looks at the option; it looks at few.
pub const fn is_examined(level: i32, name: i32) -> bool {
    match level {
        libc::SOL_SOCKET => matches!(
            name,
            libc::SO_BINDTODEVICE | SO_BINDTOIFINDEX | libc::SO_SNDTIMEO | SO_SNDTIMEO_NEW
        ),
        libc::IPPROTO_TCP => {
            matches!(name, libc::TCP_FASTOPEN_CONNECT | libc::TCP_REPAIR | libc::TCP_ULP)
        }
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
            libc::IPV6_PKTINFO
                | libc::IPV6_RTHDR
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

/// As much of a value as [`set`] looks at: `struct in6_pktinfo`, in bytes.
pub const LONGEST: usize = size_of::<libc::in6_pktinfo>();

/// Decides on an option that [`is_examined`]; `value` is what the program gave, or its first
/// [`LONGEST`] bytes.
pub fn set(level: i32, name: i32, value: &[u8]) -> OptionDecision {
    use OptionDecision::*;
    match (level, name) {
        // The handshake must come first, and nothing can be told before it. Another number than 1 has no effect,
        // or is an error of the kernel's.
        (libc::IPPROTO_TCP, libc::TCP_FASTOPEN_CONNECT) if number(value) == 1 => Ignore,
        (libc::IPPROTO_TCP, libc::TCP_REPAIR) => Refuse(Refusal::Repair),
        // SMC makes a socket of another family of it.
        (libc::IPPROTO_TCP, libc::TCP_ULP) if name_in(value) != b"tls" => {
            Refuse(Refusal::UpperLayer)
        }
        (libc::SOL_SOCKET, libc::SO_SNDTIMEO | SO_SNDTIMEO_NEW) => LimitsTime,
        (libc::SOL_SOCKET, libc::SO_BINDTODEVICE) => match name_in(value) {
            b"" => Unbind,
            b"lo" => Libc,
            _ => Refuse(Refusal::Interface),
        },
        (libc::SOL_SOCKET, SO_BINDTOIFINDEX) if value.first_chunk() == Some(&[0; 4]) => Unbind,
        (libc::SOL_SOCKET, SO_BINDTOIFINDEX) => interface(number(value)),
        (libc::IPPROTO_IP, name) => ipv4(name, value),
        (libc::IPPROTO_IPV6, name) => ipv6(name, value),
        _ => Libc,
    }
}

/// Reason that ancillary data of a datagram are refused, if they are: a route, or another interface than lo
/// (ip(7), ipv6(7), RFC 3542).
pub fn ancillary(level: i32, kind: i32, data: &[u8]) -> Option<Refusal> {
    let decision = match (level, kind) {
        (libc::IPPROTO_IP, libc::IP_RETOPTS)
        | (libc::IPPROTO_IPV6, libc::IPV6_RTHDR | IPV6_2292RTHDR) => route(data),
        (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
            index_at(offset_of!(libc::in_pktinfo, ipi_ifindex), data)
        }
        (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO | libc::IPV6_2292PKTINFO) => {
            index_at(offset_of!(libc::in6_pktinfo, ipi6_ifindex), data)
        }
        _ => OptionDecision::Libc,
    };
    match decision {
        OptionDecision::Refuse(refusal) => Some(refusal),
        OptionDecision::Libc
        | OptionDecision::LimitsTime
        | OptionDecision::Ignore
        | OptionDecision::Unbind => None,
    }
}

fn ipv4(name: i32, value: &[u8]) -> OptionDecision {
    match name {
        name if JOINS_V4.contains(&name) => joined(),
        libc::IP_OPTIONS => route(value),
        IP_UNICAST_IF => interface(i32::from_be(number(value))),
        _ => OptionDecision::Libc,
    }
}

fn ipv6(name: i32, value: &[u8]) -> OptionDecision {
    match name {
        name if JOINS_V6.contains(&name) => joined(),
        libc::IPV6_RTHDR | IPV6_2292RTHDR | IPV6_2292PKTOPTIONS => route(value),
        IPV6_UNICAST_IF => interface(i32::from_be(number(value))),
        libc::IPV6_PKTINFO => index_at(offset_of!(libc::in6_pktinfo, ipi6_ifindex), value),
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

/// 0 is none, and 1 is `lo` in every network namespace.
fn interface(index: i32) -> OptionDecision {
    match index {
        0 | 1 => OptionDecision::Libc,
        _ => OptionDecision::Refuse(Refusal::Interface),
    }
}

fn index_at(offset: usize, value: &[u8]) -> OptionDecision {
    interface(number(value.get(offset..).unwrap_or_default()))
}

/// The name in a value, which a NUL may end. No name of an interface lets the socket go.
fn name_in(value: &[u8]) -> &[u8] {
    value.split(|byte| *byte == 0).next().unwrap_or_default()
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
        for name in [&b"lo"[..], b"lo\0eth0"] {
            assert_eq!(device(name), OptionDecision::Libc);
        }
        for none in [&b""[..], b"\0"] {
            assert_eq!(device(none), OptionDecision::Unbind);
        }
        let index = |index: i32| decide(libc::SOL_SOCKET, SO_BINDTOIFINDEX, &index.to_ne_bytes());
        assert_eq!((index(1), index(2)), (OptionDecision::Libc, refused));
        assert_eq!(index(0), OptionDecision::Unbind);
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
    fn ancillary_data_choose_no_route_and_no_other_interface() {
        let interface = Some(Refusal::Interface);
        let v4 = |index: i32| {
            let data = [index.to_ne_bytes(), [192, 0, 2, 1], [0; 4]].concat();
            ancillary(libc::IPPROTO_IP, libc::IP_PKTINFO, &data)
        };
        assert_eq!((v4(0), v4(1), v4(2)), (None, None, interface));
        for kind in [libc::IPV6_PKTINFO, libc::IPV6_2292PKTINFO] {
            let v6 = |index: i32| {
                let data = [&[7; 16][..], &index.to_ne_bytes()].concat();
                ancillary(libc::IPPROTO_IPV6, kind, &data)
            };
            assert_eq!((v6(0), v6(1), v6(2)), (None, None, interface));
        }
        let route = Some(Refusal::SourceRoute);
        assert_eq!(ancillary(libc::IPPROTO_IP, libc::IP_RETOPTS, &[0x83, 7, 4]), route);
        for kind in [libc::IPV6_RTHDR, IPV6_2292RTHDR] {
            assert_eq!(ancillary(libc::IPPROTO_IPV6, kind, &[0; 24]), route);
        }
        assert_eq!(ancillary(libc::IPPROTO_IP, libc::IP_TTL, &[64, 0, 0, 0]), None);
        assert_eq!(ancillary(libc::IPPROTO_IPV6, libc::IP_RETOPTS, &[1, 2, 3, 4]), None);
        assert_eq!(ancillary(libc::IPPROTO_IP, libc::IP_PKTINFO, &[2]), None);
    }

    #[test]
    fn an_interface_for_all_datagrams_is_judged_as_for_one() {
        let index = |index: i32| {
            let value = [&[0; 16][..], &index.to_ne_bytes()].concat();
            assert_eq!(value.len(), LONGEST);
            decide(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &value)
        };
        let refused = OptionDecision::Refuse(Refusal::Interface);
        assert_eq!(
            (index(0), index(1), index(2)),
            (OptionDecision::Libc, OptionDecision::Libc, refused)
        );
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
        // The kernel's EINVAL.
        for (level, name, value) in [
            (libc::IPPROTO_TCP, libc::TCP_FASTOPEN_CONNECT, [1].as_slice()),
            (libc::IPPROTO_TCP, libc::TCP_FASTOPEN_CONNECT, &7_i32.to_ne_bytes()),
            (libc::SOL_SOCKET, SO_BINDTOIFINDEX, &[0]),
            (libc::SOL_SOCKET, SO_BINDTOIFINDEX, &[]),
        ] {
            assert_eq!(decide(level, name, value), OptionDecision::Libc);
        }
        assert_eq!(tcp(libc::TCP_REPAIR), OptionDecision::Refuse(Refusal::Repair));
        let ulp = |name| set(libc::IPPROTO_TCP, libc::TCP_ULP, name);
        assert_eq!([ulp(b"tls"), ulp(b"tls\0 ")], [OptionDecision::Libc; 2]);
        for name in [&b"smc"[..], b"tlsx", b"espintcp", b""] {
            assert_eq!(ulp(name), OptionDecision::Refuse(Refusal::UpperLayer), "{name:?}");
        }
        assert!(!is_examined(libc::IPPROTO_TCP, libc::TCP_NODELAY));
        assert!(!is_examined(libc::SOL_SOCKET, libc::SO_REUSEADDR));
        assert!(!is_examined(libc::IPPROTO_IP, libc::IP_TOS));
        assert!(!is_examined(libc::IPPROTO_IPV6, libc::IPV6_V6ONLY));
    }
}
