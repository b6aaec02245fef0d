//! A socket of the library's own, and the list of all.

use core::ptr::{NonNull, null_mut};
use core::sync::atomic::{
    AtomicI32, AtomicPtr, AtomicU32,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

use super::{Errno, close, map_zeroed, net, syscall6, unmap};

/// As many sockets as can be told from the program's at a time; one each look-up.
const MOST: usize = 256;
/// A place without a socket, which is never 0.
const FREE: i32 = 0;

type Places = [AtomicI32; MOST];

/// Mapped by the first socket: most programs have none, and every page that a library brings along
/// costs an exec.
static OWNED: AtomicPtr<Places> = AtomicPtr::new(null_mut());
/// How many places are taken; never less.
static COUNT: AtomicU32 = AtomicU32::new(0);

/// A socket that the program does not know of: never 0 to 2, closed at exec and when dropped.
#[derive(Debug)]
pub struct OwnedSocket {
    fd: i32,
    /// Where it is listed, unless the list was full.
    place: Option<&'static AtomicI32>,
}

impl OwnedSocket {
    /// A TCP socket of the family `domain`, in non-blocking mode. Errors: those of socket(2), and
    /// `EMFILE`. Async-signal-safe.
    pub fn stream(domain: i32) -> Result<OwnedSocket, Errno> {
        let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        let fd = moved_up(net::socket(domain, kind, libc::IPPROTO_TCP)?)?;
        Ok(OwnedSocket { fd, place: list(fd) })
    }

    /// The descriptor.
    pub fn fd(&self) -> i32 {
        self.fd
    }
}

impl Drop for OwnedSocket {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            // In a forked child it is gone already, and its number may be the program's. AcqRel
            // pairs with the one in `list`: its next owner finds the place free.
            if place.compare_exchange(self.fd, FREE, AcqRel, Relaxed).is_err() {
                return;
            }
            COUNT.fetch_sub(1, Release);
        }
        // The descriptor is gone whatever close(2) answers.
        let _ = close(self.fd);
    }
}

/// A program may have closed 0 to 2, and opens something else there next.
fn moved_up(fd: i32) -> Result<i32, Errno> {
    if fd > libc::STDERR_FILENO {
        return Ok(fd);
    }
    // SAFETY: F_DUPFD_CLOEXEC takes integers.
    let moved = Errno::check(unsafe {
        let lowest = libc::STDERR_FILENO as usize + 1;
        let command = libc::F_DUPFD_CLOEXEC as usize;
        syscall6(libc::SYS_fcntl, fd as usize, command, lowest, 0, 0, 0)
    });
    let _ = close(fd);
    moved.map(|fd| fd as i32)
}

fn list(fd: i32) -> Option<&'static AtomicI32> {
    // Before the place is taken: who sees the place sees the count. Release pairs with the Acquire
    // in `owned_sockets`.
    COUNT.fetch_add(1, Release);
    // AcqRel: the place's last owner is done with it.
    let take = |place: &&AtomicI32| place.compare_exchange(FREE, fd, AcqRel, Relaxed).is_ok();
    let place = places_or_new().and_then(|places| places.iter().find(take));
    if place.is_none() {
        COUNT.fetch_sub(1, Release);
    }
    place
}

fn places() -> Option<&'static Places> {
    // Acquire pairs with the AcqRel below.
    // SAFETY: null, or a mapping that stays.
    unsafe { OWNED.load(Acquire).as_ref() }
}

/// `None` where there is no memory.
fn places_or_new() -> Option<&'static Places> {
    places().or_else(|| {
        // Zeroes are free places.
        let fresh: NonNull<Places> = map_zeroed(size_of::<Places>()).ok()?.cast();
        // AcqRel: Release publishes the zeroes, Acquire sees another caller's mapping.
        if OWNED.compare_exchange(null_mut(), fresh.as_ptr(), AcqRel, Acquire).is_err() {
            // SAFETY: nobody has seen it.
            unsafe { unmap(fresh.cast(), size_of::<Places>()) };
        }
        places()
    })
}

/// Whether `fd` is one of [`owned_sockets`]. Async-signal-safe.
#[inline]
pub fn is_owned_socket(fd: i32) -> bool {
    owned_sockets().any(|owned| owned == fd)
}

/// The library's own descriptors, which the program does not know of: whoever closes them means
/// others. Async-signal-safe.
pub fn owned_sockets() -> impl Iterator<Item = i32> {
    // Acquire pairs with the Release in `list`.
    let places = if COUNT.load(Acquire) == 0 { None } else { places() };
    places.into_iter().flatten().map(|place| place.load(Acquire)).filter(|fd| *fd != FREE)
}

/// Closes what look-ups of other threads had open when the process was forked. Called in the child.
pub fn close_owned_sockets() {
    if COUNT.swap(0, AcqRel) == 0 {
        return;
    }
    for place in places().into_iter().flatten() {
        let fd = place.swap(FREE, AcqRel);
        if fd != FREE {
            let _ = close(fd);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_listed_while_it_lives_if_there_is_a_place() {
        let socket = OwnedSocket::stream(libc::AF_INET).unwrap();
        let fd = socket.fd();
        assert!(fd > libc::STDERR_FILENO && owned_sockets().any(|owned| owned == fd));
        let more: Vec<_> = (0..MOST).map(|_| OwnedSocket::stream(libc::AF_INET).unwrap()).collect();
        assert!(more.iter().any(|socket| socket.place.is_none()));
        drop((socket, more));
        assert!(OwnedSocket::stream(libc::AF_INET).unwrap().place.is_some());
    }
}
