//! Decisions on destinations: of `connect()`, and of datagrams.

use core::net::SocketAddr;

use super::address::{is_localhost, is_private};
use super::{Address, Refusal, SocketKind};
use crate::config::{LocalDestinations, OutboundLocalhost, Settings};

/// The port of name servers.
pub(super) const NAME_SERVER_PORT: u16 = 53;

/// Decision about a `connect()` call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectDecision {
    /// libc does it: the address can't leave the machine, is Tor's own SOCKS port, or one that the
    /// user wants to be reached directly.
    Libc,
    /// libc does it, and the record is dissolved after.
    Dissolve,
    /// The socket goes to Tor, which is asked for the address.
    ThroughTor(SocketAddr),
    /// The socket goes to Tor, which is asked for the name behind the cookie address.
    ThroughTorByCookie(SocketAddr),
    /// The socket is to ask this name server, for which we answer: any by UDP, by TCP one that Tor can't
    /// reach, and this system's.
    NameServer(SocketAddr),
    /// It is refused.
    Refuse(Refusal),
}

/// Facts about an address that the settings don't tell.
pub trait Known {
    /// Tells whether it belongs to the cookie range.
    fn is_cookie(&self, address: SocketAddr) -> bool;
    /// Tells whether `AllowDirect` contains it.
    fn is_direct(&self, address: SocketAddr) -> bool;
    /// Tells whether it is Tor's answer to a name.
    fn is_answer(&self, address: SocketAddr) -> bool;
    /// Tells whether it is a name server of this system.
    fn is_name_server(&self, address: SocketAddr) -> bool;
}

/// Decides on a connect of `socket` to `address`.
pub fn connect(
    socket: SocketKind,
    address: Address,
    known: &impl Known,
    settings: &Settings,
) -> ConnectDecision {
    use ConnectDecision::*;
    if !socket.is_inet() {
        return Libc;
    }
    let destination = match address {
        Address::Unspecified => return Dissolve,
        // The kernel takes neither, and knows which errno it is.
        Address::Other | Address::Short => return Libc,
        Address::Inet(destination) => destination,
    };
    if socket.is_udp() && destination.port() == NAME_SERVER_PORT {
        NameServer(destination)
    } else if !socket.is_tcp() {
        datagram(destination, settings).map_or(Libc, Refuse)
    } else if destination.is_ipv4() != (socket.domain == libc::AF_INET) {
        Refuse(Refusal::AddressFamily)
    } else {
        stream(destination, known, settings)
    }
}

fn stream(destination: SocketAddr, known: &impl Known, settings: &Settings) -> ConnectDecision {
    use ConnectDecision::*;
    let ip = destination.ip().to_canonical();
    if settings.is_tor(destination) {
        // The program speaks SOCKS itself: what it sends there leaves through Tor.
        Libc
    } else if ip.is_unspecified() {
        Refuse(Refusal::Wildcard)
    } else if known.is_cookie(destination) {
        ThroughTorByCookie(destination)
    } else if known.is_direct(destination) {
        Libc
    } else if destination.port() == NAME_SERVER_PORT
        && (is_localhost(ip) || is_private(ip) || known.is_name_server(destination))
    {
        NameServer(destination)
    } else if is_localhost(ip) {
        match settings.allow_outbound_localhost {
            OutboundLocalhost::Never => Refuse(Refusal::Localhost),
            OutboundLocalhost::Streams | OutboundLocalhost::All => Libc,
        }
    } else if ip.is_ipv6() && !settings.enable_ipv6 {
        Refuse(Refusal::Ipv6Disabled)
    } else if is_private(ip)
        && settings.local_destinations == LocalDestinations::Refuse
        && !known.is_answer(destination)
    {
        Refuse(Refusal::Private)
    } else {
        ThroughTor(destination)
    }
}

