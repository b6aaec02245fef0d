//! Who may wait for connections.

use super::address::is_localhost;
use super::{Address, Refusal};
use crate::config::Settings;

/// Why waiting for connections on a socket bound to `local` is refused, if it is: an inet address
/// that is not local would be reached beside Tor.
pub fn inbound(local: Address, settings: &Settings) -> Option<Refusal> {
    match local {
        Address::Inet(address) if !settings.allow_inbound && !is_localhost(address.ip()) => {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_that_can_not_listen_is_the_kernels_to_refuse() {
        let at = |address: &str| Address::Inet(address.parse().unwrap());
        assert_eq!(accept_inbound(at("0.0.0.0:0"), &Settings::DEFAULT), None);
        assert_eq!(inbound(at("0.0.0.0:0"), &Settings::DEFAULT), Some(Refusal::Inbound));
        assert_eq!(accept_inbound(at("[::]:80"), &Settings::DEFAULT), Some(Refusal::Inbound));
    }

    #[test]
    fn only_local_addresses_listen_unless_inbound_is_allowed() {
        let closed = Settings::DEFAULT;
        let open = Settings { allow_inbound: true, ..Settings::DEFAULT };
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
