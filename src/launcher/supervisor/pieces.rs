//! The pieces of the kernel that a supervisor needs, each tried by using it on the program's own process, before
//! that becomes the program: what says that they are there (a version, a sysctl) may not know of a container's
//! filter.

use std::fmt;
use std::os::fd::AsRawFd;

use epochsocks::sys::Errno;

use super::abi;
use super::listener::{Call, Listener};
use crate::failure::describe;

/// A piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Piece {
    /// The filter's listener.
    Notification,
    /// Reading and writing a program's memory.
    Memory,
    /// A duplicate of a program's descriptor.
    Descriptor,
    /// A descriptor of ours in a program.
    Placing,
}

/// All of them, in the order in which they are tried.
pub const PIECES: [Piece; 4] =
    [Piece::Notification, Piece::Memory, Piece::Descriptor, Piece::Placing];

impl Piece {
    /// The piece as a user can look it up, and its use.
    pub const fn text(self) -> &'static str {
        match self {
            Piece::Notification => "calls are told of (seccomp's user notification, Linux 5.9)",
            Piece::Memory => "addresses are read and written (process_vm_readv, process_vm_writev)",
            Piece::Descriptor => "a program's sockets are connected (pidfd_getfd, Linux 5.6)",
            Piece::Placing => {
                "sockets are given to a program (SECCOMP_IOCTL_NOTIF_ADDFD, Linux 5.9)"
            }
        }
    }
}

/// A piece that can't be had here, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lack {
    pub piece: Piece,
    pub errno: Errno,
}

impl Lack {
    /// It as a number.
    pub const fn code(self) -> i32 {
        (self.piece as i32) << 16 | self.errno.0
    }

    /// The lack of [`Lack::code`]; `None` for another number.
    pub fn of_code(code: i32) -> Option<Lack> {
        let piece = PIECES.into_iter().find(|piece| *piece as i32 == code >> 16)?;
        Some(Lack { piece, errno: Errno(code & 0xffff) })
    }
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not so: {}: {}", self.piece.text(), describe(self.errno))?;
        match (self.piece, self.errno) {
            (Piece::Notification, Errno(libc::EBUSY)) => {
                f.write_str("; another supervisor serves this process already")
            }
            (Piece::Memory | Piece::Descriptor, Errno(libc::EPERM | libc::EACCES)) => f.write_str(
                "; a container's filter forbids it (Docker: --cap-add SYS_PTRACE) or Yama's \
                 ptrace_scope is 2 or 3",
            ),
            _ => Ok(()),
        }
    }
}

/// The bytes that are read and written: in the program's process, which is a copy of this one, they are at the
/// same place.
static SAMPLE: [u8; 8] = *b"supervis";

/// Tries each piece on the process of `call`, which has `descriptor` open and gets what it names closed on exec.
pub fn tried(listener: &Listener, call: &Call, descriptor: i32) -> [Result<(), Errno>; 4] {
    let waits = if listener.waits(call.id) { Ok(()) } else { Err(Errno(libc::ENOENT)) };
    let place = SAMPLE.as_ptr() as u64;
    let mut copy = [0; SAMPLE.len()];
    let read = abi::read_memory(call.thread, place, &mut copy);
    let taken = abi::open_process(call.thread)
        .and_then(|process| abi::take_descriptor(&process, descriptor));
    let placed = match &taken {
        Ok(fd) => listener.put(call.id, fd.as_raw_fd(), descriptor, true),
        Err(_) => listener.put(call.id, listener.fd(), descriptor, true),
    };
    // A constant can't be written: that it was tried is told by the errno.
    let written = read.and_then(|()| match abi::write_memory(call.thread, place, &copy) {
        Err(Errno(libc::EFAULT)) | Ok(()) => Ok(()),
        refused => refused,
    });
    [waits, written, taken.map(drop), placed]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lack_is_read_as_it_is_told() {
        for piece in PIECES {
            let lack = Lack { piece, errno: Errno(libc::EPERM) };
            assert_eq!(Lack::of_code(lack.code()), Some(lack));
        }
        assert_eq!(Lack::of_code(9 << 16), None);
    }
}
