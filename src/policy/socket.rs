//! What `socket()` may make.

use super::Refusal;
use crate::config::{OutboundLocalhost, Settings};

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
    /// Whether it is of an IP family.
    pub const fn is_inet(self) -> bool {
        matches!(self.domain, libc::AF_INET | libc::AF_INET6)
    }

    /// Whether it is TCP, the only thing that Tor carries.
    pub const fn is_tcp(self) -> bool {
        self.is_inet()
            && self.kind == libc::SOCK_STREAM
            && matches!(self.protocol, 0 | libc::IPPROTO_TCP)
    }
}

/// Whether sockets of the family `domain` can't leave the machine.
pub const fn stays_local(domain: i32) -> bool {
    use libc::{AF_ALG, AF_KEY, AF_NETLINK, AF_UNIX, AF_UNSPEC};
    matches!(domain, AF_UNSPEC | AF_UNIX | AF_NETLINK | AF_ALG | AF_KEY)
}

/// What becomes of a `socket()` call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketDecision {
    /// libc makes it; nothing to remember.
    Libc,
    /// libc makes it and it gets a record.
    Track,
    /// It is refused.
    Refuse(Refusal),
}

/// Decides on `socket(domain, kind, protocol)`. Families that can't leave the machine pass; an
/// unknown one is refused.
pub fn open(domain: i32, kind: i32, protocol: i32, settings: &Settings) -> SocketDecision {
    let socket = SocketKind { domain, kind: kind & KIND_MASK, protocol };
    match domain {
        libc::AF_INET | libc::AF_INET6 => open_inet(socket, settings),
        _ if stays_local(domain) => SocketDecision::Libc,
        _ => SocketDecision::Refuse(Refusal::Family(domain)),
    }
}

fn open_inet(socket: SocketKind, settings: &Settings) -> SocketDecision {
    let local_datagrams = settings.allow_outbound_localhost == OutboundLocalhost::All;
    match (socket.kind, socket.protocol) {
        _ if socket.is_tcp() => SocketDecision::Track,
        (libc::SOCK_STREAM, protocol) => SocketDecision::Refuse(Refusal::StreamProtocol(protocol)),
        (libc::SOCK_DGRAM, 0 | libc::IPPROTO_UDP) if local_datagrams => SocketDecision::Libc,
        _ => SocketDecision::Refuse(Refusal::NotAStream),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tcp_is_tracked_and_other_inet_sockets_are_refused() {
        let settings = Settings::DEFAULT;
        let decide = |domain, kind, protocol| open(domain, kind, protocol, &settings);
        let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        assert_eq!(decide(libc::AF_INET, libc::SOCK_STREAM | flags, 0), SocketDecision::Track);
        assert_eq!(decide(libc::AF_INET6, libc::SOCK_STREAM, 6), SocketDecision::Track);
        for protocol in [libc::IPPROTO_MPTCP, libc::IPPROTO_SCTP, libc::IPPROTO_DCCP] {
            assert_eq!(
                decide(libc::AF_INET, libc::SOCK_STREAM, protocol),
                SocketDecision::Refuse(Refusal::StreamProtocol(protocol))
            );
        }
        for kind in [libc::SOCK_DGRAM, libc::SOCK_RAW, libc::SOCK_SEQPACKET, libc::SOCK_RDM] {
            assert_eq!(
                decide(libc::AF_INET6, kind, 0),
                SocketDecision::Refuse(Refusal::NotAStream)
            );
        }
    }

    #[test]
    fn families_that_may_leave_the_machine_are_refused() {
        let settings = Settings::DEFAULT;
        for family in [libc::AF_PACKET, libc::AF_BLUETOOTH, libc::AF_VSOCK, libc::AF_RDS, 43, 250] {
            assert_eq!(
                open(family, libc::SOCK_STREAM, 0, &settings),
                SocketDecision::Refuse(Refusal::Family(family))
            );
        }
        assert_eq!(open(libc::AF_UNIX, libc::SOCK_STREAM, 0, &settings), SocketDecision::Libc);
    }

    #[test]
    fn local_datagrams_need_allow_outbound_localhost_2() {
        let udp = |allow_outbound_localhost| {
            let settings = Settings { allow_outbound_localhost, ..Settings::DEFAULT };
            open(libc::AF_INET, libc::SOCK_DGRAM, 17, &settings)
        };
        let refused = SocketDecision::Refuse(Refusal::NotAStream);
        assert_eq!(udp(OutboundLocalhost::Streams), refused);
        assert_eq!(udp(OutboundLocalhost::All), SocketDecision::Libc);
    }
}
