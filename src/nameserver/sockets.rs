//! The sockets that have asked a name server, and the servers that they asked.

use core::net::{IpAddr, SocketAddr, SocketAddrV6};
use core::sync::atomic::{
    AtomicU32, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};

/// As many sockets as are remembered; a new one takes the place of the oldest then.
const SOCKETS: usize = 1_024;
/// As many servers as are told from each other.
const SERVERS: usize = 64;
/// As many questions of a socket as are remembered.
const QUESTIONS: usize = 16;

/// Plain data that begins as zeroes. A socket that two threads use at once may be remembered as
/// either of them says.
pub struct Sockets {
    servers: [Server; SERVERS],
    sockets: [Socket; SOCKETS],
    next: AtomicU32,
}

/// The number of a server in [`Sockets`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerNumber(u16);

/// Its address, which never changes once it is there.
struct Server {
    /// 0 is free, [`WRITTEN`] has an address, anything else is being written.
    state: AtomicU32,
    /// Scope, family and port.
    rest: AtomicU64,
    ip: [AtomicU64; 2],
}

const WRITTEN: u32 = 2;
const IS_V6: u64 = 1 << 16;
const SCOPE: u32 = 32;

/// One socket, by its `SO_COOKIE`; 0 is a free place. The other words are facts by themselves: Relaxed.
pub struct Socket {
    cookie: AtomicU64,
    /// The server that the program has connected it to, and one more; 0 is none.
    connected: AtomicU32,
    /// Number of questions noted.
    count: AtomicU32,
    /// The last questions: number, server and one more.
    questions: [AtomicU32; QUESTIONS],
}

impl Sockets {
    /// The socket `cookie`, if it has asked.
    pub fn find(&self, cookie: u64) -> Option<&Socket> {
        // Acquire pairs with the Release below: its words are this socket's.
        self.sockets.iter().find(|socket| socket.cookie.load(Acquire) == cookie)
    }

    /// The socket `cookie`, from now on known.
    pub fn find_or_add(&self, cookie: u64) -> &Socket {
        self.find(cookie).unwrap_or_else(|| {
            // Relaxed: a turn by itself.
            let turn = self.next.fetch_add(1, Relaxed) as usize % SOCKETS;
            // In bounds by the remainder.
            let socket = &self.sockets[turn];
            socket.cookie.store(0, Relaxed);
            socket.connected.store(0, Relaxed);
            socket.count.store(0, Relaxed);
            socket.cookie.store(cookie, Release);
            socket
        })
    }

    /// Forgets the socket `cookie`.
    pub fn remove(&self, cookie: u64) {
        if let Some(socket) = self.find(cookie) {
            // Relaxed: nothing is read of a free place.
            socket.cookie.store(0, Relaxed);
        }
    }

    /// The number of the server at `address`. Servers beyond the last place share that.
    pub fn number(&self, address: SocketAddr) -> ServerNumber {
        let (rest, ip) = packed(address);
        for (number, server) in self.servers.iter().enumerate() {
            // Relaxed: the winner writes, and publishes below.
            if server.state.compare_exchange(0, 1, Relaxed, Relaxed).is_ok() {
                server.rest.store(rest, Relaxed);
                server.ip[0].store(ip[0], Relaxed);
                server.ip[1].store(ip[1], Relaxed);
                // Release pairs with the Acquire in `address`.
                server.state.store(WRITTEN, Release);
            }
            if server.address() == Some(address) {
                return ServerNumber(number as u16);
            }
        }
        ServerNumber(SERVERS as u16 - 1)
    }

    /// The address of a server.
    pub fn address(&self, number: ServerNumber) -> Option<SocketAddr> {
        self.servers.get(usize::from(number.0))?.address()
    }
}

impl Server {
    fn address(&self) -> Option<SocketAddr> {
        // Acquire pairs with the Release in `number`.
        if self.state.load(Acquire) != WRITTEN {
            return None;
        }
        let rest = self.rest.load(Relaxed);
        let [high, low] = [self.ip[0].load(Relaxed), self.ip[1].load(Relaxed)];
        let bits = u128::from(high) << 64 | u128::from(low);
        let port = rest as u16;
        Some(if rest & IS_V6 == 0 {
            SocketAddr::new(IpAddr::V4((bits as u32).into()), port)
        } else {
            SocketAddrV6::new(bits.into(), port, 0, (rest >> SCOPE) as u32).into()
        })
    }
}

