//! Work that waits for Tor or for a program: each a descriptor in the loop's epoll set.

use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use epochsocks::resolver::dns::Question;
use epochsocks::socks5::{Handshake, Request};
use epochsocks::sys::Errno;

use super::listener::Call;

/// Data that a call sends once its socket is connected.
#[derive(Clone, Copy, Debug)]
pub struct Payload {
    /// Their address in the program's memory.
    pub place: u64,
    /// Their number of bytes.
    pub length: u64,
}

/// A connect through Tor.
pub struct Connect {
    pub call: Call,
    pub process: i32,
    /// `SO_COOKIE` of the program's socket.
    pub cookie: u64,
    pub destination: SocketAddr,
    pub request: Request,
    pub handshake: Handshake,
    pub payload: Option<Payload>,
    /// The call's errno when its time is over: the socket's own time (`SO_SNDTIMEO`) is not Tor's.
    pub late: Errno,
}

/// A connect of a blocking socket past Tor, as the settings allow.
#[derive(Clone, Copy, Debug)]
pub struct Direct {
    pub call: Call,
    /// `SO_COOKIE` of the program's socket.
    pub cookie: u64,
}

/// Receiver of an answer.
#[derive(Clone)]
pub enum ReplyTo {
    /// To the program's UDP socket there, which stays open meanwhile: its port is no other socket's.
    Datagram(SocketAddr, #[allow(dead_code, reason = "it is held, not used")] Rc<OwnedFd>),
    /// By our end of a stream.
    Stream(Rc<OwnedFd>),
    /// By our end of a channel.
    Channel(Rc<OwnedFd>),
}

/// A question that Tor was asked, on a connection of its own.
pub struct Asking {
    pub process: i32,
    pub question: Question,
    pub reply_to: ReplyTo,
    pub handshake: Handshake,
}

/// The work that is waited for.
pub enum Work {
    Connect(Box<Connect>),
    Direct(Direct),
    Question(Box<Asking>),
    /// Our end of a program's connection to a name server: what it has sent so far.
    Stream(i32, Vec<u8>),
    /// Our end of what a program has in the place of a UDP socket that it has connected to a name server.
    Channel(i32),
}

/// One of them.
pub struct Pending {
    pub fd: Rc<OwnedFd>,
    /// The events that the set waits for.
    pub events: u32,
    /// Time at which it is over, on the monotonic clock.
    pub deadline: Option<Duration>,
    pub work: Work,
}

impl Pending {
    /// The call that waits for it.
    pub fn call(&self) -> Option<&Call> {
        match &self.work {
            Work::Connect(connect) => Some(&connect.call),
            Work::Direct(direct) => Some(&direct.call),
            Work::Question(_) | Work::Stream(..) | Work::Channel(_) => None,
        }
    }

    /// `SO_COOKIE` of the program's socket that a call connects.
    fn cookie(&self) -> Option<u64> {
        match &self.work {
            Work::Connect(connect) => Some(connect.cookie),
            Work::Direct(direct) => Some(direct.cookie),
            Work::Question(_) | Work::Stream(..) | Work::Channel(_) => None,
        }
    }

    pub fn number(&self) -> i32 {
        self.fd.as_raw_fd()
    }
}

/// All of them, each at a place that it keeps.
#[derive(Default)]
pub struct Table {
    places: Vec<Option<Pending>>,
    free: Vec<usize>,
}

impl Table {
    /// Puts `pending` somewhere; gives its place.
    pub fn insert(&mut self, pending: Pending) -> usize {
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            self.places.len() - 1
        });
        self.places[place] = Some(pending);
        place
    }

    /// Takes what is at `place`, which stays its own until [`Table::put_back`] or [`Table::give_up`].
    pub fn take(&mut self, place: usize) -> Option<Pending> {
        self.places.get_mut(place)?.take()
    }

    pub fn put_back(&mut self, place: usize, pending: Pending) {
        self.places[place] = Some(pending);
    }

    /// Frees `place`, from which the work was taken.
    pub fn give_up(&mut self, place: usize) {
        self.free.push(place);
    }

    pub fn each(&self) -> impl Iterator<Item = (usize, &Pending)> {
        let places = self.places.iter().enumerate();
        places.filter_map(|(place, pending)| Some((place, pending.as_ref()?)))
    }

    /// The number of those that wait.
    pub fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// The place of the connect that is under way on the socket `cookie`.
    pub fn place_of(&self, cookie: u64) -> Option<usize> {
        self.each().find(|(_, pending)| pending.cookie() == Some(cookie)).map(|(place, _)| place)
    }

    /// That at `place`.
    pub fn get(&self, place: usize) -> Option<&Pending> {
        self.places.get(place)?.as_ref()
    }

    /// The connect through Tor at `place`, if it leads to `destination`.
    pub fn connect_to(&mut self, place: usize, destination: SocketAddr) -> Option<&mut Connect> {
        match &mut self.places.get_mut(place)?.as_mut()?.work {
            Work::Connect(connect) if connect.destination == destination => Some(connect),
            _ => None,
        }
    }
}
