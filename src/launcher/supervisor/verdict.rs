//! The verdict on a call: values in, a value out. The policy is the hooks'.

use std::net::SocketAddr;

use epochsocks::config::{Inbound, Settings};
use epochsocks::policy::connect::{Known, connect as decide_connect};
use epochsocks::policy::send::send as decide_send;
use epochsocks::policy::socket::{confines_streams, silences_datagrams};
use epochsocks::policy::{Address, ConnectDecision, Refusal, SendDecision, SocketKind};

/// The verdict on a call that names a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The kernel carries it out: it can't lead to the network.
    Pass,
    /// It fails as the kernel would have it fail: the address is none.
    Invalid,
    /// The supervisor does it in the program's place, with its own copy of the address.
    Direct(SocketAddr),
    /// The socket lets go of its peer.
    Dissolve,
    /// The socket is connected through Tor, by the name behind a cookie address or by the address.
    ThroughTor {
        /// Destination that the program wants.
        destination: SocketAddr,
        /// It is a cookie address.
        is_cookie: bool,
    },
    /// It asks this name server, which the supervisor answers for.
    NameServer(SocketAddr),
    /// It is refused.
    Refuse(Refusal),
}

/// The verdict on connect(2).
pub fn connect(
    kind: SocketKind,
    address: Address,
    known: &impl Known,
    settings: &Settings,
) -> Verdict {
    match decide_connect(kind, address, known, settings) {
        ConnectDecision::Libc if !kind.is_inet() => Verdict::Pass,
        ConnectDecision::Libc => match address {
            Address::Inet(destination) => Verdict::Direct(destination),
            _ => Verdict::Invalid,
        },
        ConnectDecision::Dissolve => Verdict::Dissolve,
        ConnectDecision::ThroughTor(destination) => {
            Verdict::ThroughTor { destination, is_cookie: false }
        }
        ConnectDecision::ThroughTorByCookie(destination) => {
            Verdict::ThroughTor { destination, is_cookie: true }
        }
        ConnectDecision::NameServer(server) => Verdict::NameServer(server),
        ConnectDecision::Refuse(refusal) => Verdict::Refuse(refusal),
    }
}

/// The verdict on data for `address`: a verdict of [`connect`] for TCP that connects first.
pub fn send(
    kind: SocketKind,
    address: Address,
    is_fast_open: bool,
    known: &impl Known,
    settings: &Settings,
) -> Verdict {
    match decide_send(kind, address, is_fast_open, settings) {
        SendDecision::ConnectFirst => connect(kind, address, known, settings),
        // Without Fast Open the kernel sends where a stream leads, whatever the address.
        SendDecision::Libc if !kind.is_inet() || kind.is_tcp() => Verdict::Pass,
        SendDecision::Libc => match address {
            Address::Inet(destination) => Verdict::Direct(destination),
            _ => Verdict::Invalid,
        },
        SendDecision::NameServer(server) => Verdict::NameServer(server),
        SendDecision::Refuse(refusal) => Verdict::Refuse(refusal),
    }
}

/// The limits that a socket gets before the program has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Confinement {
    /// It is bound to the loopback interface.
    pub to_loopback: bool,
    /// It can't send.
    pub silenced: bool,
}

/// The confinement of a socket of the kind `kind`. What a program may reach without Tor is not on the
/// loopback interface, nor is a Tor on another machine.
pub fn confinement(kind: SocketKind, settings: &Settings) -> Confinement {
    let is_open = settings.allow_inbound == Inbound::All;
    if kind.is_tcp() {
        let to_loopback = confines_streams(settings);
        return Confinement { to_loopback, silenced: false };
    }
    Confinement { to_loopback: !is_open, silenced: silences_datagrams(settings) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use epochsocks::config::{Direct, OutboundLocalhost};

    const TCP: SocketKind =
        SocketKind { domain: libc::AF_INET, kind: libc::SOCK_STREAM, protocol: 6 };
    const UDP: SocketKind =
        SocketKind { domain: libc::AF_INET, kind: libc::SOCK_DGRAM, protocol: 17 };
    const UNIX: SocketKind =
        SocketKind { domain: libc::AF_UNIX, kind: libc::SOCK_STREAM, protocol: 0 };

    struct Nothing;

    impl Known for Nothing {
        fn is_cookie(&self, address: SocketAddr) -> bool {
            address.ip().to_string() == "127.42.42.7"
        }
        fn is_direct(&self, _: SocketAddr) -> bool {
            false
        }
        fn is_answer(&self, _: SocketAddr) -> bool {
            false
        }
        fn is_name_server(&self, _: SocketAddr) -> bool {
            false
        }
    }

    fn at(address: &str) -> Address {
        Address::Inet(address.parse().unwrap())
    }

    #[test]
    fn no_call_on_an_inet_socket_passes() {
        let settings =
            Settings { allow_outbound_localhost: OutboundLocalhost::All, ..Settings::DEFAULT };
        let addresses = [
            at("127.0.0.1:9050"),
            at("127.0.0.1:1"),
            Address::Short,
            Address::Other,
            Address::Unspecified,
        ];
        for address in addresses {
            for kind in [TCP, UDP] {
                assert_ne!(connect(kind, address, &Nothing, &settings), Verdict::Pass);
            }
            assert_ne!(send(UDP, address, false, &Nothing, &settings), Verdict::Pass);
        }
        assert_eq!(connect(UNIX, Address::Other, &Nothing, &settings), Verdict::Pass);
        assert_eq!(send(UNIX, Address::Other, false, &Nothing, &settings), Verdict::Pass);
    }

    #[test]
    fn a_stream_goes_through_tor_and_a_question_to_the_stub() {
        let decide = |kind, address| connect(kind, at(address), &Nothing, &Settings::DEFAULT);
        let destination = "192.0.2.1:80".parse().unwrap();
        let expected = Verdict::ThroughTor { destination, is_cookie: false };
        assert_eq!(decide(TCP, "192.0.2.1:80"), expected);
        assert_eq!(send(TCP, at("192.0.2.1:80"), true, &Nothing, &Settings::DEFAULT), expected);
        assert!(matches!(
            decide(TCP, "127.42.42.7:80"),
            Verdict::ThroughTor { is_cookie: true, .. }
        ));
        assert_eq!(
            decide(TCP, "127.0.0.1:9050"),
            Verdict::Direct("127.0.0.1:9050".parse().unwrap())
        );
        assert_eq!(
            decide(UDP, "192.0.2.1:53"),
            Verdict::NameServer("192.0.2.1:53".parse().unwrap())
        );
        assert_eq!(decide(UDP, "192.0.2.1:54"), Verdict::Refuse(Refusal::NotAStream));
        assert_eq!(decide(TCP, "127.0.0.1:80"), Verdict::Refuse(Refusal::Localhost));
    }

    #[test]
    fn a_socket_is_confined_unless_the_user_lets_it_out() {
        let defaults = Settings::DEFAULT;
        assert_eq!(confinement(TCP, &defaults), Confinement { to_loopback: true, silenced: false });
        assert_eq!(confinement(UDP, &defaults), Confinement { to_loopback: true, silenced: true });
        let direct = Settings { allow_direct: Direct::new(b"192.168.0.0/16"), ..Settings::DEFAULT };
        assert!(!confinement(TCP, &direct).to_loopback && confinement(UDP, &direct).to_loopback);
        let remote = Settings { tor_address: "192.0.2.9".parse().unwrap(), ..Settings::DEFAULT };
        assert!(!confinement(TCP, &remote).to_loopback && confinement(UDP, &remote).to_loopback);
    }
}
