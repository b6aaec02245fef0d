//! The address that answers to questions of unconnected sockets come from: a UDP socket of each family on
//! loopback. Nothing is received there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};

use epochsocks::policy::Address;
use epochsocks::policy::address::{MAX_LENGTH, encode};
use epochsocks::sys::{Errno, net};

use super::abi;

/// A socket of ours, and where it is.
struct Stub {
    fd: OwnedFd,
    address: SocketAddr,
}

/// Both stubs.
pub struct Stubs {
    v4: Stub,
    /// None where there is no IPv6.
    v6: Option<Stub>,
}

impl Stub {
    fn at(ip: IpAddr) -> Result<Stub, Errno> {
        let domain = if ip.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
        let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        let fd = abi::socket(domain, kind, 0)?;
        let (bytes, length) = encode(&SocketAddr::new(ip, 0));
        net::confine(fd.as_raw_fd())?;
        net::bind(fd.as_raw_fd(), &bytes[..length])?;
        let address = local(fd.as_raw_fd()).ok_or(Errno(libc::EADDRNOTAVAIL))?;
        Ok(Stub { fd, address })
    }
}

/// The local address of the inet socket `fd`.
pub fn local(fd: i32) -> Option<SocketAddr> {
    let mut bytes = [0; MAX_LENGTH];
    let length = net::local_address(fd, &mut bytes).ok()?;
    match Address::parse(&bytes[..length]) {
        Address::Inet(address) => Some(address),
        _ => None,
    }
}

impl Stubs {
    /// Errors: those of socket(2) and bind(2).
    pub fn new() -> Result<Stubs, Errno> {
        let v4 = Stub::at(Ipv4Addr::LOCALHOST.into())?;
        let v6 = Stub::at(Ipv6Addr::LOCALHOST.into()).ok();
        Ok(Stubs { v4, v6 })
    }

    fn each(&self) -> impl Iterator<Item = &Stub> {
        [Some(&self.v4), self.v6.as_ref()].into_iter().flatten()
    }

    /// Tells whether `address` is one of them, as a program's socket names it.
    pub fn is_one(&self, address: SocketAddr) -> bool {
        let address = SocketAddr::new(address.ip().to_canonical(), address.port());
        self.each().any(|stub| stub.address == address)
    }

    /// Address at which a socket of `domain` finds one.
    pub fn address(&self, domain: i32) -> SocketAddr {
        match (domain, &self.v6) {
            (libc::AF_INET6, Some(v6)) => v6.address,
            (libc::AF_INET6, None) => {
                let mapped = Ipv4Addr::LOCALHOST.to_ipv6_mapped();
                SocketAddr::new(mapped.into(), self.v4.address.port())
            }
            _ => self.v4.address,
        }
    }

    /// Sends `answer` to the program's socket at `to`. Errors: those of sendto(2).
    pub fn send(&self, answer: &[u8], to: SocketAddr) -> Result<(), Errno> {
        let is_v4 = to.ip().to_canonical().is_ipv4();
        let (stub, to) = match (&self.v6, is_v4) {
            (Some(v6), false) => (v6, to),
            _ => (&self.v4, SocketAddr::new(to.ip().to_canonical(), to.port())),
        };
        let (bytes, length) = encode(&to);
        net::send_to(stub.fd.as_raw_fd(), answer, &bytes[..length])
    }
}
