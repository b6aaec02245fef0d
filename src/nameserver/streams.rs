//! The streams by which programs ask a name server: our ends of them.

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::sync::atomic::{
    AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
};

use crate::bytes::Bytes;
use crate::sys::{self, Errno, OwnedSocket, net};

/// As many streams as may be open at a time.
const STREAMS: usize = 32;
/// The longest message that is read (RFC 1035 section 4.2.2 puts its length before it).
const LONGEST: usize = 512;
const LENGTH: usize = 2;

/// A message without its length.
pub type Message = Bytes<LONGEST>;

/// Plain data that begins as zeroes.
pub struct Streams {
    places: [Place; STREAMS],
    count: AtomicU32,
}

/// As the places of [`super::questions::Questions`]: `open` belongs to the thread that has made the place
/// busy, with signals blocked.
struct Place {
    state: AtomicU32,
    open: UnsafeCell<MaybeUninit<Open>>,
}

const FREE: u32 = 0;
const BUSY: u32 = 1;
const OPEN: u32 = 2;

// SAFETY: all but `open` is atomic, and that belongs to the thread that has made the place busy.
unsafe impl Sync for Place {}

struct Open {
    socket: OwnedSocket,
    cookie: u64,
    input: Bytes<{ LENGTH + LONGEST }>,
}

/// Result of a look at a stream.
#[expect(clippy::large_enum_variant, reason = "there is no allocator to box the message with")]
enum Look {
    /// No whole message.
    Nothing,
    /// A message; there may be another one.
    Message(i32, u64, Message),
    /// Its end.
    Over,
}

impl Streams {
    /// Tells whether any stream is open, by one load.
    #[inline(always)]
    pub fn any(&self) -> bool {
        // Relaxed: nothing is read through it.
        self.count.load(Relaxed) != 0
    }

    /// Keeps our end of a stream, for which the epoll set `set` waits from now on. Errors: `EMFILE` where
    /// there is no place, and those of epoll_ctl(2).
    pub fn add(&self, socket: OwnedSocket, set: i32) -> Result<(), Errno> {
        sys::without_signals(|_| {
            // Acquire pairs with the Release of the last owner.
            let free =
                |place: &&Place| place.state.compare_exchange(FREE, BUSY, Acquire, Relaxed).is_ok();
            let fd = socket.fd();
            let Some(place) = self.places.iter().find(free) else {
                socket.close();
                return Err(Errno(libc::EMFILE));
            };
            let watched = net::cookie(fd).and_then(|cookie| {
                let events = libc::EPOLLIN | libc::EPOLLRDHUP;
                sys::epoll_ctl(set, libc::EPOLL_CTL_ADD, fd, events as u32, 0)?;
                Ok(cookie)
            });
            match watched {
                Ok(cookie) => {
                    // SAFETY: the place is busy by this thread.
                    unsafe {
                        (*place.open.get()).write(Open { socket, cookie, input: Bytes::EMPTY })
                    };
                    self.count.fetch_add(1, Relaxed);
                    // Release pairs with the Acquire in `take`.
                    place.state.store(OPEN, Release);
                    Ok(())
                }
                Err(errno) => {
                    socket.close();
                    place.state.store(FREE, Release);
                    Err(errno)
                }
            }
        })
    }

    /// Reads what has come without waiting, and gives each message to `read` with the descriptor and the
    /// `SO_COOKIE` of our end.
    pub fn drive(&self, set: i32, mut read: impl FnMut(i32, u64, &[u8])) {
        for place in &self.places {
            while let Some(Look::Message(fd, cookie, message)) = self.look(place, set) {
                read(fd, cookie, message.as_slice());
            }
        }
    }

