//! Each call, carried out or refused.

use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;

use epochsocks::backstop::presence;
use epochsocks::config::Inbound;
use epochsocks::policy::address::encode;
use epochsocks::policy::helper::{looks_names_up, path_in};
use epochsocks::policy::listen::confined_bind_address;
use epochsocks::policy::socket::{open, stays_local};
use epochsocks::policy::{Address, Refusal, SocketDecision, SocketKind};
use epochsocks::sys::{Errno, net};

use super::Supervisor;
use super::abi;
use super::connects::without_waiting;
use super::listener::Call;
use super::log::{Level, Subject};
use super::pending::{Payload, ReplyTo};
use super::program::{self, AddressCopy, Socket};
use super::stub::local;
use super::verdict::{self, Verdict};

/// `SOCK_CLOEXEC` and `SOCK_NONBLOCK` ride in the type argument.
const KIND_MASK: i32 = 0xf;
/// The largest datagram that is sent in a program's place, and the most of what Fast Open sends at once.
pub(super) const MOST_BYTES: usize = 65_535;
/// The first port that every process may have, as Linux has it unless an administrator says otherwise.
const FIRST_UNPRIVILEGED_PORT: u16 = 1024;
/// The longest query that is looked at.
const LONGEST_QUERY: usize = 512;

