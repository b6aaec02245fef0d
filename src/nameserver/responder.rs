//! The socket that the answers come from: one of each family, bound to loopback, and never read.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::policy::Address;
use crate::policy::address::{MAX_LENGTH, encode};
use crate::sys::{self, Errno, OwnedSocket, net};

/// A family's responder: the number of its descriptor, and its port. Zeroes are none yet. A fact by
/// itself: Relaxed.
pub struct Responder(AtomicU64);

/// Time limit of a connection on the same machine.
const ACCEPT_LIMIT: core::time::Duration = core::time::Duration::from_secs(1);

/// The responders of a process.
pub struct Responders {
    v4: Responder,
    v6: Responder,
}

impl Responders {
    /// None yet.
    pub const fn new() -> Responders {
        Responders { v4: Responder::new(), v6: Responder::new() }
    }

    /// Connects the program's UDP socket `fd`, of the family `domain`, to a responder, if it is not.
    /// Errors: those of socket(2), bind(2) and connect(2).
    pub fn connect(&self, fd: i32, domain: i32) -> Result<(), Errno> {
        self.try_each(domain, |responder| {
            if peer(fd) == Some(responder) {
                return Ok(());
            }
            with_bytes(responder, |bytes| net::connect(fd, bytes))
        })
    }

    /// Binds the program's UDP socket `fd`, of the family `domain`, to loopback, unless it is bound.
    /// Errors: those of bind(2).
    pub fn bind(&self, fd: i32, domain: i32) -> Result<(), Errno> {
        if local(fd)?.port() != 0 {
            return Ok(());
        }
        self.try_each(domain, |mut responder| {
            responder.set_port(0);
            with_bytes(responder, |bytes| net::bind(fd, bytes))
        })
    }

    /// Calls `call` with the address of each responder that a socket of `domain` may reach, until it
    /// succeeds: an IPv6 socket may lack IPv6, or be bound to a mapped address.
    fn try_each(
        &self,
        domain: i32,
        mut call: impl FnMut(SocketAddr) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        if domain == libc::AF_INET {
            return self.v4.address(Ipv4Addr::LOCALHOST.into()).and_then(call);
        }
        let native = self.v6.address(Ipv6Addr::LOCALHOST.into()).and_then(&mut call);
        native.or_else(|errno| {
            let mut mapped = self.v4.address(Ipv4Addr::LOCALHOST.into())?;
            mapped.set_ip(Ipv4Addr::LOCALHOST.to_ipv6_mapped().into());
            call(mapped).map_err(|_| errno)
        })
    }

    /// Sends `answer` to the program's socket at `to`, which is a local address. Errors: those of
    /// socket(2) and sendto(2).
    pub fn send(&self, answer: &[u8], mut to: SocketAddr) -> Result<(), Errno> {
        to.set_ip(to.ip().to_canonical());
        if to.ip().is_unspecified() {
            to.set_ip(if to.is_ipv4() {
                Ipv4Addr::LOCALHOST.into()
            } else {
                IpAddr::from(Ipv6Addr::LOCALHOST)
            });
        }
        let responder = if to.is_ipv4() { &self.v4 } else { &self.v6 };
        let (fd, _) = responder.get_or_make(loopback(to))?;
        with_bytes(to, |bytes| net::send_to(fd, answer, bytes))
    }

    /// Tells whether a datagram from `source` is an answer.
    pub fn is_source(&self, source: SocketAddr) -> bool {
        let ip = source.ip().to_canonical();
        let responder = if ip.is_ipv4() { &self.v4 } else { &self.v6 };
        let made = responder.0.load(Relaxed);
        ip == loopback(source) && made != 0 && split(made).1 == source.port()
    }

    /// In a forked child, where the descriptors were closed.
    pub fn forget(&self) {
        for responder in [&self.v4, &self.v6] {
            responder.0.store(0, Relaxed);
        }
    }
}

impl Default for Responders {
    fn default() -> Self {
        Responders::new()
    }
}

fn loopback(of: SocketAddr) -> IpAddr {
    match of.ip().to_canonical() {
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    }
}

impl Responder {
    const fn new() -> Responder {
        Responder(AtomicU64::new(0))
    }

    /// Its address, made at `ip` if there is none. Errors: those of socket(2) and bind(2).
    fn address(&self, ip: IpAddr) -> Result<SocketAddr, Errno> {
        self.get_or_make(ip).map(|(_, port)| SocketAddr::new(ip, port))
    }

