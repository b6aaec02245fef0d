//! Sockets that may wait for connections.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::address::is_localhost;
use super::{Address, Refusal};
use crate::config::{Inbound, Settings};

/// Reason that waiting for connections on a socket bound to `local` is refused, if it is: an inet address
/// that is not local would be reached past Tor.
pub fn inbound(local: Address, settings: &Settings) -> Option<Refusal> {
    match local {
        Address::Inet(address)
            if settings.allow_inbound != Inbound::All && !is_localhost(address.ip()) =>
        {
            Some(Refusal::Inbound)
        }
        _ => None,
    }
}

/// The same for taking connections. A socket without a port does not listen, as listen(2) would have
/// bound it: the kernel knows the errno.
pub fn accept_inbound(local: Address, settings: &Settings) -> Option<Refusal> {
    match local {
        Address::Inet(address) if address.port() == 0 => None,
        _ => inbound(local, settings),
    }
}

/// The loopback address that a TCP socket is bound to in place of `local`, with AllowInbound
/// `loopback`, if `local` is not local itself. `takes_ipv4` tells that an IPv6 socket is not for IPv6
/// alone: there the mapped loopback address is what more clients try.
pub fn bind_address(
    local: SocketAddr,
    takes_ipv4: bool,
    settings: &Settings,
) -> Option<SocketAddr> {
    if settings.allow_inbound != Inbound::Loopback || is_localhost(local.ip()) {
        return None;
    }
    let loopback: IpAddr = match local {
        SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        SocketAddr::V6(_) if takes_ipv4 => Ipv4Addr::LOCALHOST.to_ipv6_mapped().into(),
        SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    Some(SocketAddr::new(loopback, local.port()))
}

/// The address that a socket which is bound to the loopback interface is bound to in place of `local`, if
/// that is on another interface: every address of the family. It may listen there no more than at `local`.
pub fn confined_bind_address(local: SocketAddr) -> Option<SocketAddr> {
    let ip = local.ip().to_canonical();
    if ip.is_loopback() || ip.is_unspecified() || ip.is_multicast() {
        return None;
    }
    let every: IpAddr = match (local, ip) {
        (SocketAddr::V4(_), _) => Ipv4Addr::UNSPECIFIED.into(),
        (SocketAddr::V6(_), IpAddr::V4(_)) => Ipv4Addr::UNSPECIFIED.to_ipv6_mapped().into(),
        (SocketAddr::V6(_), IpAddr::V6(_)) => Ipv6Addr::UNSPECIFIED.into(),
    };
    Some(SocketAddr::new(every, local.port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_confined_socket_is_bound_to_no_other_interface_and_keeps_its_port() {
        let bound = |address: &str| {
            confined_bind_address(address.parse().unwrap()).map(|at| at.to_string())
        };
        assert_eq!(bound("192.0.2.1:80").as_deref(), Some("0.0.0.0:80"));
        assert_eq!(bound("[2001:db8::1]:80").as_deref(), Some("[::]:80"));
        assert_eq!(bound("[::ffff:192.0.2.1]:80").as_deref(), Some("[::ffff:0.0.0.0]:80"));
        for address in ["127.0.0.2:80", "[::1]:80", "0.0.0.0:80", "[::]:80", "224.0.0.251:5353"] {
            assert_eq!(bound(address), None);
        }
    }

    #[test]
    fn a_socket_that_can_not_listen_is_the_kernels_to_refuse() {
        let at = |address: &str| Address::Inet(address.parse().unwrap());
        assert_eq!(accept_inbound(at("0.0.0.0:0"), &Settings::DEFAULT), None);
        assert_eq!(inbound(at("0.0.0.0:0"), &Settings::DEFAULT), Some(Refusal::Inbound));
        assert_eq!(accept_inbound(at("[::]:80"), &Settings::DEFAULT), Some(Refusal::Inbound));
    }

    #[test]
    fn with_inbound_on_loopback_an_open_address_becomes_the_loopback_address() {
        let settings = Settings { allow_inbound: Inbound::Loopback, ..Settings::DEFAULT };
        let bound = |address: &str, takes_ipv4| {
            bind_address(address.parse().unwrap(), takes_ipv4, &settings).map(|at| at.to_string())
        };
        for address in ["0.0.0.0:80", "192.0.2.1:80"] {
            assert_eq!(bound(address, false).as_deref(), Some("127.0.0.1:80"));
        }
        assert_eq!(bound("[::]:80", true).as_deref(), Some("[::ffff:127.0.0.1]:80"));
        assert_eq!(bound("[::]:0", false).as_deref(), Some("[::1]:0"));
        assert_eq!(bound("[::ffff:192.0.2.1]:80", true).as_deref(), Some("[::ffff:127.0.0.1]:80"));
        for address in ["127.0.0.2:80", "[::1]:80"] {
            assert_eq!(bound(address, true), None);
        }
        let refused = inbound(Address::Inet("0.0.0.0:80".parse().unwrap()), &settings);
        assert_eq!(refused, Some(Refusal::Inbound));
        for allow_inbound in [Inbound::Never, Inbound::All] {
            let settings = Settings { allow_inbound, ..Settings::DEFAULT };
            assert_eq!(bind_address("0.0.0.0:80".parse().unwrap(), true, &settings), None);
        }
    }

    #[test]
    fn only_local_addresses_listen_unless_inbound_is_allowed() {
        let closed = Settings::DEFAULT;
        let open = Settings { allow_inbound: Inbound::All, ..Settings::DEFAULT };
        let at = |address: &str| Address::Inet(address.parse().unwrap());
        for address in ["127.0.0.1:80", "[::1]:80", "[::ffff:127.0.0.1]:80"] {
            assert_eq!(inbound(at(address), &closed), None);
        }
        for address in ["0.0.0.0:80", "[::]:80", "192.0.2.1:80"] {
            assert_eq!(inbound(at(address), &closed), Some(Refusal::Inbound));
            assert_eq!(inbound(at(address), &open), None);
        }
        assert_eq!(inbound(Address::Other, &closed), None);
    }
}
