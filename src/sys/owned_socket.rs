//! A socket of the library's own, and which thread holds it.

use core::ptr::{NonNull, null_mut};
use core::sync::atomic::{
    AtomicI32, AtomicPtr, AtomicU32, AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

use super::{Errno, Holder, map_zeroed, net, own_descriptors, syscall6, unmap};

/// As many sockets as are closed when their threads are cancelled; one each look-up.
const MOST: usize = 256;
/// A place without a socket, which is never 0.
const FREE: i32 = 0;

/// Holder of a socket.
#[derive(Debug)]
struct Place {
    /// Its [`Holder`], 0 for none. Only the holder changes the rest, but in a forked child.
    holder: AtomicU64,
    fd: AtomicI32,
    /// `SO_COOKIE` of the socket; 0 where the kernel does not tell.
    cookie: AtomicU64,
}

type Places = [Place; MOST];

/// Mapped by the first socket: most programs have none, and every page that a library brings along
/// costs an exec.
static OWNED: AtomicPtr<Places> = AtomicPtr::new(null_mut());
/// Number of places taken; it never falls.
static COUNT: AtomicU32 = AtomicU32::new(0);

/// A socket that the program does not know of: out of its way, and closed at exec. It has no destructor:
/// a thread may be cancelled while it waits for the socket, or jump away in a handler. Then the next one
/// that is made closes it.
#[derive(Debug)]
#[must_use]
pub struct OwnedSocket {
    fd: i32,
    /// Place in which its holder is noted, unless all places were taken.
    place: Option<&'static Place>,
}

impl OwnedSocket {
    /// A TCP socket of the family `domain`, in non-blocking mode, for the caller, which must not have
    /// another one. Errors: those of socket(2), and `EMFILE`. Async-signal-safe.
    #[inline(never)]
    pub fn stream(domain: i32) -> Result<OwnedSocket, Errno> {
        let me = Holder::current();
        close_abandoned(me);
        OwnedSocket::socket(domain, libc::SOCK_STREAM, libc::IPPROTO_TCP)
            .and_then(|fd| OwnedSocket::moved(fd, me))
    }

    /// As [`OwnedSocket::stream`], for the process, which closes it.
    pub fn kept_stream(domain: i32) -> Result<OwnedSocket, Errno> {
        OwnedSocket::socket(domain, libc::SOCK_STREAM, libc::IPPROTO_TCP)
            .and_then(|fd| OwnedSocket::moved(fd, Holder::PROCESS))
    }

    /// As [`OwnedSocket::kept_stream`], for UDP.
    pub fn kept_datagram(domain: i32) -> Result<OwnedSocket, Errno> {
        OwnedSocket::socket(domain, libc::SOCK_DGRAM, libc::IPPROTO_UDP)
            .and_then(|fd| OwnedSocket::moved(fd, Holder::PROCESS))
    }

    /// The next connection that `listener` has, for the process. Errors: those of accept(2).
    pub fn kept_connection(listener: i32) -> Result<OwnedSocket, Errno> {
        let flags = (libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK) as usize;
        // SAFETY: no address is asked for.
        let fd = Errno::check(unsafe {
            syscall6(libc::SYS_accept4, listener as usize, 0, 0, flags, 0, 0)
        })?;
        OwnedSocket::moved(fd as i32, Holder::PROCESS)
    }

    /// An epoll set, for the process.
    pub fn kept_epoll() -> Result<OwnedSocket, Errno> {
        // SAFETY: epoll_create1 takes an integer.
        let fd = Errno::check(unsafe {
            syscall6(libc::SYS_epoll_create1, libc::EPOLL_CLOEXEC as usize, 0, 0, 0, 0, 0)
        })?;
        OwnedSocket::moved(fd as i32, Holder::PROCESS)
    }

    fn socket(domain: i32, kind: i32, protocol: i32) -> Result<i32, Errno> {
        net::socket(domain, kind | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK, protocol)
    }

    /// Makes `fd`, which the kernel just gave, one of the library's own descriptors.
    fn moved(fd: i32, me: Holder) -> Result<OwnedSocket, Errno> {
        let fd = own_descriptors::adopt(fd)?;
        Ok(OwnedSocket { fd, place: place(fd, me) })
    }

    /// The descriptor.
    pub fn fd(&self) -> i32 {
        self.fd
    }

    /// Closes it. Async-signal-safe.
    pub fn close(self) {
        if let Some(place) = self.place {
            // In a forked child it is gone already, and its number may be the program's.
            if place.fd.compare_exchange(self.fd, FREE, Relaxed, Relaxed).is_err() {
                return;
            }
            place.give_back();
        }
        own_descriptors::close(self.fd);
    }
}

impl Place {
    /// Lets another socket be listed here.
    fn give_back(&self) {
        // Release pairs with the Acquire of `take`: its next holder finds the place empty.
        self.holder.store(0, Release);
        COUNT.fetch_sub(1, Release);
    }

    /// Makes `me` the holder in place of what `seen` says.
    fn take(&self, seen: u64, me: Holder) -> bool {
        self.holder.compare_exchange(seen, me.to_word(), Acquire, Relaxed).is_ok()
    }
}

/// Closes what threads have left that were cancelled or jumped away.
fn close_abandoned(me: Holder) {
    for place in taken_places() {
        // Relaxed: the compare-and-swap of `take` acquires.
        let seen = place.holder.load(Relaxed);
        let is_gone = Holder::from_word(seen).is_some_and(|holder| holder.is_gone(me));
        if !is_gone || !place.take(seen, me) {
            continue;
        }
        let (fd, cookie) = (place.fd.swap(FREE, Relaxed), place.cookie.load(Relaxed));
        // What has another cookie is the program's by now: the holder was a vfork child.
        if fd != FREE && net::cookie(fd) == Ok(cookie) {
            own_descriptors::close(fd);
        }
        place.give_back();
    }
}

/// A place for `fd`; `None` if all are taken.
fn place(fd: i32, me: Holder) -> Option<&'static Place> {
    if fd == FREE {
        return None;
    }
    // Before the place is taken: who sees the place sees the count. Release pairs with the Acquire
    // in `taken_places`.
    COUNT.fetch_add(1, Release);
    let place = places_or_new().and_then(|places| places.iter().find(|place| place.take(0, me)));
    match place {
        Some(place) => {
            // An error is cookie 0, which no socket has: such a one is never closed by another caller.
            place.cookie.store(net::cookie(fd).unwrap_or(0), Relaxed);
            // Release pairs with the Acquire of `take` in `close_abandoned`.
            place.fd.store(fd, Release);
        }
        None => {
            COUNT.fetch_sub(1, Release);
        }
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
            // SAFETY: no other thread has seen it.
            unsafe { unmap(fresh.cast(), size_of::<Places>()) };
        }
        places()
    })
}