    /// Its descriptor and port. Two threads may make one each: the first one stays.
    fn get_or_make(&self, ip: IpAddr) -> Result<(i32, u16), Errno> {
        let seen = self.0.load(Relaxed);
        let (fd, port) = split(seen);
        // Otherwise closed by a raw system call: the number belongs to another file.
        if seen != 0 && local(fd) == Ok(SocketAddr::new(ip, port)) {
            return Ok((fd, port));
        }
        let (socket, port) = bound(ip)?;
        let made = (socket.fd() as u64) << 16 | u64::from(port);
        match self.0.compare_exchange(seen, made, Relaxed, Relaxed) {
            Ok(_) => Ok((socket.fd(), port)),
            Err(first) => {
                socket.close();
                Ok(split(first))
            }
        }
    }
}

fn split(made: u64) -> (i32, u16) {
    ((made >> 16) as i32, made as u16)
}

/// A UDP socket that is bound to a port of `ip`. Errors: those of socket(2) and bind(2).
fn bound(ip: IpAddr) -> Result<(OwnedSocket, u16), Errno> {
    let domain = if ip.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    let socket = OwnedSocket::kept_datagram(domain)?;
    let named = with_bytes(SocketAddr::new(ip, 0), |bytes| net::bind(socket.fd(), bytes));
    match named.and_then(|()| local(socket.fd())) {
        Ok(address) => Ok((socket, address.port())),
        Err(errno) => {
            socket.close();
            Err(errno)
        }
    }
}

/// Connects the program's TCP socket `fd`, of the family `domain`, to a socket of ours, which this gives.
/// The second value is connect(2)'s answer, for the program. Where the kernel lets nothing connect but to
/// Tor's `port` (Landlock), ours listens there, at a loopback address that no other socket has. Errors: those
/// of socket(2), bind(2), connect(2); `ECONNABORTED` if another program came first.
pub fn stream(fd: i32, domain: i32, port: u16) -> Result<(OwnedSocket, Result<(), Errno>), Errno> {
    let (v4, v6) = (Ipv4Addr::LOCALHOST, Ipv6Addr::LOCALHOST);
    let seen_as = |v4: Ipv4Addr| match domain {
        libc::AF_INET => IpAddr::from(v4),
        _ => v4.to_ipv6_mapped().into(),
    };
    let at_any_port = match domain {
        libc::AF_INET => stream_at(fd, SocketAddr::new(v4.into(), 0), v4.into()),
        _ => stream_at(fd, SocketAddr::new(v6.into(), 0), v6.into())
            .or_else(|_| stream_at(fd, SocketAddr::new(v4.into(), 0), seen_as(v4))),
    };
    at_any_port.or_else(|errno| match errno {
        Errno(libc::EACCES) => {
            let own = own_loopback();
            stream_at(fd, SocketAddr::new(own.into(), port), seen_as(own))
        }
        _ => Err(errno),
    })
}

/// A loopback address by which the process is told from others, and that is not 127.0.0.1.
fn own_loopback() -> Ipv4Addr {
    let [.., b, c, d] = sys::time::monotonic_nanoseconds().wrapping_mul(0x9e37_79b9).to_be_bytes();
    Ipv4Addr::new(127, b | 0x80, c, d)
}

/// Listens at `at`, whose address the program's socket calls `seen`.
fn stream_at(
    fd: i32,
    at: SocketAddr,
    seen: IpAddr,
) -> Result<(OwnedSocket, Result<(), Errno>), Errno> {
    let domain = if at.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    let listener = OwnedSocket::kept_stream(domain)?;
    let connected = with_bytes(at, |bytes| net::bind(listener.fd(), bytes))
        .and_then(|()| net::listen_once(listener.fd()))
        .and_then(|()| local(listener.fd()))
        .and_then(|at| {
            let at = SocketAddr::new(seen, at.port());
            let told = match with_bytes(at, |bytes| net::connect(fd, bytes)) {
                told @ (Ok(()) | Err(Errno(libc::EINPROGRESS))) => told,
                Err(errno) => return Err(errno),
            };
            let own = local(fd)?;
            let _ = net::poll(listener.fd(), libc::POLLIN, ACCEPT_LIMIT);
            let end = OwnedSocket::kept_connection(listener.fd())?;
            match peer(end.fd()) {
                // Another program may have found the port.
                Some(from) if from.port() == own.port() => Ok((end, told)),
                _ => {
                    end.close();
                    Err(Errno(libc::ECONNABORTED))
                }
            }
        });
    listener.close();
    connected
}

