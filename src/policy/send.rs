//! Data that carries a destination.

use core::net::SocketAddr;

use super::address::is_localhost;
use super::connect::{Known, NAME_SERVER_PORT, datagram};
use super::socket::stays_local;
use super::{Address, Refusal, SocketKind};
use crate::config::{Inbound, Settings};

/// Decision about data with an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendDecision {
    /// libc sends it: the address is ignored, refused by the kernel, or may be reached.
    Libc,
    /// Fast Open on TCP: the socket connects through Tor first.
    ConnectFirst,
    /// A question to this name server, for which we answer.
    NameServer(SocketAddr),
    /// It is refused.
    Refuse(Refusal),
}

/// Decides on data for `address`, sent on `socket`; `is_fast_open` tells of `MSG_FASTOPEN`.
pub fn send(
    socket: SocketKind,
    address: Address,
    is_fast_open: bool,
    settings: &Settings,
) -> SendDecision {
    use SendDecision::*;
    match address {
        _ if !socket.is_inet() && stays_local(socket.domain) => Libc,
        _ if !socket.is_inet() => Refuse(Refusal::Family(socket.domain)),
        // An address of another family than inet fails in the kernel.
        Address::Inet(_) if socket.is_tcp() && is_fast_open => ConnectFirst,
        _ if socket.is_tcp() => Libc,
        Address::Inet(destination) if socket.is_udp() && destination.port() == NAME_SERVER_PORT => {
            NameServer(destination)
        }
        Address::Inet(destination) => datagram(destination, settings).map_or(Libc, Refuse),
        // Linux sends where AF_UNSPEC says as if it were AF_INET.
        _ => Refuse(Refusal::NotAStream),
    }
}

/// Reason that data without an address are not sent on `socket`, if they are not: it is connected to `peer`
/// past every hook, before the program was started or by a process that has passed it.
pub fn without_address(
    socket: SocketKind,
    peer: Option<Address>,
    settings: &Settings,
) -> Option<Refusal> {
    match peer {
        _ if stays_local(socket.domain) || socket.is_tcp() => None,
        _ if !socket.is_inet() => Some(Refusal::Family(socket.domain)),
        Some(Address::Inet(peer)) => datagram(peer, settings),
        _ => Some(Refusal::NotAStream),
    }
}

