//! Descriptors of the library's own: duplicates of the program's sockets, and sockets to Tor.
//!
//! They are listed, so that a program that closes every number there is leaves them open. They have
//! high numbers: a program that counts on the lowest free number, or that duplicates to a number of
//! its choice, does not meet them.

use core::ptr::null_mut;
use core::sync::atomic::{
    AtomicI32, AtomicPtr, AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed},
};

use super::{
    Errno, close as close_descriptor, descriptor_limit, duplicate_from, map_zeroed,
    set_descriptor_limit, unmap, without_signals,
};

/// Numbers from here on are taken first.
const LOWEST: i32 = 512;
/// Numbers from here on are not used: the list has no bit for them.
const LIMIT: usize = 1 << 20;
const WORDS: usize = LIMIT / 64;

type Words = [AtomicU64; WORDS];

/// One bit for each number, mapped by the first descriptor.
static LISTED: AtomicPtr<Words> = AtomicPtr::new(null_mut());
/// No higher number was ever listed; -1 before the first.
static HIGHEST: AtomicI32 = AtomicI32::new(-1);

/// Makes another descriptor of what `fd` names: closed on exec, listed, none of the standard ones.
/// Errors: `EBADF`, `EMFILE`, `ENOMEM`. Async-signal-safe.
pub fn duplicate(fd: i32) -> Result<i32, Errno> {
    let words = words_or_new().ok_or(Errno(libc::ENOMEM))?;
    let own = match duplicate_from(fd, LOWEST) {
        // The process may not have that many descriptors, or has.
        Err(Errno(libc::EINVAL | libc::EMFILE)) => duplicate_beyond_limit(fd)?,
        own => own?,
    };
    if list(words, own) {
        return Ok(own);
    }
    let _ = close_descriptor(own);
    Err(Errno(libc::EMFILE))
}

/// Moves `fd`, which the kernel just gave to the library, to such a number; gives the number. Where
/// none is to be had, `fd` is listed as it is, unless it is a standard one. Errors: `EMFILE`, `ENOMEM`;
/// then `fd` is closed. Async-signal-safe.
pub fn adopt(fd: i32) -> Result<i32, Errno> {
    // Listed at once: a dup2 of the program's must find that the number is taken.
    let is_listed = words_or_new().is_some_and(|words| list(words, fd));
    match duplicate(fd) {
        Err(errno) if !is_listed || fd <= libc::STDERR_FILENO => {
            discard(fd);
            Err(errno)
        }
        Err(_) => Ok(fd),
        Ok(moved) => {
            discard(fd);
            Ok(moved)
        }
    }
}

/// Closes a descriptor that may not be listed.
fn discard(fd: i32) {
    if contains(fd) {
        close(fd);
    } else {
        let _ = close_descriptor(fd);
    }
}

/// Says whether there is a bit for the number.
fn list(words: &Words, own: i32) -> bool {
    let Some(word) = words.get(own as usize / 64) else { return false };
    // Relaxed: the number reaches other threads with what orders them.
    if HIGHEST.load(Relaxed) < own {
        HIGHEST.fetch_max(own, Relaxed);
    }
    word.fetch_or(bit(own), Relaxed);
    true
}

/// Takes a number that the program may not have: its limit is raised for the time of the call, as far
/// as the hard limit goes, so that the library's descriptors leave the program as many as it may have.
/// If the hard limit is the lower one, any number will do.
#[cold]
fn duplicate_beyond_limit(fd: i32) -> Result<i32, Errno> {
    without_signals(|_| {
        let limit = descriptor_limit()?;
        let (lowest, hard) = (limit.rlim_cur.min(LIMIT as u64), limit.rlim_max);
        if lowest < hard {
            let raised = libc::rlimit64 { rlim_cur: hard.min(LIMIT as u64), rlim_max: hard };
            set_descriptor_limit(&raised)?;
            let own = duplicate_from(fd, lowest as i32);
            set_descriptor_limit(&limit)?;
            if own.is_ok() {
                return own;
            }
        }
        duplicate_from(fd, libc::STDERR_FILENO + 1)
    })
}

