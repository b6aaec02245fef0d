//! Whether a descriptor from another process is taken, and whether a program inherits it.

use super::SocketKind;
use super::socket::stays_local;
use crate::config::{PassedSockets, Settings};

/// What becomes of a descriptor that came in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PassDecision {
    /// The program gets it.
    Take,
    /// It is closed.
    Drop,
    /// It is closed, and the call that brought it fails with `EACCES`.
    Refuse,
}

/// Decides on a descriptor, which is `socket` if it is one; `is_torified` is asked only where the
/// answer matters. A socket that can't leave the machine is taken.
pub fn pass(
    socket: Option<SocketKind>,
    is_torified: impl FnOnce() -> bool,
    settings: &Settings,
) -> PassDecision {
    use PassDecision::*;
    let Some(socket) = socket.filter(|socket| !stays_local(socket.domain)) else { return Take };
    match settings.passed_sockets {
        PassedSockets::Torified if socket.is_tcp() && is_torified() => Take,
        PassedSockets::Refuse | PassedSockets::Torified => Refuse,
        PassedSockets::Drop => Drop,
        PassedSockets::Allow => Take,
    }
}

/// Whether a program that is started may inherit a descriptor, which is `socket` if it is one. TCP
/// is inherited: hooks see each connect, and a connection is there because the user wants it so.
/// With any other network socket nothing but `write` is needed to pass Tor by.
pub fn inherit(socket: Option<SocketKind>, settings: &Settings) -> bool {
    settings.passed_sockets == PassedSockets::Allow
        || socket.is_none_or(|socket| stays_local(socket.domain) || socket.is_tcp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(
        passed_sockets: PassedSockets,
        domain: i32,
        kind: i32,
        torified: bool,
    ) -> PassDecision {
        let socket = SocketKind { domain, kind, protocol: 0 };
        pass(Some(socket), || torified, &Settings { passed_sockets, ..Settings::DEFAULT })
    }

    #[test]
    fn what_stays_on_the_machine_is_taken() {
        use libc::{AF_NETLINK, AF_UNIX, SOCK_DGRAM};
        for passed in [PassedSockets::Refuse, PassedSockets::Drop, PassedSockets::Torified] {
            assert_eq!(decide(passed, AF_UNIX, SOCK_DGRAM, false), PassDecision::Take);
            assert_eq!(decide(passed, AF_NETLINK, SOCK_DGRAM, false), PassDecision::Take);
        }
        let nobody = || -> bool { panic!("not asked") };
        assert_eq!(pass(None, nobody, &Settings::DEFAULT), PassDecision::Take);
    }

    #[test]
    fn what_could_leave_the_machine_is_decided_by_the_setting() {
        use PassDecision::*;
        use libc::{AF_INET, AF_INET6, AF_PACKET, SOCK_DGRAM, SOCK_STREAM};
        for (domain, kind) in [(AF_INET, SOCK_STREAM), (AF_INET6, SOCK_DGRAM), (AF_PACKET, 3)] {
            assert_eq!(decide(PassedSockets::Refuse, domain, kind, true), Refuse);
            assert_eq!(decide(PassedSockets::Drop, domain, kind, true), Drop);
            assert_eq!(decide(PassedSockets::Torified, domain, kind, false), Refuse);
            assert_eq!(decide(PassedSockets::Allow, domain, kind, false), Take);
        }
        assert_eq!(decide(PassedSockets::Torified, AF_INET, SOCK_STREAM, true), Take);
        assert_eq!(decide(PassedSockets::Torified, AF_INET, SOCK_DGRAM, true), Refuse);
    }

    #[test]
    fn a_program_inherits_nothing_that_it_could_just_write_to() {
        use libc::{AF_INET, AF_INET6, AF_PACKET, AF_UNIX, SOCK_DGRAM, SOCK_RAW, SOCK_STREAM};
        let allowed = Settings { passed_sockets: PassedSockets::Allow, ..Settings::DEFAULT };
        for (domain, kind, expected) in [
            (AF_INET, SOCK_STREAM, true),
            (AF_UNIX, SOCK_DGRAM, true),
            (AF_INET6, SOCK_DGRAM, false),
            (AF_INET, SOCK_RAW, false),
            (AF_PACKET, SOCK_RAW, false),
        ] {
            let socket = Some(SocketKind { domain, kind, protocol: 0 });
            assert_eq!(inherit(socket, &Settings::DEFAULT), expected, "{socket:?}");
            assert!(inherit(socket, &allowed));
        }
        assert!(inherit(None, &Settings::DEFAULT));
    }
}