impl Supervisor<'_> {
    /// Takes the next call that waits.
    pub(super) fn next_call(&mut self) {
        // Its thread may have ended meanwhile.
        let Ok(call) = self.listener.receive() else { return };
        let done = match call.number {
            libc::SYS_socket => self.socket(&call),
            libc::SYS_socketpair => self.socket_pair(&call),
            libc::SYS_connect => self.connect(&call),
            libc::SYS_sendto => self.send_to(&call),
            libc::SYS_getpeername => self.peer_name(&call),
            libc::SYS_bind => self.bind(&call),
            libc::SYS_listen => self.listen(&call),
            libc::SYS_sendmsg | libc::SYS_sendmmsg => Done::Fails(Errno(libc::EOPNOTSUPP)),
            _ => Done::Fails(Errno(libc::ENOSYS)),
        };
        match done {
            Done::Passes => self.listener.let_pass(call.id),
            Done::Gives(value) => drop(self.listener.answer(call.id, Ok(value))),
            Done::Fails(errno) => drop(self.listener.answer(call.id, Err(errno))),
            Done::Later => {}
        }
    }

    /// socket(2). The supervisor makes it: it is confined before the program has it.
    fn socket(&mut self, call: &Call) -> Done {
        let [domain, kind, protocol] = [0, 1, 2].map(|place| call.arguments[place] as i32);
        let kind_only = SocketKind { domain, kind: kind & KIND_MASK, protocol };
        match open(domain, kind, protocol) {
            SocketDecision::Libc => return Done::Passes,
            SocketDecision::Refuse(refusal) => return self.refuse_socket(call, refusal),
            SocketDecision::Track | SocketDecision::Confine => {}
        }
        if !program::shares_network(call) {
            let name = program::name_of(call.thread);
            let why = "it has a network of its own, or may not be looked at";
            self.warn(call, Subject::Socket, format_args!("{name}: socket refused: {why}"));
            return Done::Fails(Errno(libc::EACCES));
        }
        match self.make_socket(kind_only, kind) {
            Ok(fd) => {
                let is_close_on_exec = kind & libc::SOCK_CLOEXEC != 0;
                match self.listener.give(call.id, fd.as_raw_fd(), is_close_on_exec) {
                    Ok(()) => Done::Later,
                    Err(errno) => Done::Fails(errno),
                }
            }
            Err(errno) => Done::Fails(errno),
        }
    }

    /// socketpair(2). There is no pair of sockets that could leave the machine.
    fn socket_pair(&mut self, call: &Call) -> Done {
        let [domain, kind, protocol] = [0, 1, 2].map(|place| call.arguments[place] as i32);
        match open(domain, kind, protocol) {
            SocketDecision::Libc => Done::Passes,
            SocketDecision::Refuse(refusal) => self.refuse_socket(call, refusal),
            SocketDecision::Track | SocketDecision::Confine => Done::Fails(Errno(libc::EOPNOTSUPP)),
        }
    }

    fn refuse_socket(&self, call: &Call, refusal: Refusal) -> Done {
        let name = program::name_of(call.thread);
        let process = || program::process_of(call.thread);
        let message = format_args!("{name}: socket refused: {refusal}");
        self.log.line(Level::Debug, Subject::Socket, process, message);
        Done::Fails(refusal.errno())
    }

    /// A confined socket; `flags` are the type argument of socket(2).
    pub(super) fn make_socket(&self, kind: SocketKind, flags: i32) -> Result<OwnedFd, Errno> {
        let fd = abi::socket(kind.domain, flags | libc::SOCK_CLOEXEC, kind.protocol)?;
        let confinement = verdict::confinement(kind, self.settings);
        if confinement.to_loopback {
            net::confine(fd.as_raw_fd())?;
        }
        if confinement.silenced {
            net::silence(fd.as_raw_fd());
        }
        Ok(fd)
    }

    /// connect(2).
    fn connect(&mut self, call: &Call) -> Done {
        if call.arguments[0] as i32 == -1 && call.arguments[1] == presence::QUESTION {
            return Done::Fails(presence::ANSWER);
        }
        let taken =
            Socket::of(call, &self.listener).and_then(|socket| self.as_before(call, socket));
        let [_, place, length, ..] = call.arguments;
        let read = || AddressCopy::of(call, &self.listener, place, length);
        if let Ok(socket) = &taken
            && !socket.kind.is_inet()
        {
            let domain = socket.kind.domain;
            if !stays_local(domain) {
                return self.refuse_socket(call, Refusal::Family(domain));
            }
            // Of an address that can't be read the kernel says so.
            let is_lookup = |copy: AddressCopy| looks_names_up(path_in(copy.as_slice()));
            return match read().is_ok_and(is_lookup) {
                true => self.refuse_lookup_service(call),
                false => Done::Passes,
            };
        }
        // The kernel looks at the address before it asks for a socket.
        let both = match taken {
            Err(Errno(libc::ENOTSOCK)) => read().and(Err(Errno(libc::ENOTSOCK))),
            taken => taken.and_then(|socket| Ok((socket, read()?))),
        };
        let (socket, copy) = match both {
            Ok(both) => both,
            Err(errno) => return self.untold(call, errno),
        };
        let address = copy.parse();
        let verdict = match address {
            Address::Inet(to) if socket.kind.is_udp() && self.stubs.is_one(to) => {
                Verdict::NameServer(to)
            }
            _ => verdict::connect(socket.kind, address, &self.world, self.settings),
        };
        if verdict == Verdict::Invalid {
            // The kernel knows which errno it is.
            let connect = if socket.kind.is_tcp() { without_waiting } else { net::connect };
            return connect(socket.number(), copy.as_slice()).into();
        }
        self.carry_out(call, socket, address, verdict, None)
    }

    /// A connect to a service that libc, linked into the program, asks before it asks a name server.
    fn refuse_lookup_service(&self, call: &Call) -> Done {
        let (name, refusal) = (program::name_of(call.thread), Refusal::LookupService);
        let process = || program::process_of(call.thread);
        let message = format_args!("{name}: connect to a UNIX socket refused: {refusal}");
        self.log.line(Level::Debug, Subject::Connect, process, message);
        Done::Fails(refusal.errno())
    }

    /// Carries out the verdict on a connect; `payload` is what the call then sends.
    fn carry_out(
        &mut self,
        call: &Call,
        socket: Socket,
        address: Address,
        verdict: Verdict,
        payload: Option<Payload>,
    ) -> Done {
        match verdict {
            Verdict::Pass => Done::Passes,
            Verdict::Invalid => Done::Fails(Errno(libc::EINVAL)),
            Verdict::Direct(destination) => self.connect_directly(call, socket, destination),
            Verdict::Dissolve => {
                if let Ok(cookie) = net::cookie(socket.number()) {
                    self.sockets.remove(cookie);
                }
                net::disconnect(socket.number()).into()
            }
            Verdict::ThroughTor { destination, is_cookie } => {
                match self.world.request(destination, is_cookie) {
                    Some(request) => {
                        self.connect_through_tor(call, socket, destination, request, payload)
                    }
                    None => self.refuse(call, destination, Refusal::UnknownCookie),
                }
            }
            Verdict::NameServer(server) if socket.kind.is_tcp() => {
                self.connect_to_stream(call, socket, server)
            }
            Verdict::NameServer(server) => self.open_channel(call, socket, server),
            Verdict::Refuse(refusal) => match address {
                Address::Inet(to) => self.refuse(call, to, refusal),
                _ => Done::Fails(refusal.errno()),
            },
        }
    }

    /// sendto(2) with an address.
    fn send_to(&mut self, call: &Call) -> Done {
        let [_, data, length, flags, place, address_length] = call.arguments;
        let socket = match Socket::of(call, &self.listener) {
            Ok(socket) => socket,
            Err(errno) => return self.untold(call, errno),
        };
        let is_fast_open = flags as i32 & libc::MSG_FASTOPEN != 0;
        if !socket.kind.is_inet() {
            // The descriptor may be another socket by the time that the kernel looks.
            return if is_fast_open { Done::Fails(Errno(libc::EOPNOTSUPP)) } else { Done::Passes };
        }
        let address = match AddressCopy::of(call, &self.listener, place, address_length) {
            Ok(copy) => copy.parse(),
            Err(errno) => return self.untold(call, errno),
        };
        let verdict = match address {
            Address::Inet(to) if socket.kind.is_udp() && self.stubs.is_one(to) => {
                Verdict::NameServer(to)
            }
            _ => verdict::send(socket.kind, address, is_fast_open, &self.world, self.settings),
        };
        if socket.kind.is_tcp() {
            let payload = Payload { place: data, length };
            return match (verdict, address) {
                (Verdict::Refuse(refusal), Address::Inet(to)) => self.refuse(call, to, refusal),
                // Programs that are told so connect first.
                (Verdict::Direct(_) | Verdict::NameServer(_), _) => {
                    Done::Fails(Errno(libc::EOPNOTSUPP))
                }
                _ => self.carry_out(call, socket, address, verdict, Some(payload)),
            };
        }
        match (verdict, address) {
            (Verdict::NameServer(_), _) => self.ask_by_datagram(call, socket),
            (Verdict::Direct(to), _) => self.send_in_place(call, &socket, to),
            (Verdict::Refuse(refusal), Address::Inet(to)) => self.refuse(call, to, refusal),
            (Verdict::Refuse(refusal), _) => Done::Fails(refusal.errno()),
            (Verdict::Pass, _) => Done::Passes,
            _ => Done::Fails(Errno(libc::EINVAL)),
        }
    }

    /// Sends a copy of the program's datagram.
    fn send_in_place(&self, call: &Call, socket: &Socket, to: SocketAddr) -> Done {
        let [_, place, length, ..] = call.arguments;
        let length = length as usize;
        if length > MOST_BYTES {
            return Done::Fails(Errno(libc::EMSGSIZE));
        }
        let mut data = vec![0; length];
        let (bytes, address_length) = encode(&to);
        let sent = program::memory(call, &self.listener, place, &mut data)
            .and_then(|()| net::send_to(socket.number(), &data, &bytes[..address_length]));
        sent.map_or_else(Done::Fails, |()| Done::Gives(length as i64))
    }

    /// A question on a socket that is not connected. The answer comes from the stub, whose address takes the
    /// place of the server's in the program's memory: musl compares the two.
    fn ask_by_datagram(&mut self, call: &Call, socket: Socket) -> Done {
        let [_, data, length, _, place, address_length] = call.arguments;
        let mut query = [0; LONGEST_QUERY];
        let known = (length as usize).min(LONGEST_QUERY);
        if let Err(errno) = program::memory(call, &self.listener, data, &mut query[..known]) {
            return self.untold(call, errno);
        }
        let to = match self.bound(&socket) {
            Ok(to) => to,
            Err(errno) => return Done::Fails(errno),
        };
        let (stub, stub_length) = encode(&self.stubs.address(socket.kind.domain));
        if address_length as usize >= stub_length {
            // A constant stays as it is: its program does not compare, or does not get its answer.
            let _ = abi::write_memory(call.thread, place, &stub[..stub_length]);
        }
        let process = program::process_of(call.thread);
        let reply_to = ReplyTo::Datagram(to, Rc::new(socket.fd));
        self.ask(process, &query[..known], reply_to);
        Done::Gives(length as i64)
    }

    /// Address at which the stub finds the UDP socket, which is bound to loopback unless it is bound.
    fn bound(&self, socket: &Socket) -> Result<SocketAddr, Errno> {
        let own = || local(socket.number()).ok_or(Errno(libc::EINVAL));
        let mut loopback = self.stubs.address(socket.kind.domain);
        if own()?.port() == 0 {
            loopback.set_port(0);
            let (bytes, length) = encode(&loopback);
            net::bind(socket.number(), &bytes[..length])?;
        }
        let mut at = own()?;
        if at.ip().to_canonical().is_unspecified() {
            at.set_ip(loopback.ip());
        }
        Ok(at)
    }

    /// getpeername(2): where the socket leads for the program.
    fn peer_name(&mut self, call: &Call) -> Done {
        let Ok(socket) = Socket::of(call, &self.listener) else { return Done::Passes };
        let cookie = net::cookie(socket.number()).ok();
        if cookie.is_some_and(|cookie| self.pending.place_of(cookie).is_some()) {
            // Its peer would be Tor's port, to which it is connected for the handshake.
            return Done::Fails(Errno(libc::ENOTCONN));
        }
        let known = cookie.and_then(|cookie| self.sockets.destination(cookie));
        let Some(destination) = known.filter(|_| net::has_peer(socket.number())) else {
            return Done::Passes;
        };
        let [_, place, length_at, ..] = call.arguments;
        let told = program::tell_address(call, &self.listener, (place, length_at), &destination);
        told.into()
    }

    /// bind(2). It leads nowhere, and the kernel carries it out, unless the socket is bound to the loopback interface
    /// and the address is of another one: no answer of Tor's port or of a name server would come to it there.
    fn bind(&mut self, call: &Call) -> Done {
        let [_, place, length, ..] = call.arguments;
        let Ok(socket) = Socket::of(call, &self.listener) else { return Done::Passes };
        let Ok(copy) = AddressCopy::of(call, &self.listener, place, length) else {
            return Done::Passes;
        };
        let Address::Inet(at) = copy.parse() else { return Done::Passes };
        let every = confined_bind_address(at).filter(|_| net::is_confined(socket.number()));
        // A port that the program may not have is the kernel's to refuse, as is an address of another machine.
        let may_have = at.port() == 0 || at.port() >= FIRST_UNPRIVILEGED_PORT;
        match every.filter(|_| may_have && is_own(at)) {
            Some(every) => {
                let (bytes, length) = encode(&every);
                net::bind(socket.number(), &bytes[..length]).into()
            }
            None => Done::Passes,
        }
    }

    /// listen(2): no other machine is let in, unless the settings say so.
    fn listen(&mut self, call: &Call) -> Done {
        let socket = match Socket::of(call, &self.listener) {
            Ok(socket) => socket,
            Err(errno) => return self.untold(call, errno),
        };
        if !socket.kind.is_inet() {
            return Done::Passes;
        }
        let at = local(socket.number()).map_or(Address::Other, Address::Inet);
        let is_confined = net::is_confined(socket.number());
        let refusal = epochsocks::policy::listen::inbound(at, self.settings)
            .filter(|_| !(is_confined && self.settings.allow_inbound == Inbound::Loopback));
        match (refusal, at) {
            (Some(refusal), Address::Inet(at)) => {
                self.warn(call, Subject::Listen, format_args!("listen on {at} refused: {refusal}"));
                Done::Fails(refusal.errno())
            }
            // The number and the address are the supervisor's own copies.
            _ => abi::listen(socket.number(), call.arguments[1] as i32).into(),
        }
    }

    fn refuse(&mut self, call: &Call, to: SocketAddr, refusal: Refusal) -> Done {
        if refusal == Refusal::NotAStream {
            // A connect alone sends nothing: C libraries sort addresses by it.
            let sends = call.number != libc::SYS_connect;
            let is_first = sends && self.refused_ports.insert(to.port());
            let level = if is_first { Level::Warning } else { Level::Debug };
            let name = program::name_of(call.thread);
            let process = || program::process_of(call.thread);
            let message = format_args!("{name}: datagrams to {to} refused: {refusal}");
            self.log.line(level, Subject::Data, process, message);
        } else {
            self.warn(call, Subject::Connect, format_args!("connect to {to} refused: {refusal}"));
        }
        Done::Fails(refusal.errno())
    }

    pub(super) fn warn(&self, call: &Call, subject: Subject, message: std::fmt::Arguments<'_>) {
        self.log.line(Level::Warning, subject, || program::process_of(call.thread), message);
    }

    /// Refuses what can't be looked at, and tells the user.
    fn untold(&self, call: &Call, errno: Errno) -> Done {
        if errno == Errno(libc::EACCES) && self.listener.waits(call.id) {
            let name = program::name_of(call.thread);
            let why = "it may not be looked at (it is not dumpable)";
            self.warn(call, Subject::Call, format_args!("{name}: call refused: {why}"));
        }
        Done::Fails(errno)
    }
}

/// Tells whether `address` is one of this machine's.
fn is_own(address: SocketAddr) -> bool {
    let address = SocketAddr::new(address.ip().to_canonical(), 0);
    let domain = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    let (bytes, length) = encode(&address);
    abi::socket(domain, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0)
        .and_then(|fd| net::bind(fd.as_raw_fd(), &bytes[..length]))
        .is_ok()
}

/// The end of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Done {
    /// The kernel carries it out.
    Passes,
    /// It gives this.
    Gives(i64),
    /// It fails.
    Fails(Errno),
    /// It was answered, or will be.
    Later,
}

impl From<Result<(), Errno>> for Done {
    fn from(result: Result<(), Errno>) -> Done {
        result.map(|()| 0).into()
    }
}

impl From<Result<i64, Errno>> for Done {
    fn from(result: Result<i64, Errno>) -> Done {
        result.map_or_else(Done::Fails, Done::Gives)
    }
}
