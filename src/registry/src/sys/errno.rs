//! Error numbers as values.

use core::fmt;

/// An errno value, e.g. `Errno(libc::ECONNREFUSED)`; the C variable is set only at a hook's edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(pub i32);

impl Errno {
    /// Splits a raw kernel result into a value or the errno it carries.
    #[inline(always)]
    pub const fn check(result: isize) -> Result<usize, Errno> {
        if result < 0 && result >= -4095 { Err(Errno(-result as i32)) } else { Ok(result as usize) }
    }
}

/// The name and meaning of the errors that a user is told of, `errno 123` for any other.
impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            libc::EPERM => "not permitted (EPERM)",
            libc::ENOENT => "no such file or directory (ENOENT)",
            libc::EINTR => "interrupted (EINTR)",
            libc::EIO => "input/output error (EIO)",
            libc::EACCES => "permission denied (EACCES)",
            libc::ENOTDIR => "not a directory (ENOTDIR)",
            libc::EISDIR => "is a directory (EISDIR)",
            libc::EINVAL => "invalid argument (EINVAL)",
            libc::ENFILE | libc::EMFILE => "too many open files (EMFILE)",
            libc::ENOMEM => "out of memory (ENOMEM)",
            libc::ESPIPE => "not a regular file (ESPIPE)",
            libc::ENAMETOOLONG => "the name is too long (ENAMETOOLONG)",
            libc::ELOOP => "too many symbolic links (ELOOP)",
            libc::EPROTO => "protocol error (EPROTO)",
            libc::EOPNOTSUPP => "not supported (EOPNOTSUPP)",
            libc::EAFNOSUPPORT => "address family not supported (EAFNOSUPPORT)",
            libc::EADDRNOTAVAIL => "address not available (EADDRNOTAVAIL)",
            libc::ENETUNREACH => "network unreachable (ENETUNREACH)",
            libc::ECONNRESET => "connection reset (ECONNRESET)",
            libc::ETIMEDOUT => "timed out (ETIMEDOUT)",
            libc::ECONNREFUSED => "connection refused (ECONNREFUSED)",
            libc::EHOSTUNREACH => "host unreachable (EHOSTUNREACH)",
            other => return write!(f, "errno {other}"),
        })
    }
}
