//! Decisions about descriptors that come from another process or go to a new program.

use super::SocketKind;
use super::socket::stays_local;
use crate::config::{PassedSockets, Settings};
use crate::sys::net::Answer;

/// Decision about a descriptor that came in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PassDecision {
    /// The program gets it.
    Take,
    /// It is closed.
    Drop,
    /// It is closed, and the call that brought it fails with `EACCES`.
    Refuse,
}

/// Origin of a TCP socket that came in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provenance {
    /// It is connected through Tor, by this process or by another program under this library, which
    /// has told so.
    Proved,
    /// The kernel says that it is connected to the Tor port; or it is this process's own and not
    /// connected.
    Likely,
    /// It may lead anywhere.
    Unknown,
}

/// Decides on a descriptor, which is `socket`, of `provenance` if that is TCP. A socket that can't
/// leave the machine is taken, as is one that is proved to lead through Tor. What the kernel does not
/// tell may be any socket.
pub fn pass(
    socket: Answer<SocketKind>,
    provenance: Provenance,
    settings: &Settings,
) -> PassDecision {
    use PassDecision::*;
    let is_tcp = match socket {
        Answer::NotASocket(_) => return Take,
        Answer::Is(socket) if stays_local(socket.domain) => return Take,
        Answer::Is(socket) => socket.is_tcp(),
        Answer::Unknown(_) => false,
    };
    match (settings.passed_sockets, provenance) {
        (_, Provenance::Proved) if is_tcp => Take,
        (PassedSockets::Torified, Provenance::Likely) if is_tcp => Take,
        (PassedSockets::Refuse | PassedSockets::Torified, _) => Refuse,
        (PassedSockets::Drop, _) => Drop,
        (PassedSockets::Allow, _) => Take,
    }
}

/// Tells whether a program that is started may inherit a descriptor, which is `socket`;
/// `is_confined` tells whether it is bound to the loopback interface. TCP is inherited: hooks see
/// each connect, and a connection is there because the user wants it so, and so is UDP that is
/// confined. With any other network socket nothing but `write` is needed to pass Tor by.
pub fn inherit(
    socket: Answer<SocketKind>,
    is_confined: impl FnOnce() -> bool,
    settings: &Settings,
) -> bool {
    settings.passed_sockets == PassedSockets::Allow
        || match socket {
            Answer::NotASocket(_) => true,
            Answer::Is(socket) => {
                stays_local(socket.domain) || socket.is_tcp() || socket.is_udp() && is_confined()
            }
            Answer::Unknown(_) => false,
        }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::Errno;

    fn decide(
        passed_sockets: PassedSockets,
        domain: i32,
        kind: i32,
        provenance: Provenance,
    ) -> PassDecision {
        let socket = SocketKind { domain, kind, protocol: 0 };
        pass(Answer::Is(socket), provenance, &Settings { passed_sockets, ..Settings::DEFAULT })
    }

    #[test]
    fn what_stays_on_the_machine_is_taken() {
        use libc::{AF_NETLINK, AF_UNIX, SOCK_DGRAM};
        for passed in [PassedSockets::Refuse, PassedSockets::Drop, PassedSockets::Torified] {
            for domain in [AF_UNIX, AF_NETLINK] {
                let decision = decide(passed, domain, SOCK_DGRAM, Provenance::Unknown);
                assert_eq!(decision, PassDecision::Take);
            }
        }
        let file = Answer::NotASocket(Errno(libc::ENOTSOCK));
        assert_eq!(pass(file, Provenance::Unknown, &Settings::DEFAULT), PassDecision::Take);
    }

    #[test]
    fn what_could_leave_the_machine_is_decided_by_the_setting() {
        use PassDecision::*;
        use libc::{AF_INET, AF_INET6, AF_PACKET, SOCK_DGRAM, SOCK_STREAM};
        for (domain, kind) in [(AF_INET, SOCK_STREAM), (AF_INET6, SOCK_DGRAM), (AF_PACKET, 3)] {
            assert_eq!(decide(PassedSockets::Refuse, domain, kind, Provenance::Likely), Refuse);
            assert_eq!(decide(PassedSockets::Drop, domain, kind, Provenance::Likely), Drop);
            assert_eq!(decide(PassedSockets::Torified, domain, kind, Provenance::Unknown), Refuse);
            assert_eq!(decide(PassedSockets::Allow, domain, kind, Provenance::Unknown), Take);
        }
        assert_eq!(decide(PassedSockets::Torified, AF_INET, SOCK_STREAM, Provenance::Likely), Take);
        assert_eq!(
            decide(PassedSockets::Torified, AF_INET, SOCK_DGRAM, Provenance::Likely),
            Refuse
        );
    }

    #[test]
    fn what_is_proved_to_lead_through_tor_is_taken_whatever_the_setting() {
        use PassedSockets::*;
        for passed in [Refuse, Drop, Torified, Allow] {
            let decision = decide(passed, libc::AF_INET6, libc::SOCK_STREAM, Provenance::Proved);
            assert_eq!(decision, PassDecision::Take);
        }
        let datagrams = decide(Refuse, libc::AF_INET, libc::SOCK_DGRAM, Provenance::Proved);
        assert_eq!(datagrams, PassDecision::Refuse, "nothing but TCP can be proved");
    }

    #[test]
    fn a_program_inherits_nothing_that_it_could_just_write_to() {
        use libc::{AF_INET, AF_INET6, AF_PACKET, AF_UNIX, SOCK_DGRAM, SOCK_RAW, SOCK_STREAM};
        let allowed = Settings { passed_sockets: PassedSockets::Allow, ..Settings::DEFAULT };
        for (domain, kind, expected, confined) in [
            (AF_INET, SOCK_STREAM, true, true),
            (AF_UNIX, SOCK_DGRAM, true, true),
            (AF_INET6, SOCK_DGRAM, false, true),
            (AF_INET, SOCK_RAW, false, false),
            (AF_PACKET, SOCK_RAW, false, false),
        ] {
            let socket = Answer::Is(SocketKind { domain, kind, protocol: 0 });
            assert_eq!(inherit(socket, || false, &Settings::DEFAULT), expected, "{socket:?}");
            assert_eq!(inherit(socket, || true, &Settings::DEFAULT), confined, "{socket:?}");
            assert!(inherit(socket, || false, &allowed));
        }
        let file = Answer::NotASocket(Errno(libc::ENOTSOCK));
        assert!(inherit(file, || false, &Settings::DEFAULT));
    }

    #[test]
    fn what_the_kernel_does_not_tell_may_be_any_socket() {
        use PassedSockets::*;
        let unknown = Answer::Unknown(Errno(libc::EPERM));
        for (passed_sockets, decision) in [
            (Refuse, PassDecision::Refuse),
            (Drop, PassDecision::Drop),
            (Torified, PassDecision::Refuse),
            (Allow, PassDecision::Take),
        ] {
            let settings = Settings { passed_sockets, ..Settings::DEFAULT };
            for provenance in [Provenance::Unknown, Provenance::Likely, Provenance::Proved] {
                assert_eq!(pass(unknown, provenance, &settings), decision);
            }
            assert_eq!(inherit(unknown, || true, &settings), passed_sockets == Allow);
        }
    }
}
