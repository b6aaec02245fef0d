//! Locks of open file descriptions on ranges (fcntl(2), "Open file description locks"). Every
//! function is async-signal-safe.

use super::{Errno, syscall6};

/// Locks one byte at `start` for reading.
pub fn lock(fd: i32, start: i64) -> Result<(), Errno> {
    control(fd, libc::F_OFD_SETLK, &mut range(libc::F_RDLCK, start, 1))
}

/// Gives up every lock of the open file description.
pub fn unlock_all(fd: i32) -> Result<(), Errno> {
    // A length of 0 is all that follows.
    control(fd, libc::F_OFD_SETLK, &mut range(libc::F_UNLCK, 0, 0))
}

/// Whether an open file description has a lock on any range of the file of `fd`, or another process
/// has one.
pub fn is_locked(fd: i32) -> bool {
    let mut lock = range(libc::F_WRLCK, 0, 0);
    control(fd, libc::F_GETLK, &mut lock).is_ok() && i32::from(lock.l_type) != libc::F_UNLCK
}

/// Where the first lock of an open file description begins that lies within `length` bytes from
/// `start` on; locks of processes are not told.
pub fn first_lock(fd: i32, start: i64, length: i64) -> Option<i64> {
    /// What the kernel says in place of a process.
    const DESCRIPTION: libc::pid_t = -1;
    // A process's wish to write: also its own description's lock is in the way.
    let mut lock = range(libc::F_WRLCK, start, length);
    control(fd, libc::F_GETLK, &mut lock).ok()?;
    let found = i32::from(lock.l_type) == libc::F_RDLCK && lock.l_pid == DESCRIPTION;
    (found && lock.l_len == 1).then_some(lock.l_start)
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
        assert!(is_locked(one) && !is_locked(other));
        // SAFETY: dup takes an integer.
        let copy = unsafe { libc::dup(one) };
        close(one).unwrap();
        assert_eq!(first_lock(copy, 0, i64::MAX), Some(1 << 60));
        assert_eq!(first_lock(copy, 0, 1 << 60), None);
        assert_eq!(first_lock(other, 0, i64::MAX), None);
        unlock_all(copy).unwrap();
        assert_eq!(first_lock(copy, 0, i64::MAX), None);
        assert!(!is_locked(copy));
        close(copy).unwrap();
        close(other).unwrap();
    }
}