    fn look(&self, place: &Place, set: i32) -> Option<Look> {
        // Relaxed: `take` synchronises.
        if place.state.load(Relaxed) != OPEN {
            return None;
        }
        sys::without_signals(|_| {
            // Acquire pairs with the Release of the thread that has opened it.
            place.state.compare_exchange(OPEN, BUSY, Acquire, Relaxed).ok()?;
            // SAFETY: written before the place was open, and busy by this thread.
            let look = unsafe { (*place.open.get()).assume_init_mut() }.look();
            if !matches!(look, Look::Over) {
                // Release pairs with the Acquire above.
                place.state.store(OPEN, Release);
                return Some(look);
            }
            // SAFETY: as above.
            let open = unsafe { (*place.open.get()).assume_init_read() };
            // Not by closing it alone: a forked child may still have it.
            let _ = sys::epoll_ctl(set, libc::EPOLL_CTL_DEL, open.socket.fd(), 0, 0);
            open.socket.close();
            self.count.fetch_sub(1, Relaxed);
            // Release pairs with the Acquire in `add`.
            place.state.store(FREE, Release);
            Some(look)
        })
    }

    /// In a forked child, where the descriptors were closed.
    pub fn forget(&self) {
        // Relaxed: no other thread is here.
        self.places.iter().for_each(|place| place.state.store(FREE, Relaxed));
        self.count.store(0, Relaxed);
    }
}

impl Open {
    fn look(&mut self) -> Look {
        let fd = self.socket.fd();
        if net::cookie(fd) != Ok(self.cookie) {
            return Look::Over;
        }
        loop {
            match first_message(self.input.as_slice()) {
                Ok(None) => {}
                Ok(Some((message, rest))) => {
                    self.input = Bytes::truncated(rest.as_slice());
                    return Look::Message(fd, self.cookie, message);
                }
                Err(TooLong) => return Look::Over,
            }
            let mut bytes = [0; LENGTH + LONGEST];
            let room = bytes.len() - self.input.len();
            match net::receive_now(fd, &mut bytes[..room]) {
                Ok(count @ 1..) => {
                    self.input.extend(bytes.get(..count.min(room)).unwrap_or_default());
                }
                Err(Errno(libc::EAGAIN | libc::EINTR)) => return Look::Nothing,
                Ok(0) | Err(_) => return Look::Over,
            }
        }
    }
}

struct TooLong;

/// The first whole message, and what follows it.
fn first_message(input: &[u8]) -> Result<Option<(Message, Bytes<{ LENGTH + LONGEST }>)>, TooLong> {
    let Some((length, rest)) = input.split_first_chunk::<LENGTH>() else { return Ok(None) };
    let length = usize::from(u16::from_be_bytes(*length));
    if length > LONGEST {
        return Err(TooLong);
    }
    let Some((message, rest)) = rest.split_at_checked(length) else { return Ok(None) };
    Ok(Some((Bytes::truncated(message), Bytes::truncated(rest))))
}

/// Sends a message on the stream `fd`, with its length before it. What the other side does not take at
/// once is lost, as there is room for it unless the program reads nothing. Errors: those of send(2).
pub fn send(fd: i32, message: &[u8]) -> Result<(), Errno> {
    let mut whole = Bytes::<1_024>::EMPTY;
    let length = u16::try_from(message.len()).map_err(|_| Errno(libc::EMSGSIZE))?;
    if !(whole.extend(&length.to_be_bytes()) && whole.extend(message)) {
        return Err(Errno(libc::EMSGSIZE));
    }
    net::send_now(fd, whole.as_slice()).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_one_by_one() {
        let input = [0, 2, 7, 8, 0, 1, 9, 0];
        let Ok(Some((first, rest))) = first_message(&input) else { panic!() };
        assert_eq!((first.as_slice(), rest.as_slice()), (&[7, 8][..], &[0, 1, 9, 0][..]));
        let Ok(Some((second, rest))) = first_message(rest.as_slice()) else { panic!() };
        assert_eq!((second.as_slice(), rest.as_slice()), (&[9][..], &[0][..]));
        assert!(matches!(first_message(rest.as_slice()), Ok(None)));
        assert!(matches!(first_message(&[0, 3, 1]), Ok(None)));
        assert!(first_message(&[2, 1]).is_err());
    }
}