/// Decides on data for a TCP socket that no hook has led through Tor: it was made, connected or passed
/// past every hook. Gives the reason why they are not sent, if they are not. `peer` is the kernel's, `is_connecting` whether it may get one
/// soon. It may lead to this machine, where `known` and the settings let a program go without Tor, and
/// anywhere if everybody may come in: then a peer may have come by itself.
pub fn on_unknown_stream(
    peer: Option<Address>,
    is_connecting: bool,
    known: &impl Known,
    settings: &Settings,
) -> Option<Refusal> {
    match peer {
        _ if settings.allow_inbound == Inbound::All => None,
        None if is_connecting => Some(Refusal::Beside),
        // The kernel refuses data without a peer.
        None => None,
        Some(Address::Inet(peer)) => {
            let is_fine = is_localhost(peer.ip().to_canonical())
                || settings.is_tor(peer)
                || known.is_direct(peer);
            (!is_fine).then_some(Refusal::Beside)
        }
        Some(_) => Some(Refusal::Beside),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::OutboundLocalhost;

    fn decide(socket: (i32, i32, i32), address: Address, is_fast_open: bool) -> SendDecision {
        let (domain, kind, protocol) = socket;
        let socket = SocketKind { domain, kind, protocol };
        let settings =
            Settings { allow_outbound_localhost: OutboundLocalhost::All, ..Settings::DEFAULT };
        send(socket, address, is_fast_open, &settings)
    }

    fn at(address: &str) -> Address {
        Address::Inet(address.parse().unwrap())
    }

    const TCP: (i32, i32, i32) = (libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_TCP);
    const UDP: (i32, i32, i32) = (libc::AF_INET, libc::SOCK_DGRAM, libc::IPPROTO_UDP);

    #[test]
    fn fast_open_connects_first() {
        assert_eq!(decide(TCP, at("192.0.2.1:80"), true), SendDecision::ConnectFirst);
        assert_eq!(decide(TCP, at("192.0.2.1:80"), false), SendDecision::Libc);
        assert_eq!(decide(TCP, Address::Unspecified, true), SendDecision::Libc);
    }

    #[test]
    fn nothing_but_tcp_reaches_another_machine() {
        let refused = SendDecision::Refuse(Refusal::NotAStream);
        let sctp = (libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_SCTP);
        let ping = (libc::AF_INET, libc::SOCK_DGRAM, libc::IPPROTO_ICMP);
        let raw = (libc::AF_INET6, libc::SOCK_RAW, libc::IPPROTO_RAW);
        for socket in [UDP, sctp, ping, raw] {
            for is_fast_open in [false, true] {
                assert_eq!(decide(socket, at("192.0.2.1:123"), is_fast_open), refused);
                assert_eq!(decide(socket, Address::Unspecified, is_fast_open), refused);
            }
        }
        assert_eq!(decide(UDP, at("127.0.0.1:123"), false), SendDecision::Libc);
        for server in ["192.0.2.1:53", "127.0.0.1:53"] {
            let expected = SendDecision::NameServer(server.parse().unwrap());
            assert_eq!(decide(UDP, at(server), false), expected);
        }
        assert_eq!(decide(raw, at("192.0.2.1:53"), false), refused);
    }

    #[test]
    fn what_is_connected_past_the_hooks_sends_to_localhost_only_and_only_if_allowed() {
        let all =
            Settings { allow_outbound_localhost: OutboundLocalhost::All, ..Settings::DEFAULT };
        let decide = |(domain, kind, protocol), peer, settings| {
            without_address(SocketKind { domain, kind, protocol }, peer, settings)
        };
        let refused = Some(Refusal::NotAStream);
        let raw = (libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_UDP);
        for socket in [UDP, raw] {
            for peer in [None, Some(at("192.0.2.1:53")), Some(at("127.0.0.1:53"))] {
                assert_eq!(decide(socket, peer, &Settings::DEFAULT), refused);
            }
            assert_eq!(decide(socket, Some(at("192.0.2.1:53")), &all), refused);
            assert_eq!(decide(socket, Some(at("127.0.0.1:53")), &all), None);
        }
        let packet = (libc::AF_PACKET, libc::SOCK_DGRAM, 0);
        assert_eq!(decide(packet, None, &all), Some(Refusal::Family(libc::AF_PACKET)));
        for socket in [TCP, (libc::AF_UNIX, libc::SOCK_DGRAM, 0)] {
            assert_eq!(decide(socket, None, &Settings::DEFAULT), None);
        }
    }

    #[test]
    fn a_stream_that_no_hook_has_led_sends_to_this_machine_and_where_the_user_lets_it() {
        struct Direct;
        impl Known for Direct {
            fn is_cookie(&self, _: SocketAddr) -> bool {
                false
            }
            fn is_direct(&self, address: SocketAddr) -> bool {
                address.ip().to_string() == "192.0.2.7"
            }
            fn is_answer(&self, _: SocketAddr) -> bool {
                true
            }
            fn is_name_server(&self, _: SocketAddr) -> bool {
                false
            }
        }
        let refused = Some(Refusal::Beside);
        let settings = Settings::DEFAULT;
        let to = |address, settings| on_unknown_stream(Some(at(address)), false, &Direct, settings);
        for address in ["192.0.2.1:80", "[2001:db8::1]:80", "10.0.0.1:9050", "[::ffff:192.0.2.1]:1"]
        {
            assert_eq!(to(address, &settings), refused, "{address}");
        }
        for address in ["127.0.0.1:9050", "127.0.0.2:80", "[::1]:1", "192.0.2.7:80"] {
            assert_eq!(to(address, &settings), None, "{address}");
        }
        let none = |is_connecting| on_unknown_stream(None, is_connecting, &Direct, &settings);
        assert_eq!((none(true), none(false)), (refused, None));
        let inbound = Settings { allow_inbound: Inbound::All, ..Settings::DEFAULT };
        assert_eq!(to("192.0.2.1:80", &inbound), None);
    }

    #[test]
    fn a_family_that_may_leave_the_machine_sends_nothing() {
        let packet = (libc::AF_PACKET, libc::SOCK_RAW, 0);
        let refused = SendDecision::Refuse(Refusal::Family(libc::AF_PACKET));
        assert_eq!(decide(packet, Address::Other, false), refused);
        let unix = (libc::AF_UNIX, libc::SOCK_DGRAM, 0);
        assert_eq!(decide(unix, Address::Other, false), SendDecision::Libc);
    }
}
