//! Locks of open file descriptions on ranges (fcntl(2), "Open file description locks"). Every
//! function is async-signal-safe.

use super::{Errno, syscall6};

/// Locks one byte at `start` for reading.
pub fn lock(fd: i32, start: i64) -> Result<(), Errno> {
    control(fd, libc::F_OFD_SETLK, &mut range(libc::F_RDLCK, start, 1))
}

/// Gives up what the open file description has locked of `length` bytes from `start` on.
pub fn unlock(fd: i32, start: i64, length: i64) -> Result<(), Errno> {
    control(fd, libc::F_OFD_SETLK, &mut range(libc::F_UNLCK, start, length))
}

/// What is locked of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Locked {
    /// Nothing, or it can't be found out.
    Nothing,
    /// First comes one byte, which an open file description has locked for reading.
    Byte(i64),
    /// First comes another lock.
    Other,
}

/// The first lock within `length` bytes from `start` on, but for the calling process's own.
pub fn first_lock(fd: i32, start: i64, length: i64) -> Locked {
    /// What the kernel says in place of a process.
    const DESCRIPTION: libc::pid_t = -1;
    // A process's wish to write: also its own description's lock is in the way.
    let mut lock = range(libc::F_WRLCK, start, length);
    if control(fd, libc::F_GETLK, &mut lock).is_err() {
        return Locked::Nothing;
    }
    match (i32::from(lock.l_type), lock.l_pid, lock.l_len) {
        (libc::F_UNLCK, _, _) => Locked::Nothing,
        (libc::F_RDLCK, DESCRIPTION, 1) => Locked::Byte(lock.l_start),
        _ => Locked::Other,
    }
}

fn range(kind: i32, start: i64, length: i64) -> libc::flock {
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: start,
        l_len: length,
        l_pid: 0,
    }
}

fn control(fd: i32, command: i32, lock: &mut libc::flock) -> Result<(), Errno> {
    let lock = core::ptr::from_mut(lock) as usize;
    // SAFETY: the kernel reads and writes one flock, which on 64 bits is libc's.
    Errno::check(unsafe { syscall6(libc::SYS_fcntl, fd as usize, command as usize, lock, 0, 0, 0) })
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{close, net};

    #[test]
    fn a_socket_carries_locks_that_its_duplicates_see_and_other_sockets_do_not() {
        let socket = || net::socket(libc::AF_INET, libc::SOCK_STREAM, 0).unwrap();
        let (one, other) = (socket(), socket());
        lock(one, 1 << 60).unwrap();
        // SAFETY: dup takes an integer.
        let copy = unsafe { libc::dup(one) };
        close(one).unwrap();
        assert_eq!(first_lock(copy, 0, i64::MAX), Locked::Byte(1 << 60));
        assert_eq!(first_lock(copy, 0, 1 << 60), Locked::Nothing);
        assert_eq!(first_lock(other, 0, i64::MAX), Locked::Nothing);
        lock(copy, (1 << 60) + 1).unwrap();
        assert_eq!(first_lock(copy, 0, i64::MAX), Locked::Other, "two that touch are one");
        unlock(copy, 0, 1 << 61).unwrap();
        assert_eq!(first_lock(copy, 0, i64::MAX), Locked::Nothing);
        close(copy).unwrap();
        close(other).unwrap();
    }
}
