//! Channels: what a program gets in the place of a UDP socket that it connects to a name server. One is an end of
//! a pair of UNIX sockets that keep messages apart, and the supervisor has the other end. So no datagram leads
//! anywhere else, whatever call sends it and whatever address comes with it: that a socket which can send is
//! connected to one place does not keep it from sending to others.

use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use epochsocks::policy::SocketKind;
use epochsocks::sys::{Errno, net, status_flags};

use super::Supervisor;
use super::abi;
use super::calls::Done;
use super::listener::Call;
use super::names::LONGEST;
use super::pending::{Pending, ReplyTo, Work};
use super::program::{self, Socket};

impl Supervisor<'_> {
    /// Puts a channel in the place of the UDP socket, which the program connects to `server`.
    pub(super) fn open_channel(&mut self, call: &Call, socket: Socket, server: SocketAddr) -> Done {
        let pair = non_blocking(&socket).and_then(abi::pair);
        let opened = pair.and_then(|(near, far)| {
            self.take_place(call, &far)?;
            let cookie = net::cookie(far.as_raw_fd())?;
            let process = program::process_of(call.thread);
            self.add(Pending {
                fd: Rc::new(near),
                events: libc::EPOLLIN as u32,
                deadline: None,
                work: Work::Channel(process),
            })?;
            self.sockets.insert(cookie, server, None);
            Ok(())
        });
        opened.into()
    }

    /// Socket that `socket` was before it was connected to a name server, if it is a channel: UDP, which the
    /// program has again.
    pub(super) fn as_before(&mut self, call: &Call, socket: Socket) -> Result<Socket, Errno> {
        if socket.kind.is_inet() {
            return Ok(socket);
        }
        let cookie = net::cookie(socket.number())?;
        let Some(server) = self.sockets.destination(cookie) else { return Ok(socket) };
        let domain = if server.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
        let kind = SocketKind { domain, kind: libc::SOCK_DGRAM, protocol: libc::IPPROTO_UDP };
        let fd = self.make_socket(kind, kind.kind | non_blocking(&socket)?)?;
        self.take_place(call, &fd)?;
        self.sockets.remove(cookie);
        Ok(Socket { fd, kind })
    }

    /// Puts `fd` at the descriptor that `call` names.
    fn take_place(&self, call: &Call, fd: &OwnedFd) -> Result<(), Errno> {
        let number = call.arguments[0] as i32;
        let is_close_on_exec = program::is_close_on_exec(call, number);
        self.listener.put(call.id, fd.as_raw_fd(), number, is_close_on_exec)
    }

    /// Answers what has come by our end of the channel that was taken from `place`.
    pub(super) fn hear_channel(&mut self, place: usize, pending: Pending, process: i32) {
        let fd = Rc::clone(&pending.fd);
        let mut query = [0; LONGEST];
        let received = net::receive_now(fd.as_raw_fd(), &mut query);
        let hung_up = || {
            net::poll(fd.as_raw_fd(), 0, Duration::ZERO)
                .is_ok_and(|events| events & libc::POLLHUP != 0)
        };
        match received {
            Ok(0) if hung_up() => self.end(place, &pending),
            Ok(length) => {
                self.pending.put_back(place, pending);
                let known = length.min(LONGEST);
                self.ask(process, &query[..known], ReplyTo::Channel(fd));
            }
            Err(Errno(libc::EAGAIN | libc::EINTR)) => self.pending.put_back(place, pending),
            Err(_) => self.end(place, &pending),
        }
    }
}

/// `SOCK_NONBLOCK` if `socket` is non-blocking.
fn non_blocking(socket: &Socket) -> Result<i32, Errno> {
    let flags = status_flags(socket.number())?;
    Ok(if flags.is_nonblocking() { libc::SOCK_NONBLOCK } else { 0 })
}
