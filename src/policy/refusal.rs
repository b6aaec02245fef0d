//! Reasons that a call is refused: one errno and one line for the log each.

use core::fmt;

use crate::sys::Errno;

/// A refused call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// An inet socket that is not a stream, or an address for one: it can't go through Tor.
    NotAStream,
    /// A stream protocol other than TCP (MPTCP, SCTP, DCCP).
    StreamProtocol(i32),
    /// A socket family that may leave the machine past Tor.
    Family(i32),
    /// A local address, without AllowOutboundLocalhost.
    Localhost,
    /// An address of a private network, without AllowDirect.
    Private,
    /// 0.0.0.0 or `::`.
    Wildcard,
    /// An address of the cookie range that this process did not hand out.
    UnknownCookie,
    /// An IPv6 destination while EnableIPv6 is 0.
    Ipv6Disabled,
    /// The Tor port is on IPv6 and the socket is not.
    TorAddressFamily,
    /// The Tor port is on IPv4 and the socket was bound as IPv6 only.
    BoundV6Only,
    /// An inet address that is not local, without AllowInbound.
    Inbound,
    /// A network interface other than the loopback.
    Interface,
    /// A source route, which leads packets elsewhere than their address.
    SourceRoute,
    /// A multicast group, of which routers are told.
    Multicast,
    /// Another protocol than TLS that would take a TCP socket over.
    UpperLayer,
    /// TCP's repair mode, which makes connections without connect.
    Repair,
    /// A function of libc that connects or looks up inside, where no hook is.
    InsideLibc,
    /// A network socket from another process, which may not go through Tor.
    Passed,
    /// A TCP socket that was connected past every hook.
    Beside,
    /// An address of another family than the socket's.
    AddressFamily,
    /// The UNIX socket of a service that looks names up without Tor.
    LookupService,
    /// A descriptor of which the kernel does not tell what it is.
    Untold,
}

impl Refusal {
    /// The errno that the program sees.
    pub const fn errno(self) -> Errno {
        Errno(match self {
            Refusal::NotAStream
            | Refusal::Family(_)
            | Refusal::Localhost
            | Refusal::Private
            | Refusal::Wildcard
            | Refusal::UnknownCookie
            | Refusal::Interface
            | Refusal::SourceRoute
            | Refusal::Multicast
            | Refusal::Repair
            | Refusal::UpperLayer
            | Refusal::InsideLibc
            | Refusal::Untold
            | Refusal::Beside
            | Refusal::Inbound => libc::EPERM,
            Refusal::Passed => libc::EACCES,
            // As where it does not run: the program looks names up otherwise.
            Refusal::LookupService => libc::ECONNREFUSED,
            Refusal::StreamProtocol(_) => libc::EPROTONOSUPPORT,
            Refusal::Ipv6Disabled | Refusal::BoundV6Only => libc::ENETUNREACH,
            Refusal::TorAddressFamily | Refusal::AddressFamily => libc::EAFNOSUPPORT,
        })
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::NotAStream => f.write_str("only TCP streams can go through Tor"),
            Refusal::StreamProtocol(number) => {
                write!(f, "protocol {number} can't go through Tor, TCP can")
            }
            Refusal::Family(family) => {
                write!(f, "sockets of family {family} could leave the machine past Tor")
            }
            Refusal::Localhost => f.write_str(
                "local address; AllowOutboundLocalhost permits it, AllowDirect a single port",
            ),
            Refusal::Private => f.write_str(
                "private address, to which no exit leads; AllowDirect reaches it without Tor, \
                 LocalDestinations tor asks Tor",
            ),
            Refusal::Wildcard => f.write_str("0.0.0.0 and :: are no destination"),
            Refusal::UnknownCookie => {
                f.write_str("address of the onion range that no lookup of this process has given")
            }
            Refusal::Ipv6Disabled => f.write_str("IPv6 destination while EnableIPv6 is 0"),
            Refusal::TorAddressFamily => {
                f.write_str("TorAddress is IPv6, which an IPv4 socket can't reach")
            }
            Refusal::BoundV6Only => {
                f.write_str("socket bound as IPv6 only can't reach the IPv4 TorAddress")
            }
            Refusal::Inbound => {
                f.write_str("inbound connections would bypass Tor; AllowInbound permits them")
            }
            Refusal::Interface => {
                f.write_str("a socket on another interface than lo would bypass Tor")
            }
            Refusal::SourceRoute => f.write_str("a source route would bypass Tor"),
            Refusal::Multicast => f.write_str("routers would be told of a multicast group"),
            Refusal::UpperLayer => {
                f.write_str("another protocol than TLS over the socket could bypass Tor")
            }
            Refusal::Repair => f.write_str("TCP's repair mode would bypass Tor"),
            Refusal::InsideLibc => f.write_str("libc would bypass Tor inside this function"),
            Refusal::Passed => f.write_str(
                "a network socket that was passed would bypass Tor; PassedSockets permits it",
            ),
            Refusal::Beside => {
                f.write_str("the connection was made without Tor, past the C library")
            }
            Refusal::AddressFamily => f.write_str("address of another family than the socket's"),
            Refusal::LookupService => f.write_str("the service would look names up without Tor"),
            Refusal::Untold => f.write_str("the kernel does not tell what kind of socket it is"),
        }
    }
}