/// Reason that a datagram to `destination` is refused, if it is: only localhost is reached, and only with
/// AllowOutboundLocalhost 2.
pub fn datagram(destination: SocketAddr, settings: &Settings) -> Option<Refusal> {
    let ip = destination.ip().to_canonical();
    if settings.allow_outbound_localhost == OutboundLocalhost::All && ip.is_unspecified() {
        Some(Refusal::Wildcard)
    } else if settings.allow_outbound_localhost == OutboundLocalhost::All && is_localhost(ip) {
        None
    } else {
        Some(Refusal::NotAStream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Direct;

    const TCP4: SocketKind =
        SocketKind { domain: libc::AF_INET, kind: libc::SOCK_STREAM, protocol: 6 };
    const TCP6: SocketKind =
        SocketKind { domain: libc::AF_INET6, kind: libc::SOCK_STREAM, protocol: 6 };
    const UDP4: SocketKind =
        SocketKind { domain: libc::AF_INET, kind: libc::SOCK_DGRAM, protocol: 17 };

    fn allowing(allow_outbound_localhost: OutboundLocalhost) -> Settings {
        Settings { allow_outbound_localhost, ..Settings::DEFAULT }
    }

    /// One cookie, one address that Tor gave, and whatever network AllowDirect has.
    struct World<'s>(&'s Settings);

    impl Known for World<'_> {
        fn is_cookie(&self, address: SocketAddr) -> bool {
            address.ip().to_string() == "127.42.42.7"
        }

        fn is_direct(&self, address: SocketAddr) -> bool {
            self.0.allow_direct.is_some_and(|direct| direct.has_address(address))
        }

        fn is_answer(&self, address: SocketAddr) -> bool {
            address.ip().to_string() == "10.192.0.1"
        }

        fn is_name_server(&self, address: SocketAddr) -> bool {
            address.ip().to_string() == "192.0.2.53"
        }
    }

    fn decide(socket: SocketKind, address: &str, settings: &Settings) -> ConnectDecision {
        connect(socket, Address::Inet(address.parse().unwrap()), &World(settings), settings)
    }

    #[test]
    fn a_private_address_is_refused_unless_tor_has_given_it() {
        let settings = Settings::DEFAULT;
        for (socket, address) in
            [(TCP4, "192.168.1.1:80"), (TCP6, "[fd00::1]:80"), (TCP6, "[::ffff:10.0.0.1]:80")]
        {
            let refused = ConnectDecision::Refuse(Refusal::Private);
            assert_eq!(decide(socket, address, &settings), refused);
            let asking =
                Settings { local_destinations: LocalDestinations::Tor, ..Settings::DEFAULT };
            let through = ConnectDecision::ThroughTor(address.parse().unwrap());
            assert_eq!(decide(socket, address, &asking), through);
        }
        let answer = "10.192.0.1:80";
        let through = ConnectDecision::ThroughTor(answer.parse().unwrap());
        assert_eq!(decide(TCP4, answer, &settings), through);
    }

    #[test]
    fn what_is_allowed_directly_is_reached_by_tcp_alone() {
        let text = b"192.168.1.0/24,127.0.0.1:5432,0.0.0.0/8,127.42.42.0/24";
        let settings = Settings { allow_direct: Direct::new(text), ..Settings::DEFAULT };
        for address in ["192.168.1.1:80", "127.0.0.1:5432"] {
            assert_eq!(decide(TCP4, address, &settings), ConnectDecision::Libc);
        }
        for (socket, address, refusal) in [
            (TCP4, "192.168.2.1:80", Refusal::Private),
            (TCP4, "127.0.0.1:80", Refusal::Localhost),
            (TCP4, "0.0.0.0:80", Refusal::Wildcard),
            (UDP4, "192.168.1.1:54", Refusal::NotAStream),
        ] {
            assert_eq!(decide(socket, address, &settings), ConnectDecision::Refuse(refusal));
        }
        let cookie = "127.42.42.7:80";
        let by_cookie = ConnectDecision::ThroughTorByCookie(cookie.parse().unwrap());
        assert_eq!(decide(TCP4, cookie, &settings), by_cookie);
    }

    #[test]
    fn a_public_address_goes_through_tor() {
        let settings = Settings::DEFAULT;
        for (socket, address) in
            [(TCP4, "192.0.2.1:80"), (TCP6, "[2001:db8::1]:80"), (TCP6, "[::ffff:192.0.2.1]:80")]
        {
            let expected = ConnectDecision::ThroughTor(address.parse().unwrap());
            assert_eq!(decide(socket, address, &settings), expected);
        }
    }

    #[test]
    fn localhost_is_refused_unless_allowed() {
        for (socket, address) in
            [(TCP4, "127.0.0.1:80"), (TCP6, "[::1]:80"), (TCP6, "[::ffff:127.0.0.1]:80")]
        {
            let refused = ConnectDecision::Refuse(Refusal::Localhost);
            assert_eq!(decide(socket, address, &Settings::DEFAULT), refused);
            let allowed = allowing(OutboundLocalhost::Streams);
            assert_eq!(decide(socket, address, &allowed), ConnectDecision::Libc);
        }
    }

    #[test]
    fn the_tor_port_itself_is_reached_and_its_neighbours_are_not() {
        let defaults = Settings::DEFAULT;
        for (socket, address) in [(TCP4, "127.0.0.1:9050"), (TCP6, "[::ffff:127.0.0.1]:9050")] {
            assert_eq!(decide(socket, address, &defaults), ConnectDecision::Libc);
        }
        for (socket, address) in
            [(TCP4, "127.0.0.1:9051"), (TCP4, "127.0.0.2:9050"), (TCP6, "[::1]:9050")]
        {
            let refused = ConnectDecision::Refuse(Refusal::Localhost);
            assert_eq!(decide(socket, address, &defaults), refused);
        }
        let refused = ConnectDecision::Refuse(Refusal::NotAStream);
        assert_eq!(decide(UDP4, "127.0.0.1:9050", &defaults), refused);
        let elsewhere = Settings {
            tor_address: "2001:db8::9".parse().unwrap(),
            enable_ipv6: false,
            ..Settings::DEFAULT
        };
        assert_eq!(decide(TCP6, "[2001:db8::9]:9050", &elsewhere), ConnectDecision::Libc);
        let address = "[2001:db8::9]:9051";
        let refused = ConnectDecision::Refuse(Refusal::Ipv6Disabled);
        assert_eq!(decide(TCP6, address, &elsewhere), refused);
    }

    #[test]
    fn a_cookie_address_is_no_localhost() {
        let address = "127.42.42.7:80";
        let expected = ConnectDecision::ThroughTorByCookie(address.parse().unwrap());
        for settings in [Settings::DEFAULT, allowing(OutboundLocalhost::All)] {
            assert_eq!(decide(TCP4, address, &settings), expected);
        }
    }

    #[test]
    fn wildcards_are_no_destination_even_if_localhost_is_allowed() {
        for (socket, address) in [
            (TCP4, "0.0.0.0:80"),
            (TCP6, "[::]:80"),
            (TCP6, "[::ffff:0.0.0.0]:80"),
            (UDP4, "0.0.0.0:123"),
        ] {
            assert_eq!(
                decide(socket, address, &allowing(OutboundLocalhost::All)),
                ConnectDecision::Refuse(Refusal::Wildcard)
            );
        }
    }

    #[test]
    fn datagrams_reach_localhost_only_and_only_if_allowed() {
        let refused = ConnectDecision::Refuse(Refusal::NotAStream);
        assert_eq!(decide(UDP4, "127.0.0.1:123", &Settings::DEFAULT), refused);
        let allowed = allowing(OutboundLocalhost::All);
        assert_eq!(decide(UDP4, "127.0.0.1:123", &allowed), ConnectDecision::Libc);
        assert_eq!(decide(UDP4, "192.0.2.1:123", &allowed), refused);
    }

    #[test]
    fn a_name_server_of_this_system_or_that_tor_can_not_reach_is_ours_by_tcp() {
        for settings in [Settings::DEFAULT, allowing(OutboundLocalhost::All)] {
            for server in ["127.0.0.53:53", "10.0.0.1:53", "192.168.1.1:53", "192.0.2.53:53"] {
                let expected = ConnectDecision::NameServer(server.parse().unwrap());
                assert_eq!(decide(TCP4, server, &settings), expected);
            }
            let public = ConnectDecision::ThroughTor("192.0.2.1:53".parse().unwrap());
            assert_eq!(decide(TCP4, "192.0.2.1:53", &settings), public);
        }
    }

    #[test]
    fn every_name_server_is_ours_by_udp() {
        for settings in [Settings::DEFAULT, allowing(OutboundLocalhost::All)] {
            for server in ["192.0.2.1:53", "127.0.0.53:53", "0.0.0.0:53"] {
                let expected = ConnectDecision::NameServer(server.parse().unwrap());
                assert_eq!(decide(UDP4, server, &settings), expected);
            }
        }
        let raw = SocketKind { domain: libc::AF_INET, kind: libc::SOCK_RAW, protocol: 17 };
        let refused = ConnectDecision::Refuse(Refusal::NotAStream);
        assert_eq!(decide(raw, "192.0.2.1:53", &Settings::DEFAULT), refused);
    }

    #[test]
    fn ipv6_can_be_switched_off_without_losing_mapped_ipv4() {
        let settings = Settings { enable_ipv6: false, ..Settings::DEFAULT };
        assert_eq!(
            decide(TCP6, "[2001:db8::1]:80", &settings),
            ConnectDecision::Refuse(Refusal::Ipv6Disabled)
        );
        assert!(matches!(
            decide(TCP6, "[::ffff:192.0.2.1]:80", &settings),
            ConnectDecision::ThroughTor(_)
        ));
    }

    #[test]
    fn an_address_of_the_other_family_is_refused() {
        let refused = ConnectDecision::Refuse(Refusal::AddressFamily);
        assert_eq!(decide(TCP4, "[2001:db8::1]:80", &Settings::DEFAULT), refused);
        assert_eq!(decide(TCP6, "192.0.2.1:80", &Settings::DEFAULT), refused);
    }
}
