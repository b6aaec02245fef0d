//! Questions to name servers, by UDP and TCP, answered through Tor.

use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::rc::Rc;

use epochsocks::nameserver::responder::stream;
use epochsocks::nameserver::streams;
use epochsocks::policy::address::encode;
use epochsocks::policy::socket::confines_streams;
use epochsocks::resolver::dns::{Question, Reply, refusal};
use epochsocks::resolver::error::LookupError;
use epochsocks::resolver::query::{Step, failure, finish, start};
use epochsocks::socks5::{Answer, Handshake, Request};
use epochsocks::sys::{self, Errno, net, time};
use epochsocks::tor::{Advance, DialError, DriveError, ResolveError, advance, confine_like_others};

use super::Supervisor;
use super::abi;
use super::calls::Done;
use super::listener::Call;
use super::log::{Level, Subject};
use super::pending::{Asking, Pending, ReplyTo, Work};
use super::program::{self, Socket};

/// As many as wait for Tor at a time, beside the connects. One more is lost, as a datagram may be.
const MOST: usize = 1_024;
/// The longest message that a stream brings.
pub(super) const LONGEST: usize = 1_024;

impl Supervisor<'_> {
    /// Answers `query` at once, or asks Tor. What is none is lost.
    pub(super) fn ask(&mut self, process: i32, query: &[u8], reply_to: ReplyTo) {
        let Some(question) = Question::parse(query) else {
            if let Some(refusal) = refusal(query) {
                self.reply(&reply_to, refusal.as_slice());
            }
            return;
        };
        let ipv6 = self.settings.enable_ipv6;
        match with_own_name(|own| start(&question, own, ipv6, &self.world)) {
            Step::Replied(reply) => self.answer(process, &question, &reply_to, reply),
            Step::Asks(_) if self.pending.len() >= MOST => {}
            Step::Asks(request) => {
                let asked = self.ask_tor(process, question, &request, reply_to.clone());
                if let Err(error) = asked {
                    let reply = Err(LookupError::Tor(error));
                    self.answer(process, &question, &reply_to, reply);
                }
            }
        }
    }

    fn ask_tor(
        &mut self,
        process: i32,
        question: Question,
        request: &Request,
        reply_to: ReplyTo,
    ) -> Result<(), ResolveError> {
        let tor = self.settings.tor();
        let domain = if tor.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
        let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        let fd = abi::socket(domain, kind, 0).map_err(ResolveError::Socket)?;
        confine_like_others(fd.as_raw_fd(), confines_streams(self.settings));
        let (bytes, length) = encode(&tor);
        match net::connect(fd.as_raw_fd(), &bytes[..length]) {
            Ok(()) | Err(Errno(libc::EINPROGRESS)) => {}
            Err(errno) => return Err(ResolveError::Dial(tor, DialError::Connect(errno))),
        }
        let mut handshake = Handshake::new(request, self.credentials(process).as_ref());
        let events = match advance(fd.as_raw_fd(), &mut handshake) {
            Ok(Advance::Waits(events)) => events as u32,
            Ok(Advance::Done(_)) | Err(_) => libc::EPOLLOUT as u32,
        };
        let deadline = time::monotonic().saturating_add(self.settings.handshake_timeout);
        let asking = Asking { process, question, reply_to, handshake };
        let pending = Pending {
            fd: Rc::new(fd),
            events,
            deadline: Some(deadline),
            work: Work::Question(Box::new(asking)),
        };
        self.add(pending).map(drop).map_err(ResolveError::Socket)
    }

    /// Tor has answered the question that was taken from `place`, or has not.
    pub(super) fn answered(
        &mut self,
        place: usize,
        pending: Pending,
        result: Result<Answer, DriveError>,
    ) {
        self.end(place, &pending);
        let Work::Question(asking) = &pending.work else { return };
        let question = &asking.question;
        if let Ok(Answer::Address(address)) = result {
            self.world.note(address, question.name());
        }
        let (ipv6, result) = (self.settings.enable_ipv6, result.map_err(ResolveError::Drive));
        let reply = with_own_name(|own| finish(question, own, ipv6, &self.world, result));
        self.answer(asking.process, question, &asking.reply_to, reply);
    }

    fn answer(
        &mut self,
        process: i32,
        question: &Question,
        reply_to: &ReplyTo,
        reply: Result<Reply, LookupError>,
    ) {
        let reply = reply.unwrap_or_else(|error| {
            let level = if error.is_plain_no() { Level::Debug } else { Level::Error };
            let message = format_args!("lookup of {}: {error}", question.name());
            self.log.line(level, Subject::Lookup, || process, message);
            failure(&error)
        });
        self.reply(reply_to, question.answer(reply).as_slice());
    }

    fn reply(&mut self, reply_to: &ReplyTo, message: &[u8]) {
        let sent = match reply_to {
            ReplyTo::Datagram(to, _) => self.stubs.send(message, *to),
            ReplyTo::Stream(fd) => streams::send(fd.as_raw_fd(), message),
            ReplyTo::Channel(fd) => net::send_now(fd.as_raw_fd(), message).map(drop),
        };
        if let Err(errno) = sent {
            let message = format_args!("DNS answer lost: {errno}");
            self.log.line(Level::Debug, Subject::Query, sys::getpid, message);
        }
    }

    /// Connects the program's TCP socket to an end of ours, which answers in the place of `server`.
    pub(super) fn connect_to_stream(
        &mut self,
        call: &Call,
        socket: Socket,
        server: SocketAddr,
    ) -> Done {
        if net::has_peer(socket.number()) {
            return Done::Fails(Errno(libc::EISCONN));
        }
        let (end, told) = match stream(socket.number(), socket.kind.domain, self.settings.tor_port)
        {
            Ok(stream) => stream,
            Err(errno) => return Done::Fails(errno),
        };
        let kept = abi::own(&end);
        end.close();
        let fd = match kept {
            Ok(fd) => fd,
            Err(errno) => return Done::Fails(errno),
        };
        if let Ok(cookie) = net::cookie(socket.number()) {
            self.sockets.insert(cookie, server, None);
        }
        let pending = Pending {
            fd: Rc::new(fd),
            events: (libc::EPOLLIN | libc::EPOLLRDHUP) as u32,
            deadline: None,
            work: Work::Stream(program::process_of(call.thread), Vec::new()),
        };
        match self.add(pending) {
            Ok(_) => told.into(),
            Err(errno) => Done::Fails(errno),
        }
    }

    /// Reads what has come by our end of a stream, and answers each whole message.
    pub(super) fn hear_stream(&mut self, place: usize, mut pending: Pending) {
        let fd = pending.number();
        let Work::Stream(process, input) = &mut pending.work else { return };
        let process = *process;
        let mut bytes = [0; LONGEST];
        let is_open = match net::receive_now(fd, &mut bytes) {
            Ok(count @ 1..) => {
                input.extend(&bytes[..count.min(LONGEST)]);
                true
            }
            Err(Errno(libc::EAGAIN | libc::EINTR)) => true,
            Ok(0) | Err(_) => false,
        };
        let mut messages = Vec::new();
        while let Some((length, rest)) = input.split_first_chunk::<2>()
            && let Some(message) = rest.get(..usize::from(u16::from_be_bytes(*length)))
        {
            messages.push(message.to_vec());
            input.drain(..2 + message.len());
        }
        let reply_to = ReplyTo::Stream(Rc::clone(&pending.fd));
        if is_open && input.len() <= 2 * LONGEST {
            self.pending.put_back(place, pending);
        } else {
            self.end(place, &pending);
        }
        for message in messages {
            self.ask(process, &message, reply_to.clone());
        }
    }
}

/// Calls `read` with the machine's own name, empty if it has none.
fn with_own_name<T>(read: impl FnOnce(&[u8]) -> T) -> T {
    let machine = sys::uname();
    read(machine.as_ref().map_or(&[], |machine| sys::node_name(machine)))
}
