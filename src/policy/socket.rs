//! Sockets that `socket()` may make.

use super::Refusal;
use crate::config::{Inbound, OutboundLocalhost, Settings};

/// `SOCK_CLOEXEC` and `SOCK_NONBLOCK` ride in the type argument.
const KIND_MASK: i32 = 0xf;

/// The facts about a socket that decide its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketKind {
    /// `SO_DOMAIN`.
    pub domain: i32,
    /// `SO_TYPE`, without flags.
    pub kind: i32,
    /// `SO_PROTOCOL`.
    pub protocol: i32,
}

impl SocketKind {
    /// Tells whether it is of an IP family.
    pub const fn is_inet(self) -> bool {
        matches!(self.domain, libc::AF_INET | libc::AF_INET6)
    }

    /// Tells whether it is TCP, the only thing that Tor carries.
    pub const fn is_tcp(self) -> bool {
        self.is_inet()
            && self.kind == libc::SOCK_STREAM
            && matches!(self.protocol, 0 | libc::IPPROTO_TCP)
    }

    /// Tells whether it is plain UDP. UDP-Lite and ICMP have datagram sockets as well.
    pub const fn is_udp(self) -> bool {
        self.is_inet()
            && self.kind == libc::SOCK_DGRAM
            && matches!(self.protocol, 0 | libc::IPPROTO_UDP)
    }
}

/// Families whose sockets carry nothing off the machine: those of files and of the kernel's own services
/// (netlink, the keys of IPsec, ciphers), and none.
pub const LOCAL_FAMILIES: [i32; 5] =
    [libc::AF_UNSPEC, libc::AF_UNIX, libc::AF_NETLINK, libc::AF_ALG, libc::AF_KEY];

/// Tells whether sockets of the family `domain` can't leave the machine.
pub fn stays_local(domain: i32) -> bool {
    LOCAL_FAMILIES.contains(&domain)
}

/// Decision about a `socket()` call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketDecision {
    /// libc makes it; nothing to remember.
    Libc,
    /// libc makes it and it gets a record.
    Track,
    /// libc makes it, and it is bound to the loopback interface: a UDP socket, of which programs ask
    /// questions that send nothing.
    Confine,
    /// It is refused.
    Refuse(Refusal),
}

/// Decides on `socket(domain, kind, protocol)`. Families that can't leave the machine pass; an
/// unknown one is refused.
pub fn open(domain: i32, kind: i32, protocol: i32) -> SocketDecision {
    let socket = SocketKind { domain, kind: kind & KIND_MASK, protocol };
    match domain {
        libc::AF_INET | libc::AF_INET6 => open_inet(socket),
        _ if stays_local(domain) => SocketDecision::Libc,
        _ => SocketDecision::Refuse(Refusal::Family(domain)),
    }
}

fn open_inet(socket: SocketKind) -> SocketDecision {
    match (socket.kind, socket.protocol) {
        _ if socket.is_tcp() => SocketDecision::Track,
        _ if socket.is_udp() => SocketDecision::Confine,
        (libc::SOCK_STREAM, protocol) => SocketDecision::Refuse(Refusal::StreamProtocol(protocol)),
        _ => SocketDecision::Refuse(Refusal::NotAStream),
    }
}

/// Tells whether the TCP sockets of a launch with a backstop are bound to the loopback interface: all that they
/// are to reach is there. Then a connect that no hook has seen does not leave the machine.
pub fn confines_streams(settings: &Settings) -> bool {
    settings.tor_address.is_loopback()
        && settings.allow_inbound != Inbound::All
        && settings.allow_direct.is_none()
}

/// Tells whether UDP sockets can't send: what a program asks a name server is answered without a datagram of its
/// own, and all others are refused, unless they may reach localhost.
pub fn silences_datagrams(settings: &Settings) -> bool {
    settings.allow_outbound_localhost != OutboundLocalhost::All
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Direct;

    #[test]
    fn tcp_is_tracked_udp_confined_and_other_inet_sockets_are_refused() {
        let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        assert_eq!(open(libc::AF_INET, libc::SOCK_STREAM | flags, 0), SocketDecision::Track);
        assert_eq!(open(libc::AF_INET6, libc::SOCK_STREAM, 6), SocketDecision::Track);
        assert_eq!(open(libc::AF_INET, libc::SOCK_DGRAM | flags, 0), SocketDecision::Confine);
        assert_eq!(open(libc::AF_INET6, libc::SOCK_DGRAM, 17), SocketDecision::Confine);
        for protocol in [libc::IPPROTO_MPTCP, libc::IPPROTO_SCTP, libc::IPPROTO_DCCP] {
            assert_eq!(
                open(libc::AF_INET, libc::SOCK_STREAM, protocol),
                SocketDecision::Refuse(Refusal::StreamProtocol(protocol))
            );
        }
        for (kind, protocol) in [
            (libc::SOCK_DGRAM, libc::IPPROTO_ICMP),
            (libc::SOCK_DGRAM, libc::IPPROTO_UDPLITE),
            (libc::SOCK_RAW, 0),
            (libc::SOCK_RAW, libc::IPPROTO_UDP),
            (libc::SOCK_SEQPACKET, 0),
            (libc::SOCK_RDM, 0),
        ] {
            let refused = SocketDecision::Refuse(Refusal::NotAStream);
            assert_eq!(open(libc::AF_INET6, kind, protocol), refused);
        }
    }

    #[test]
    fn streams_are_confined_unless_a_setting_leads_elsewhere() {
        let default = Settings::DEFAULT;
        assert!(confines_streams(&default));
        assert!(confines_streams(&Settings {
            tor_address: "::1".parse().unwrap(),
            ..default.clone()
        }));
        assert!(confines_streams(&Settings {
            allow_inbound: Inbound::Loopback,
            ..default.clone()
        }));
        for wider in [
            Settings { tor_address: "192.0.2.1".parse().unwrap(), ..default.clone() },
            Settings { allow_inbound: Inbound::All, ..default.clone() },
            Settings { allow_direct: Direct::new(b"192.168.1.0/24"), ..default },
        ] {
            assert!(!confines_streams(&wider));
        }
    }

    #[test]
    fn families_that_may_leave_the_machine_are_refused() {
        for family in [libc::AF_PACKET, libc::AF_BLUETOOTH, libc::AF_VSOCK, libc::AF_RDS, 43, 250] {
            assert_eq!(
                open(family, libc::SOCK_STREAM, 0),
                SocketDecision::Refuse(Refusal::Family(family))
            );
        }
        assert_eq!(open(libc::AF_UNIX, libc::SOCK_STREAM, 0), SocketDecision::Libc);
    }
}