fn packed(address: SocketAddr) -> (u64, [u64; 2]) {
    let port = u64::from(address.port());
    match address {
        SocketAddr::V4(v4) => (port, [0, u32::from(*v4.ip()).into()]),
        SocketAddr::V6(v6) => {
            let bits = u128::from(*v6.ip());
            let rest = u64::from(v6.scope_id()) << SCOPE | IS_V6 | port;
            (rest, [(bits >> 64) as u64, bits as u64])
        }
    }
}

impl Socket {
    /// The program has connected it to a server, or let go of it.
    pub fn connect(&self, server: Option<ServerNumber>) {
        self.connected.store(server.map_or(0, |server| u32::from(server.0) + 1), Relaxed);
    }

    /// The server that the program has connected it to.
    pub fn connected(&self) -> Option<ServerNumber> {
        self.connected.load(Relaxed).checked_sub(1).map(|number| ServerNumber(number as u16))
    }

    /// Notes that `server` was asked the question `id`.
    pub fn note(&self, id: u16, server: ServerNumber) {
        let turn = self.count.fetch_add(1, Relaxed) as usize % QUESTIONS;
        // In bounds by the remainder.
        self.questions[turn].store(u32::from(id) << 16 | (u32::from(server.0) + 1), Relaxed);
    }

    /// The server that was asked the question `id`; of several the one that was asked last, and if
    /// none was, or `id` is not known, the one that was asked anything.
    pub fn asked(&self, id: Option<u16>) -> Option<ServerNumber> {
        let count = self.count.load(Relaxed) as usize;
        let oldest = count.saturating_sub(QUESTIONS);
        let last =
            || (oldest..count).rev().map(|turn| self.questions[turn % QUESTIONS].load(Relaxed));
        let found = last().find(|question| Some((question >> 16) as u16) == id);
        let question = found.or_else(|| last().next())?;
        (question as u16).checked_sub(1).map(ServerNumber)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sockets() -> Box<Sockets> {
        // SAFETY: atomics, for which zeroes are valid.
        unsafe { Box::<Sockets>::new_zeroed().assume_init() }
    }

    #[test]
    fn servers_of_both_families_are_found_again() {
        let sockets = sockets();
        let mut numbers = Vec::new();
        for text in
            ["192.0.2.53:53", "[2001:db8::53]:53", "[::ffff:192.0.2.53]:53", "[fe80::1%3]:53"]
        {
            let address: SocketAddr = text.parse().unwrap();
            let number = sockets.number(address);
            assert_eq!(sockets.address(number), Some(address));
            assert_eq!(sockets.number(address), number);
            assert!(!numbers.contains(&number));
            numbers.push(number);
        }
    }

    #[test]
    fn more_servers_than_places_share_the_last_one() {
        let sockets = sockets();
        for last in 0..=255 {
            sockets.number(SocketAddr::from(([192, 0, 2, last], 53)));
        }
        let number = sockets.number("198.51.100.1:53".parse().unwrap());
        assert_eq!(number, ServerNumber(SERVERS as u16 - 1));
        assert!(sockets.address(number).is_some());
    }

    #[test]
    fn an_answer_comes_from_the_server_that_was_asked_the_question() {
        let sockets = sockets();
        let [first, second] =
            ["192.0.2.1:53", "192.0.2.2:53"].map(|text| sockets.number(text.parse().unwrap()));
        let socket = sockets.find_or_add(7);
        assert_eq!(socket.asked(Some(1)), None);
        socket.note(1, first);
        socket.note(2, second);
        assert_eq!(socket.asked(Some(1)), Some(first));
        assert_eq!(socket.asked(Some(2)), Some(second));
        assert_eq!((socket.asked(Some(3)), socket.asked(None)), (Some(second), Some(second)));
        socket.note(2, first);
        assert_eq!(socket.asked(Some(2)), Some(first));
        for id in 100..100 + QUESTIONS as u16 {
            socket.note(id, first);
        }
        socket.note(1, second);
        assert_eq!(socket.asked(Some(1)), Some(second));
    }

    #[test]
    fn a_new_socket_takes_the_place_of_the_oldest() {
        let sockets = sockets();
        let server = sockets.number("192.0.2.1:53".parse().unwrap());
        sockets.find_or_add(1).connect(Some(server));
        assert_eq!(sockets.find_or_add(1).connected(), Some(server));
        for cookie in 2..=SOCKETS as u64 + 1 {
            assert_eq!(sockets.find_or_add(cookie).connected(), None);
        }
        assert!(sockets.find(1).is_none() && sockets.find(2).is_some());
        sockets.remove(2);
        assert!(sockets.find(2).is_none());
    }
}