fn taken_places() -> impl Iterator<Item = &'static Place> {
    // Acquire pairs with the Release in `place`.
    let places = if COUNT.load(Acquire) == 0 { None } else { places() };
    places.into_iter().flatten()
}

/// Closes what look-ups of other threads had open when the process was forked. Called in the child.
pub fn close_owned_sockets() {
    if COUNT.swap(0, AcqRel) == 0 {
        return;
    }
    // Relaxed: the child has one thread.
    for place in places().into_iter().flatten() {
        let fd = place.fd.swap(FREE, Relaxed);
        place.holder.store(0, Relaxed);
        if fd != FREE {
            own_descriptors::close(fd);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Mutex, PoisonError};

    /// Held by each test: one takes all places, and the other's socket would have none.
    static PLACES: Mutex<()> = Mutex::new(());

    /// Makes this number of sockets, each by a caller of the last one's, and tells whether all had places.
    fn have_places(count: usize) -> bool {
        let socket = OwnedSocket::stream(libc::AF_INET).unwrap();
        let (fd, is_placed) = (socket.fd(), socket.place.is_some());
        let others = count == 1 || have_places(count - 1);
        assert!(own_descriptors::contains(fd), "listed with and without a place");
        socket.close();
        assert!(!own_descriptors::contains(fd));
        is_placed && others
    }

    #[test]
    fn a_socket_is_listed_while_it_lives() {
        let _places = PLACES.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(!have_places(MOST + 1));
        assert!(have_places(1));
    }

    #[test]
    fn what_an_ended_thread_has_left_is_closed_by_the_next_caller() {
        let _places = PLACES.lock().unwrap_or_else(PoisonError::into_inner);
        let left = std::thread::spawn(|| OwnedSocket::stream(libc::AF_INET).unwrap().fd());
        let left = left.join().unwrap();
        // The kernel forgets the thread soon after its end.
        while own_descriptors::contains(left) {
            OwnedSocket::stream(libc::AF_INET).unwrap().close();
        }
    }
}
