//! Destinations of the sockets that were connected through Tor: what getpeername(2) answers for them. A socket is
//! known by its `SO_COOKIE`, which the kernel never gives twice, whatever descriptors name it.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;

/// As many sockets as are remembered; the oldest gives way. The kernel does not tell when a socket is closed.
const MOST: usize = 16_384;

#[derive(Clone, Copy)]
struct Entry {
    destination: SocketAddr,
    /// The value of the call that connected it, which no program has heard: a signal ended the call before.
    unreported: Option<i64>,
}

/// Destinations by `SO_COOKIE`. One thread has it: there is nothing to lock.
#[derive(Default)]
pub struct Sockets {
    entries: HashMap<u64, Entry>,
    /// In the order in which they came; an entry that is gone may still stand here.
    order: VecDeque<u64>,
}

impl Sockets {
    /// Remembers where the socket leads.
    pub fn insert(&mut self, cookie: u64, destination: SocketAddr, unreported: Option<i64>) {
        if self.entries.insert(cookie, Entry { destination, unreported }).is_none() {
            self.order.push_back(cookie);
        }
        while self.order.len() > MOST {
            if let Some(oldest) = self.order.pop_front() {
                self.entries.remove(&oldest);
            }
        }
    }

    /// Destination of the socket.
    pub fn destination(&self, cookie: u64) -> Option<SocketAddr> {
        self.entries.get(&cookie).map(|entry| entry.destination)
    }

    /// The value of the call that has connected the socket to `destination`, if no program may have heard it.
    pub fn unreported(&self, cookie: u64, destination: SocketAddr) -> Option<i64> {
        let entry = self.entries.get(&cookie)?;
        if entry.destination == destination { entry.unreported } else { None }
    }

    /// The socket has lost its peer.
    pub fn remove(&mut self, cookie: u64) {
        self.entries.remove(&cookie);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(address: &str) -> SocketAddr {
        address.parse().unwrap()
    }

    #[test]
    fn the_newest_sockets_are_remembered() {
        let mut sockets = Sockets::default();
        let count = MOST as u64 + 100;
        (0..count).for_each(|cookie| sockets.insert(cookie, at("192.0.2.1:80"), None));
        assert_eq!(sockets.entries.len(), MOST);
        assert!((0..100).all(|cookie| sockets.destination(cookie).is_none()));
        assert!((100..count).all(|cookie| sockets.destination(cookie).is_some()));
        (0..count).for_each(|cookie| sockets.remove(cookie));
        assert!(sockets.entries.is_empty());
        (0..count).for_each(|cookie| sockets.insert(cookie, at("192.0.2.1:80"), None));
        assert!(sockets.order.len() <= MOST);
    }

    #[test]
    fn a_connect_is_unreported_until_a_program_has_heard_of_it() {
        let mut sockets = Sockets::default();
        let destination = at("192.0.2.1:80");
        sockets.insert(1, destination, Some(7));
        assert_eq!(sockets.unreported(1, at("192.0.2.2:80")), None);
        assert_eq!(sockets.unreported(1, destination), Some(7));
        sockets.insert(1, destination, None);
        assert_eq!(sockets.unreported(1, destination), None);
        assert_eq!(sockets.unreported(2, destination), None);
    }
}