fn inet(bytes: &[u8; MAX_LENGTH], length: usize) -> Option<SocketAddr> {
    match Address::parse(bytes.get(..length)?) {
        Address::Inet(address) => Some(address),
        _ => None,
    }
}

fn with_bytes<T>(address: SocketAddr, call: impl FnOnce(&[u8]) -> T) -> T {
    let (bytes, length) = encode(&address);
    call(&bytes[..length])
}

/// The address that the kernel has bound `fd` to. Errors: those of getsockname(2).
pub fn local(fd: i32) -> Result<SocketAddr, Errno> {
    let mut bytes = [0; MAX_LENGTH];
    let length = net::local_address(fd, &mut bytes)?;
    inet(&bytes, length).ok_or(Errno(libc::EINVAL))
}

/// The address that the kernel has connected `fd` to.
fn peer(fd: i32) -> Option<SocketAddr> {
    let mut bytes = [0; MAX_LENGTH];
    let length = net::peer_address(fd, &mut bytes).ok()?;
    inet(&bytes, length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::os::fd::AsRawFd;

    #[test]
    fn an_answer_comes_to_a_connected_socket_from_the_responder() {
        let responders = Responders::new();
        for (any, domain) in [("0.0.0.0:0", libc::AF_INET), ("[::]:0", libc::AF_INET6)] {
            let socket = UdpSocket::bind(any).unwrap();
            responders.connect(socket.as_raw_fd(), domain).unwrap();
            responders.send(b"answer", local(socket.as_raw_fd()).unwrap()).unwrap();
            let mut bytes = [0; 8];
            let (length, from) = socket.recv_from(&mut bytes).unwrap();
            assert_eq!(&bytes[..length], b"answer");
            assert!(responders.is_source(from));
            let peer = socket.peer_addr().unwrap();
            responders.connect(socket.as_raw_fd(), domain).unwrap();
            assert_eq!(socket.peer_addr().unwrap(), peer);
        }
    }

    #[test]
    fn an_ipv6_socket_that_is_bound_to_a_mapped_address_is_answered() {
        let responders = Responders::new();
        let socket = UdpSocket::bind("[::ffff:127.0.0.1]:0").unwrap();
        responders.connect(socket.as_raw_fd(), libc::AF_INET6).unwrap();
        responders.send(b"answer", local(socket.as_raw_fd()).unwrap()).unwrap();
        let (length, from) = socket.recv_from(&mut [0; 8]).unwrap();
        assert!(length == 6 && responders.is_source(from));
    }

    #[test]
    fn a_responder_that_was_closed_by_a_raw_call_is_made_anew() {
        let responders = Responders::new();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        responders.connect(socket.as_raw_fd(), libc::AF_INET).unwrap();
        let before = socket.peer_addr().unwrap();
        // Another file by its number.
        let file = std::fs::File::open("/dev/null").unwrap();
        let (fd, _) = split(responders.v4.0.load(Relaxed));
        // SAFETY: integers; the descriptor is the responder's.
        assert_eq!(unsafe { libc::dup2(file.as_raw_fd(), fd) }, fd);
        responders.connect(socket.as_raw_fd(), libc::AF_INET).unwrap();
        responders.send(b"answer", local(socket.as_raw_fd()).unwrap()).unwrap();
        let (_, from) = socket.recv_from(&mut [0; 8]).unwrap();
        assert!(responders.is_source(from) && from != before);
    }

    #[test]
    fn threads_that_ask_at_once_have_one_responder() {
        for _ in 0..100 {
            let responders = Responders::new();
            let connected = || {
                let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
                responders.connect(socket.as_raw_fd(), libc::AF_INET).unwrap();
                socket.peer_addr().unwrap()
            };
            let peers = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..4).map(|_| scope.spawn(connected)).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
            });
            assert!(peers.iter().all(|peer| *peer == peers[0]));
            let (fd, _) = split(responders.v4.0.load(Relaxed));
            sys::own_descriptors::close(fd);
        }
    }

    #[test]
    fn a_socket_that_stays_unconnected_is_bound_to_loopback_once() {
        let responders = Responders::new();
        let fd = net::socket(libc::AF_INET, libc::SOCK_DGRAM, 0).unwrap();
        responders.bind(fd, libc::AF_INET).unwrap();
        let bound = local(fd).unwrap();
        assert!(bound.ip().is_loopback());
        responders.bind(fd, libc::AF_INET).unwrap();
        assert_eq!(local(fd).unwrap(), bound);
        sys::close(fd).unwrap();
    }
}
