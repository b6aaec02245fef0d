//! Connects that wait: for Tor, or for whom the settings let the program reach directly.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use epochsocks::policy::address::encode;
use epochsocks::socks5::{Credentials, Handshake, Request};
use epochsocks::sys::{self, Errno, net, status_flags, time};
use epochsocks::tor::{Advance, DialError, DriveError, advance, target};

use super::Supervisor;
use super::abi;
use super::calls::{Done, MOST_BYTES};
use super::listener::Call;
use super::log::{Level, Subject};
use super::pending::{Connect, Direct, Payload, Pending, Work};
use super::program::{self, Socket};

impl Supervisor<'_> {
    /// Sends a connect off; its call is answered when Tor has connected.
    pub(super) fn connect_through_tor(
        &mut self,
        call: &Call,
        socket: Socket,
        destination: SocketAddr,
        request: Request,
        payload: Option<Payload>,
    ) -> Done {
        let fd = socket.number();
        let cookie = match net::cookie(fd) {
            Ok(cookie) => cookie,
            Err(errno) => return Done::Fails(errno),
        };
        if let Some(place) = self.pending.place_of(cookie) {
            if self.is_waited_for(place) {
                return Done::Fails(Errno(libc::EALREADY));
            }
            if let Some(connect) = self.pending.connect_to(place, destination) {
                (connect.call, connect.payload) = (*call, payload);
                return Done::Later;
            }
            self.give_up(place);
            let _ = net::disconnect(fd);
        }
        if net::has_peer(fd) {
            let result = match (self.sockets.unreported(cookie, destination), payload) {
                (Some(0), Some(_)) => self.send_payload(call, fd, payload),
                (Some(value), _) => Ok(value),
                (None, _) => return Done::Fails(Errno(libc::EISCONN)),
            };
            self.report(call, (cookie, destination), result);
            return Done::Later;
        }
        let process = program::process_of(call.thread);
        if let Err(error) = self.dial(&socket) {
            let tor = self.settings.tor();
            let message = format_args!("can't reach the Tor port {tor}: {error}");
            self.log.line(Level::Error, Subject::Proxy, || process, message);
            return Done::Fails(error.errno());
        }
        let mut handshake = Handshake::new(&request, self.credentials(process).as_ref());
        // Mostly the request is sent at once; what fails here does so again when it is driven.
        let events = match advance(fd, &mut handshake) {
            Ok(Advance::Waits(events)) => events as u32,
            Ok(Advance::Done(_)) | Err(_) => libc::EPOLLOUT as u32,
        };
        let (own, tors) = (send_timeout(&socket), self.settings.handshake_timeout);
        let late = Errno(if own < tors { libc::EINPROGRESS } else { libc::ETIMEDOUT });
        let call = *call;
        let connect =
            Connect { call, process, cookie, destination, request, handshake, payload, late };
        let pending = Pending {
            fd: Rc::new(socket.fd),
            events,
            deadline: Some(time::monotonic().saturating_add(own.min(tors))),
            work: Work::Connect(Box::new(connect)),
        };
        self.add(pending).map_or_else(Done::Fails, |_| Done::Later)
    }

    /// A connect past Tor, which the settings allow. A blocking socket's call is answered when it is over.
    pub(super) fn connect_directly(
        &mut self,
        call: &Call,
        socket: Socket,
        destination: SocketAddr,
    ) -> Done {
        let (bytes, length) = encode(&destination);
        let cookie = match net::cookie(socket.number()) {
            Ok(cookie) => cookie,
            Err(errno) => return Done::Fails(errno),
        };
        self.sockets.remove(cookie);
        let waits = socket.kind.is_tcp()
            && status_flags(socket.number()).is_ok_and(|flags| !flags.is_nonblocking());
        if !waits {
            return net::connect(socket.number(), &bytes[..length]).into();
        }
        if let Some(place) = self.pending.place_of(cookie) {
            if self.is_waited_for(place) {
                return Done::Fails(Errno(libc::EALREADY));
            }
            self.give_up(place);
        }
        match without_waiting(socket.number(), &bytes[..length]) {
            // The kernel goes on with what a call has begun that a signal has ended.
            Err(Errno(libc::EINPROGRESS | libc::EALREADY)) => {
                let pending = Pending {
                    deadline: time::monotonic().checked_add(send_timeout(&socket)),
                    fd: Rc::new(socket.fd),
                    events: libc::EPOLLOUT as u32,
                    work: Work::Direct(Direct { call: *call, cookie }),
                };
                self.add(pending).map_or_else(Done::Fails, |_| Done::Later)
            }
            result => result.into(),
        }
    }

    /// Tells whether a thread still waits for the connect at `place`.
    fn is_waited_for(&self, place: usize) -> bool {
        let call = self.pending.get(place).and_then(Pending::call);
        call.is_some_and(|call| self.listener.waits(call.id))
    }

    /// Lets the program's own socket connect to the SOCKS port, without waiting.
    fn dial(&self, socket: &Socket) -> Result<(), DialError> {
        let (fd, domain) = (socket.number(), socket.kind.domain);
        let target = target(fd, domain, self.settings.tor()).map_err(DialError::Refused)?;
        if !net::is_confined(fd) {
            net::take_off_routes(fd, domain).map_err(DialError::Connect)?;
        }
        let (bytes, length) = encode(&target);
        match without_waiting(fd, &bytes[..length]) {
            Ok(()) | Err(Errno(libc::EINPROGRESS | libc::EINTR)) => Ok(()),
            Err(errno) => Err(DialError::Connect(errno)),
        }
    }

    /// The user name and password that choose the circuit, as the hooks of `process` would show them.
    pub(super) fn credentials(&self, process: i32) -> Option<Credentials> {
        let started = if self.settings.isolate_pid { program::start_of(process) } else { 0 };
        self.settings.credentials(process, started)
    }

    /// Lets what waits at `place` go as far as it goes without waiting.
    pub(super) fn drive(&mut self, place: usize) {
        let Some(mut pending) = self.pending.take(place) else { return };
        let fd = pending.number();
        match &mut pending.work {
            Work::Connect(connect) => match advance(fd, &mut connect.handshake) {
                Ok(Advance::Waits(events)) => self.wait_on(place, pending, events as u32),
                Ok(Advance::Done(_)) => self.finish(place, pending, Ok(())),
                Err(error) => self.finish(place, pending, Err(error)),
            },
            Work::Direct(Direct { call, .. }) => {
                // The error of a call that a signal has ended is for the next one.
                if self.listener.waits(call.id) {
                    let result = match net::take_error(fd) {
                        Ok(0) => Ok(0),
                        Ok(errno) | Err(Errno(errno)) => Err(Errno(errno)),
                    };
                    let _ = self.listener.answer(call.id, result);
                }
                self.end(place, &pending);
            }
            Work::Question(asking) => match advance(fd, &mut asking.handshake) {
                Ok(Advance::Waits(events)) => self.wait_on(place, pending, events as u32),
                Ok(Advance::Done(answer)) => self.answered(place, pending, Ok(answer)),
                Err(error) => self.answered(place, pending, Err(error)),
            },
            Work::Stream(..) => self.hear_stream(place, pending),
            Work::Channel(process) => {
                let process = *process;
                self.hear_channel(place, pending, process);
            }
        }
    }

    /// Ends what waits at `place`, for want of time or of anybody who waits for it.
    pub(super) fn give_up(&mut self, place: usize) {
        let Some(pending) = self.pending.take(place) else { return };
        match pending.work {
            Work::Connect(_) => self.finish(place, pending, Err(DriveError::TimedOut)),
            Work::Question(_) => self.answered(place, pending, Err(DriveError::TimedOut)),
            Work::Direct(Direct { call, .. }) => {
                let _ = self.listener.answer(call.id, Err(Errno(libc::EINPROGRESS)));
                self.end(place, &pending);
            }
            Work::Stream(..) | Work::Channel(_) => self.end(place, &pending),
        }
    }

    /// Answers a connect. If a signal has ended its call, the program's next one hears of its success.
    fn finish(&mut self, place: usize, pending: Pending, result: Result<(), DriveError>) {
        self.end(place, &pending);
        let fd = pending.number();
        let Work::Connect(connect) = &pending.work else { return };
        let Connect { call, process, cookie, destination, request, payload, late, .. } = **connect;
        let (host, port) = (request.host, request.port);
        let waits = self.listener.waits(call.id);
        let errno = match result {
            Ok(()) => {
                let message = format_args!("connected through Tor to {host} port {port}");
                self.log.line(Level::Notice, Subject::Connection, || process, message);
                let payload = payload.filter(|_| waits);
                let result = self.send_payload(&call, fd, payload);
                return self.report(&call, (cookie, destination), result);
            }
            Err(DriveError::TimedOut) if late == Errno(libc::EINPROGRESS) => late,
            Err(error) => {
                if waits {
                    let message = format_args!("connect to {host} port {port}: {error}");
                    self.log.line(Level::Error, Subject::Connection, || process, message);
                }
                error.errno()
            }
        };
        // As it was before the connect, so that the program may try again.
        let _ = net::disconnect(fd);
        // The kernel's ECONNRESET for it.
        let _ = net::take_error(fd);
        let _ = self.listener.answer(call.id, Err(errno));
    }

    /// Answers the call that hears that the socket `cookie` leads to `destination`. The kernel takes an answer also for
    /// a thread that a signal has woken already, which never sees it: the next call hears it then.
    fn report(
        &mut self,
        call: &Call,
        (cookie, destination): (u64, SocketAddr),
        result: Result<i64, Errno>,
    ) {
        let had_signal = program::has_signal(call.thread);
        let answered = self.listener.answer(call.id, result);
        let is_seen = !had_signal && answered.is_ok() && !program::has_signal(call.thread);
        let unreported = (!is_seen).then_some(result.unwrap_or(0));
        self.sockets.insert(cookie, destination, unreported);
    }

    /// Sends what Fast Open takes along; gives the call's result.
    fn send_payload(&self, call: &Call, fd: i32, payload: Option<Payload>) -> Result<i64, Errno> {
        let Some(Payload { place, length }) = payload else { return Ok(0) };
        let mut data = vec![0; (length as usize).min(MOST_BYTES)];
        program::memory(call, &self.listener, place, &mut data)?;
        net::send_now(fd, &data).map(|count| count as i64)
    }
}

/// The time that a connect of `socket` has, `SO_SNDTIMEO`.
fn send_timeout(socket: &Socket) -> Duration {
    abi::send_timeout(socket.number()).unwrap_or(Duration::MAX)
}

/// Connects `fd` without waiting, whatever its flags are: what waited here would keep all other calls waiting.
pub(super) fn without_waiting(fd: i32, address: &[u8]) -> Result<(), Errno> {
    match net::connect_now(fd, address) {
        // The system forbids Fast Open.
        Err(Errno(libc::EOPNOTSUPP)) => {
            sys::without_blocking(fd, status_flags(fd)?, || net::connect(fd, address))
        }
        connected => connected,
    }
}
