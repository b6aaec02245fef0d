//! The reply codes, what they mean, and the errno that a program sees.

use core::fmt;

use crate::sys::Errno;

/// The REP field of a reply that is not "succeeded": RFC 1928, section 6, and Tor's extended codes
/// for onion services, which a SocksPort with the flag `ExtendedErrors` sends (proposal 304).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct ReplyCode(pub u8);

/// One row: code, errno for `connect`, meaning.
type Row = (ReplyCode, i32, &'static str);

/// Every code that is known. Tor answers a closed port with 1 as well as with 5, so both are
/// ECONNREFUSED, and an unknown name with 4.
const TABLE: [Row; 16] = [
    (
        ReplyCode(0x01),
        libc::ECONNREFUSED,
        "general failure: nothing listens on the port, or no exit may reach it",
    ),
    (ReplyCode(0x02), libc::EACCES, "not allowed by the proxy's rules (see tor's log)"),
    (ReplyCode(0x03), libc::ENETUNREACH, "network unreachable from the exit"),
    (
        ReplyCode::HOST_UNREACHABLE,
        libc::EHOSTUNREACH,
        "host unreachable, name unknown, or onion service down",
    ),
    (ReplyCode(0x05), libc::ECONNREFUSED, "connection refused: nothing listens on the port"),
    (ReplyCode::TTL_EXPIRED, libc::ETIMEDOUT, "time to live expired"),
    (ReplyCode(0x07), libc::EOPNOTSUPP, "command not supported by the proxy"),
    (ReplyCode(0x08), libc::EAFNOSUPPORT, "address type not supported by the proxy"),
    (ReplyCode(0xF0), libc::EHOSTUNREACH, "onion service descriptor not found"),
    (ReplyCode(0xF1), libc::EHOSTUNREACH, "onion service descriptor invalid"),
    (ReplyCode(0xF2), libc::EHOSTUNREACH, "onion service introduction failed"),
    (ReplyCode(0xF3), libc::EHOSTUNREACH, "onion service rendezvous failed"),
    (ReplyCode(0xF4), libc::EACCES, "onion service asks for a client authorization that tor lacks"),
    (ReplyCode(0xF5), libc::EACCES, "onion service rejects tor's client authorization"),
    (ReplyCode(0xF6), libc::EHOSTUNREACH, "onion address invalid"),
    (ReplyCode(0xF7), libc::ETIMEDOUT, "onion service introduction timed out"),
];

impl ReplyCode {
    /// Tor's answer for a name that does not exist, and for a host without a route.
    pub const HOST_UNREACHABLE: ReplyCode = ReplyCode(0x04);
    /// Tor's answer when a stream timed out on its way.
    pub const TTL_EXPIRED: ReplyCode = ReplyCode(0x06);

    /// The errno for `connect`, from the table in this file; `ECONNREFUSED` for an unknown code.
    pub fn errno(self) -> Errno {
        Errno(self.row().map_or(libc::ECONNREFUSED, |row| row.1))
    }

    /// Meaning of the code, in a few words.
    pub fn meaning(self) -> &'static str {
        self.row().map_or("unknown code", |row| row.2)
    }

    /// Tells whether the SOCKS port itself has refused. Any other code tells of the way behind it.
    pub fn is_of_the_port(self) -> bool {
        matches!(self.0, 0x02 | 0x07 | 0x08) || !self.is_known()
    }

    /// Tells whether RFC 1928 or Tor defines the code.
    pub fn is_known(self) -> bool {
        self.row().is_some()
    }

    #[inline(never)] // Each copy would have a table of pointers, to be relocated at every exec.
    fn row(self) -> Option<&'static Row> {
        TABLE.iter().find(|row| row.0 == self)
    }
}

/// `time to live expired (code 06)`.
impl fmt::Display for ReplyCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (code {:02X})", self.meaning(), self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_stands_once_and_success_not_at_all() {
        let codes: std::collections::BTreeSet<u8> = TABLE.iter().map(|row| row.0.0).collect();
        assert_eq!(codes.len(), TABLE.len());
        assert!(codes.into_iter().eq((1..=8).chain(0xF0..=0xF7)));
    }

    #[test]
    fn the_ports_own_refusals_are_told_from_what_tor_met() {
        let own = (1..=8).chain(0xF0..=0xF7).filter(|code| ReplyCode(*code).is_of_the_port());
        assert!(own.eq([2, 7, 8]));
        assert!(ReplyCode(0x99).is_of_the_port());
    }

    #[test]
    fn an_unknown_code_is_refused_and_shown() {
        assert_eq!(ReplyCode(0x99).errno(), Errno(libc::ECONNREFUSED));
        assert_eq!(ReplyCode(0x99).to_string(), "unknown code (code 99)");
        assert_eq!(ReplyCode(0xF4).errno(), Errno(libc::EACCES));
    }
}
