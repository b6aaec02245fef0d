//! Reasons that a lookup has no answer, and the codes that say so in C.

use core::fmt;
use core::net::IpAddr;

use super::name_class::BadName;
use crate::sys::Errno;
use crate::tor::ResolveError;

/// The `h_errno` values of netdb.h, which the libc crate does not declare.
pub mod h_errno {
    /// See errno.
    pub const NETDB_INTERNAL: i32 = -1;
    /// No such host.
    pub const HOST_NOT_FOUND: i32 = 1;
    /// Try again later.
    pub const TRY_AGAIN: i32 = 2;
    /// Trying again won't help.
    pub const NO_RECOVERY: i32 = 3;
    /// The host exists, but has no address of this family.
    pub const NO_DATA: i32 = 4;
}

/// Reason that a name got no cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolError {
    /// Every address of the range stands for a name; `OnionAddrRange` can be made larger.
    Exhausted,
    /// The name is empty or longer than 255 bytes.
    BadName,
    /// The kernel gave no memory for the table.
    NoMemory(Errno),
}

impl core::fmt::Display for PoolError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            PoolError::Exhausted => {
                f.write_str("every address of OnionAddrRange is taken: set a larger range")
            }
            PoolError::BadName => f.write_str("a host name has 1 to 255 bytes"),
            PoolError::NoMemory(errno) => write!(f, "no table of onion names: {errno}"),
        }
    }
}

/// Reason that a lookup has no answer. `Display` is one line, fit for a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookupError {
    /// The name does not exist.
    Bad(BadName),
    /// The name exists, but not in the wanted family.
    NoAddress,
    /// An address of the onion range that stands for no name.
    UnknownCookie,
    /// Tor's answer is loopback, unspecified or of the cookie range: no exit's word leads there.
    LocalAnswer(IpAddr),
    /// The name is one of local networks, which no exit knows.
    LocalName,
    /// The address is one of a private network, whose names no exit knows.
    LocalAddress,
    /// Tor's answer is not a name that a host can have.
    NameAnswer,
    /// No cookie is left.
    Pool(PoolError),
    /// Tor has no answer.
    Tor(ResolveError),
    /// The address family is none of IPv4 and IPv6.
    Family,
}

/// The same in C: what getaddrinfo(3) returns, `h_errno`, and errno where one of them asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Codes {
    /// `EAI_*`.
    pub eai: i32,
    /// `h_errno`.
    pub h_errno: i32,
    /// Return value of the reentrant functions and, with `EAI_SYSTEM` and `NETDB_INTERNAL`, errno.
    /// 0 where the lookup worked and found nothing, as in glibc.
    pub errno: Errno,
}

impl LookupError {
    /// The one table from a failure to the codes of the C functions. Tor not running, or silent,
    /// is `EAI_AGAIN`; what talks on Tor's port but is not SOCKS5 or refuses us is `EAI_FAIL`.
    pub fn codes(&self) -> Codes {
        use h_errno::{HOST_NOT_FOUND, NETDB_INTERNAL, NO_DATA, NO_RECOVERY, TRY_AGAIN};
        let (eai, h_errno, errno) = match self {
            LookupError::Bad(_)
            | LookupError::UnknownCookie
            | LookupError::LocalAnswer(_)
            | LookupError::LocalName
            | LookupError::LocalAddress
            | LookupError::NameAnswer => (libc::EAI_NONAME, HOST_NOT_FOUND, 0),
            LookupError::Tor(error) if error.is_unknown() => (libc::EAI_NONAME, HOST_NOT_FOUND, 0),
            LookupError::NoAddress => (libc::EAI_NODATA, NO_DATA, 0),
            LookupError::Tor(error) if error.is_temporary() => {
                (libc::EAI_AGAIN, TRY_AGAIN, libc::EAGAIN)
            }
            LookupError::Tor(ResolveError::Socket(errno)) => {
                (libc::EAI_SYSTEM, NETDB_INTERNAL, errno.0)
            }
            LookupError::Pool(PoolError::NoMemory(errno)) => {
                (libc::EAI_MEMORY, NETDB_INTERNAL, errno.0)
            }
            LookupError::Pool(_) => (libc::EAI_FAIL, NO_RECOVERY, libc::ENOBUFS),
            LookupError::Tor(_) => (libc::EAI_FAIL, NO_RECOVERY, libc::EPROTO),
            LookupError::Family => (libc::EAI_FAMILY, NETDB_INTERNAL, libc::EAFNOSUPPORT),
        };
        Codes { eai, h_errno, errno: Errno(errno) }
    }

    /// Tells whether the answer is an ordinary "no", which needs no log line.
    pub fn is_plain_no(&self) -> bool {
        self.codes().errno == Errno(0)
            && !matches!(
                self,
                LookupError::UnknownCookie | LookupError::LocalAnswer(_) | LookupError::NameAnswer
            )
    }
}

impl fmt::Display for LookupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LookupError::Bad(error) => error.fmt(f),
            LookupError::NoAddress => f.write_str("no address of the wanted family"),
            LookupError::UnknownCookie => {
                f.write_str("address of the onion range that no lookup has given")
            }
            LookupError::LocalAnswer(address) => {
                write!(f, "the exit's answer {address} is an address of this machine: not taken")
            }
            LookupError::LocalName => f.write_str(
                "a name of local networks, which no exit knows: Tor is not asked; AllowDirect takes it \
                 from /etc/hosts, LocalDestinations tor asks Tor",
            ),
            LookupError::LocalAddress => f.write_str(
                "an address of a private network, whose names no exit knows: Tor is not asked; \
                 LocalDestinations tor asks Tor",
            ),
            LookupError::NameAnswer => f.write_str("the exit's answer is no host name: not taken"),
            LookupError::Pool(error) => error.fmt(f),
            LookupError::Tor(error) => error.fmt(f),
            LookupError::Family => f.write_str("neither an IPv4 nor an IPv6 lookup"),
        }
    }
}

impl core::error::Error for LookupError {}
