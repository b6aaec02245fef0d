//! The server's three messages. Each function takes what has arrived of one message so far and
//! judges it as early as its bytes allow, so that a broken server is never waited for.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Command, Credentials, Error, Name, ReplyCode, VERSION, address_type, method};

/// Answer of a handshake that ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "there is no allocator to box the name with")]
pub enum Answer {
    /// CONNECT: the stream is open; the next byte is the peer's.
    Connected,
    /// RESOLVE: an address of the name, of either family.
    Address(IpAddr),
    /// RESOLVE_PTR: the name of the address.
    Name(Name),
}

/// Length of the method selection and of the authentication's status.
pub(super) const SHORT: usize = 2;
/// Length of the shortest reply: one with an empty name.
pub(super) const SHORTEST: usize = 7;
/// Length of the longest reply: one with a name of 255 bytes.
pub(super) const LONGEST: usize = 4 + 1 + 255 + 2;

/// Judges the method selection (RFC 1928, section 3) after an offer of `offered` alone.
///
/// With method 0 the request has been sent along. Where tor rejects a request while it parses it
/// (a malformed name, RESOLVE_PTR of a name, an address under `SafeSocks`) the method selection is
/// lost: `05 01 00 01…` is then the reply itself, and all of the answer.
pub(super) fn check_method(message: &[u8], offered: u8) -> Result<(), Error> {
    match *message {
        [] | [VERSION] => Ok(()),
        [b'H', ..] => Err(Error::Http),
        [VERSION, chosen, ..] if chosen == offered => Ok(()),
        [VERSION, method::NONE_ACCEPTABLE, ..] => Err(Error::NoAcceptableMethod),
        [VERSION, code, ..] if offered == method::NONE && ReplyCode(code).is_known() => {
            Err(Error::Refused(ReplyCode(code)))
        }
        [VERSION, chosen, ..] => Err(Error::UnofferedMethod(chosen)),
        [byte, ..] => Err(Error::NotSocks(byte)),
    }
}

/// Judges the status of user name and password (RFC 1929, section 2). The request has been sent
/// along, so its reply may stand here alone, as in [`check_method`].
pub(super) fn check_authentication(message: &[u8]) -> Result<(), Error> {
    match *message {
        [] | [Credentials::VERSION] | [VERSION] | [Credentials::VERSION, 0, ..] => Ok(()),
        [Credentials::VERSION, status, ..] => Err(Error::AuthenticationRejected(status)),
        [VERSION, 0, ..] => Err(Error::AuthenticationSkipped),
        [VERSION, code, ..] => Err(Error::Refused(ReplyCode(code))),
        [byte, ..] => Err(Error::AuthenticationVersion(byte)),
    }
}

/// Judges a reply (RFC 1928, section 6). Answers how long it is in all, or, while that can't be
/// told, the least that it can be.
pub(super) fn check_reply(message: &[u8]) -> Result<usize, Error> {
    match *message {
        [] | [VERSION] | [VERSION, 0] | [VERSION, 0, _] => Ok(SHORTEST),
        [VERSION, 0, _, address_type::ABSENT | address_type::IPV4, ..] => Ok(4 + 4 + 2),
        [VERSION, 0, _, address_type::IPV6, ..] => Ok(4 + 16 + 2),
        [VERSION, 0, _, address_type::NAME] => Ok(SHORTEST),
        [VERSION, 0, _, address_type::NAME, length, ..] => Ok(4 + 1 + usize::from(length) + 2),
        [VERSION, 0, _, unknown, ..] => Err(Error::AddressType(unknown)),
        [VERSION, code, ..] => Err(Error::Refused(ReplyCode(code))),
        [byte, ..] => Err(Error::ReplyVersion(byte)),
    }
}

/// Reads a whole reply that [`check_reply`] found good as the answer to `command`.
pub(super) fn answer(message: &[u8], command: Command) -> Result<Answer, Error> {
    let (kind, rest) = match message {
        [_, _, _, kind, rest @ ..] => (*kind, rest),
        _ => return Err(Error::NoAnswer),
    };
    match command {
        Command::Connect => Ok(Answer::Connected),
        Command::Resolve => address(kind, rest).map(Answer::Address).ok_or(Error::NoAnswer),
        Command::ResolvePtr => match (kind, rest) {
            (address_type::NAME, [_, name @ .., _, _]) => {
                Name::new(name).map(Answer::Name).map_err(|_| Error::BadName)
            }
            _ => Err(Error::NoAnswer),
        },
    }
}

fn address(kind: u8, rest: &[u8]) -> Option<IpAddr> {
    match kind {
        address_type::IPV4 => rest.first_chunk::<4>().map(|octets| Ipv4Addr::from(*octets).into()),
        address_type::IPV6 => rest.first_chunk::<16>().map(|octets| Ipv6Addr::from(*octets).into()),
        _ => None,
    }
}