/// Closes a descriptor that [`duplicate`] or [`adopt`] gave. Async-signal-safe.
pub fn close(own: i32) {
    let listed = words().and_then(|words| words.get(own as usize / 64));
    // Relaxed: as in `duplicate`. Before the number is free for others.
    if listed.is_some_and(|word| word.fetch_and(!bit(own), Relaxed) & bit(own) != 0) {
        let _ = close_descriptor(own);
    }
}

/// Tells whether `fd` is listed; one load where none ever was. Async-signal-safe.
#[inline]
pub fn contains(fd: i32) -> bool {
    fd >= 0 && fd <= HIGHEST.load(Relaxed) && is_listed(fd)
}

fn is_listed(fd: i32) -> bool {
    let word = words().and_then(|words| words.get(fd as usize / 64));
    word.is_some_and(|word| word.load(Relaxed) & bit(fd) != 0)
}

/// The descriptors that are listed. Async-signal-safe.
pub fn all() -> impl Iterator<Item = i32> {
    let used = (HIGHEST.load(Relaxed) + 1) as usize;
    let used = used.div_ceil(64);
    words().into_iter().flat_map(move |words| words.iter().take(used).enumerate()).flat_map(
        |(index, word)| {
            let mut left = word.load(Relaxed);
            core::iter::from_fn(move || {
                let bit = (left != 0).then(|| left.trailing_zeros())?;
                left &= left - 1;
                Some(index as i32 * 64 + bit as i32)
            })
        },
    )
}

const fn bit(fd: i32) -> u64 {
    1 << (fd % 64)
}

fn words() -> Option<&'static Words> {
    // Acquire pairs with the AcqRel below.
    // SAFETY: null, or a mapping that stays.
    unsafe { LISTED.load(Acquire).as_ref() }
}

fn words_or_new() -> Option<&'static Words> {
    words().or_else(|| {
        let fresh = map_zeroed(size_of::<Words>()).ok()?.cast::<Words>();
        // AcqRel: Release publishes the zeroes, Acquire sees another caller's mapping.
        if LISTED.compare_exchange(null_mut(), fresh.as_ptr(), AcqRel, Acquire).is_err() {
            // SAFETY: no other thread has seen it.
            unsafe { unmap(fresh.cast(), size_of::<Words>()) };
        }
        words()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_adopted_descriptor_leaves_its_number() {
        let fd = crate::sys::duplicate(0).unwrap();
        let own = adopt(fd).unwrap();
        assert!(own >= LOWEST && contains(own) && !contains(fd));
        close(own);
    }

    #[test]
    fn a_duplicate_is_listed_until_it_is_closed() {
        let own = duplicate(0).unwrap();
        assert!(own > libc::STDERR_FILENO && contains(own) && all().any(|fd| fd == own));
        close(own);
        assert!(!contains(own) && !all().any(|fd| fd == own));
        assert_eq!(duplicate(-1), Err(Errno(libc::EBADF)));
    }

    #[test]
    fn a_program_that_may_have_no_more_descriptors_loses_none() {
        let limit = descriptor_limit().unwrap();
        // In a process of its own, as the limit is the process's.
        // SAFETY: the child makes system calls only.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let none = libc::rlimit64 { rlim_cur: 0, ..limit };
            let ok = set_descriptor_limit(&none).is_ok()
                && duplicate(0).is_ok()
                && descriptor_limit().is_ok_and(|now| now.rlim_cur == 0);
            crate::sys::exit_group(i32::from(!ok));
        }
        let mut status = -1;
        // SAFETY: a child of this process.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        assert_eq!(status, 0);
    }

    #[test]
    fn a_number_that_is_not_listed_is_left_open() {
        let other = crate::sys::duplicate(0).unwrap();
        close(other);
        assert_eq!(crate::sys::is_close_on_exec(other), Ok(true));
        let _ = crate::sys::close(other);
    }
}
