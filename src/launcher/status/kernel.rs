//! The kernel's view of TCP sockets (sock_diag(7)): whose they are, where they lead, how much they
//! have carried. Any user may ask; nothing is changed.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// A TCP socket as the kernel has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelSocket {
    /// `SO_COOKIE`.
    pub cookie: u64,
    /// The number of its file.
    pub inode: u64,
    /// The state: `TCP_ESTABLISHED` and so on.
    pub state: u8,
    /// Its own address.
    pub local: SocketAddr,
    /// Its peer's.
    pub peer: SocketAddr,
    /// The bytes that it has sent and received, the handshake's included.
    pub carried: Option<(u64, u64)>,
}

/// `TCP_ESTABLISHED` (include/net/tcp_states.h).
pub const ESTABLISHED: u8 = 1;
/// `TCP_LISTEN`.
pub const LISTENING: u8 = 10;

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const INET_DIAG_INFO: u16 = 2;
/// Of struct inet_diag_req_v2.
const REQUEST: usize = 56;
/// Of struct inet_diag_msg.
const MESSAGE: usize = 72;
const HEAD: usize = size_of::<libc::nlmsghdr>();

/// The TCP sockets of this network namespace, by inode. Errors: those of netlink(7).
pub fn sockets() -> io::Result<HashMap<u64, KernelSocket>> {
    let mut all = HashMap::new();
    for family in [libc::AF_INET, libc::AF_INET6] {
        dump(family as u8, &mut |socket| {
            all.insert(socket.inode, socket);
        })?;
    }
    Ok(all)
}

fn dump(family: u8, each: &mut dyn FnMut(KernelSocket)) -> io::Result<()> {
    // SAFETY: integers; a descriptor of our own.
    let socket = unsafe {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
        let fd = libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_SOCK_DIAG);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        OwnedFd::from_raw_fd(fd)
    };
    let request = request(family);
    // SAFETY: the kernel reads the request.
    let sent = unsafe { libc::send(socket.as_raw_fd(), request.as_ptr().cast(), request.len(), 0) };
    if sent < 0 {
        return Err(io::Error::last_os_error());
    }
    let mut buffer = vec![0; 1 << 16];
    loop {
        // SAFETY: the kernel writes at most the buffer's length.
        let count =
            unsafe { libc::recv(socket.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), 0) };
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        if !parse(&buffer[..count], each)? {
            return Ok(());
        }
    }
}

fn request(family: u8) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEAD + REQUEST);
    bytes.extend(((HEAD + REQUEST) as u32).to_ne_bytes());
    bytes.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    bytes.extend(((libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16).to_ne_bytes());
    bytes.extend([0; 8]);
    bytes.extend([family, libc::IPPROTO_TCP as u8, 1 << (INET_DIAG_INFO - 1), 0]);
    // Every state, and any socket.
    bytes.extend(u32::MAX.to_ne_bytes());
    bytes.resize(HEAD + REQUEST, 0);
    bytes
}

/// Reads the messages of one datagram; says whether more follow.
fn parse(mut bytes: &[u8], each: &mut dyn FnMut(KernelSocket)) -> io::Result<bool> {
    while let Some(head) = bytes.first_chunk::<HEAD>() {
        let length = u32::from_ne_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let Some(message) = bytes.get(HEAD..length) else { break };
        match i32::from(u16::from_ne_bytes([head[4], head[5]])) {
            libc::NLMSG_DONE => return Ok(false),
            libc::NLMSG_ERROR => {
                let errno = message.first_chunk().map_or(0, |bytes| -i32::from_ne_bytes(*bytes));
                return Err(io::Error::from_raw_os_error(errno));
            }
            _ => socket(message).into_iter().for_each(&mut *each),
        }
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(true)
}

fn socket(message: &[u8]) -> Option<KernelSocket> {
    let (message, attributes) = message.split_at_checked(MESSAGE)?;
    let port = |at| Some(u16::from_be_bytes(*message.get(at..)?.first_chunk()?));
    let word = |at| Some(u32::from_ne_bytes(*message.get(at..)?.first_chunk()?));
    let ip = |at| match i32::from(message[0]) {
        libc::AF_INET => {
            Some(IpAddr::from(Ipv4Addr::from(*message.get(at..)?.first_chunk::<4>()?)))
        }
        _ => Some(IpAddr::from(Ipv6Addr::from(*message.get(at..)?.first_chunk::<16>()?))),
    };
    Some(KernelSocket {
        state: message[1],
        local: SocketAddr::new(ip(8)?.to_canonical(), port(4)?),
        peer: SocketAddr::new(ip(24)?.to_canonical(), port(6)?),
        cookie: u64::from(word(44)?) | u64::from(word(48)?) << 32,
        inode: word(68)?.into(),
        carried: carried(attributes),
    })
}

/// The bytes sent and received, of `struct tcp_info`.
fn carried(mut attributes: &[u8]) -> Option<(u64, u64)> {
    loop {
        let [a, b, c, d] = *attributes.first_chunk()?;
        let (length, kind) = (u16::from_ne_bytes([a, b]) as usize, u16::from_ne_bytes([c, d]));
        let info = attributes.get(4..length)?;
        if kind == INET_DIAG_INFO {
            let number = |at| Some(u64::from_ne_bytes(*info.get(at..)?.first_chunk()?));
            // `bytes_sent` less `bytes_retrans`; before Linux 4.19 `bytes_acked`.
            let sent = number(200).and_then(|sent| sent.checked_sub(number(208)?));
            return Some((sent.or_else(|| number(120))?, number(128)?));
        }
        attributes = attributes.get(length.next_multiple_of(4)..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::linux::fs::MetadataExt;

    #[test]
    fn a_socket_of_our_own_is_told_with_what_it_has_carried() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        client.write_all(b"hello").unwrap();
        server.read_exact(&mut [0; 5]).unwrap();
        let path = format!("/proc/self/fd/{}", client.as_raw_fd());
        let inode = std::fs::metadata(path).unwrap().st_ino();
        let found = sockets().unwrap()[&inode];
        assert_eq!(found.cookie, epochsocks::sys::net::cookie(client.as_raw_fd()).unwrap());
        assert_eq!((found.state, found.peer), (ESTABLISHED, listener.local_addr().unwrap()));
        assert_eq!(found.carried, Some((5, 0)));
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_without_a_panic(bytes: Vec<u8>) {
            let _ = parse(&bytes, &mut |_| {});
            let _ = socket(&[&[2; MESSAGE][..], &bytes].concat());
        }
    }
}
