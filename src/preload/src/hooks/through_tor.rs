//! A connection through Tor: one claim, one handshake, one publication.

use core::ffi::c_int;
use core::net::SocketAddr;
use core::time::Duration;

use epochsocks::config::Settings;
use epochsocks::pending::{ARENA, Pending, Script};
use epochsocks::policy::address::encode;
use epochsocks::registry::{BeginError, Connection, Record, Registry};
use epochsocks::socks5::{Command, Handshake, Host, Request};
use epochsocks::sys::{self, Errno, net, time};
use epochsocks::tor::{Deadline, DialError, DriveError, dial, drive, target};

use crate::calls::Libc;
use crate::log::log;
use crate::pending::{self, Standing};
use crate::registry::REGISTRY;
use crate::{errno, registry, runtime};

/// Connects `fd`, a TCP socket of `domain`, to `host` through Tor; `destination` is what the
/// program will be told that it reached.
pub fn through_tor(fd: c_int, domain: c_int, destination: SocketAddr, host: Host) -> c_int {
    let request = Request { command: Command::Connect, host, port: destination.port() };
    let begun = match registry::tracked(fd) {
        Err(errno) => Err(errno),
        Ok(Some(held)) => {
            let begun = begin(held.record(), fd, domain, destination, &request);
            // Before any wait: a cancelled thread must not keep it.
            registry::put(held);
            begun
        }
        // A vfork child's socket: it goes through Tor as any, but nobody remembers it.
        Ok(None) => run(fd, domain, &request).map(|()| Begun::Connected),
    };
    match begun.and_then(|begun| finish(fd, begun)) {
        Ok(()) => 0,
        Err(errno) => errno::fail(errno),
    }
}

/// What a call of connect has met.
#[derive(Clone, Copy)]
enum Begun {
    /// Its own handshake is in flight; whether the call waits for its end.
    Launched { waits: bool },
    /// One that was in flight before.
    Joined,
    /// It is all done.
    Connected,
}

fn begin(
    record: &Record,
    fd: c_int,
    domain: c_int,
    destination: SocketAddr,
    request: &Request,
) -> Result<Begun, Errno> {
    loop {
        match launch(record, fd, domain, destination, request) {
            // Landed at once or not: the socket tells the program.
            Ok(waits) => return Ok(Begun::Launched { waits }),
            Err(LaunchError::Begin(BeginError::IsConnected)) => return Err(Errno(libc::EISCONN)),
            Err(LaunchError::Begin(BeginError::Failed(_))) => {
                if let Some(errno) = pending::take_error(fd) {
                    disconnect(fd);
                    return Err(errno);
                }
            }
            Err(LaunchError::Begin(BeginError::Already)) => {
                if pending::drive(fd).is_pending() {
                    return Ok(Begun::Joined);
                }
            }
            Err(LaunchError::Dial(tor, error)) => {
                report_dial(tor, &error);
                return Err(error.errno());
            }
            Err(LaunchError::Full) => {
                log!(Error, "too many connections are being made at once");
                return Err(Errno(libc::EAGAIN));
            }
        }
    }
}

/// What connect answers: at once if the socket is O_NONBLOCK, else when the handshake has ended.
#[inline(never)]
fn finish(fd: c_int, begun: Begun) -> Result<(), Errno> {
    let (underway, waits) = match begun {
        Begun::Connected => return Ok(()),
        Begun::Launched { waits } => (Errno(libc::EINPROGRESS), waits),
        Begun::Joined => (Errno(libc::EALREADY), !sys::is_nonblocking(fd)?),
    };
    if !waits {
        return Err(underway);
    }
    let flight = REGISTRY.borrow(fd, |record| record.flight()).flatten();
    let place = flight.and_then(|flight| ARENA.find(flight.place, flight.cookie.0));
    if place.is_some_and(|place| !place.attend()) {
        // As for a socket that another thread is connecting.
        return Err(Errno(libc::EALREADY));
    }
    if let Begun::Joined = begun {
        match (pending::drive(fd), place) {
            // It ended while this call was on its way: another one has connected the socket.
            (Standing::Settled, _) => {
                place.inspect(|place| place.leave());
                return Err(Errno(libc::EISCONN));
            }
            // Another thread is about to launch it, and will wait for it.
            (standing, None) if standing.is_pending() => return Err(underway),
            _ => {}
        }
    }
    let waited = pending::wait(fd, pending::timeout(fd, libc::SO_SNDTIMEO));
    if let Some(place) = place {
        place.leave();
    }
    match waited {
        Ok(Standing::Failed) => {
            let errno = pending::take_error(fd);
            disconnect(fd);
            Err(errno.unwrap_or(Errno(libc::ECONNABORTED)))
        }
        // Closed meanwhile, whatever has its number now.
        Ok(_) if flight.is_some_and(|flight| net::cookie(fd) != Ok(flight.cookie.0)) => {
            Err(Errno(libc::EBADF))
        }
        Ok(_) if net::has_peer(fd) => Ok(()),
        Ok(_) if !REGISTRY.contains(fd) => Err(Errno(libc::EBADF)),
        Ok(_) => Err(Errno(libc::ECONNABORTED)),
        Err(Errno(libc::EAGAIN)) => Err(underway),
        Err(errno) => Err(errno),
    }
}

enum LaunchError {
    Begin(BeginError),
    Dial(SocketAddr, DialError),
    /// No place for another handshake.
    Full,
}

/// Claims the record, connects the socket to the Tor port and leaves the handshake in flight. No
/// signal handler and no cancellation comes in between, so that no claim is lost. Answers whether
/// the socket is one that waits, of which the calling thread is then the attendant.
#[inline(never)]
fn launch(
    record: &Record,
    fd: c_int,
    domain: c_int,
    destination: SocketAddr,
    request: &Request,
) -> Result<bool, LaunchError> {
    let waits = sys::is_nonblocking(fd).is_ok_and(|is_nonblocking| !is_nonblocking);
    let settings = runtime::loaded();
    let tor = SocketAddr::new(settings.tor_address, settings.tor_port);
    let ran = sys::without_signals(|| {
        let claim = record.begin_connect().map_err(LaunchError::Begin)?;
        match take_off(record, fd, domain, tor, request, settings.handshake_timeout) {
            Ok((place, pending)) => {
                if waits {
                    // Before anybody else can see it in flight.
                    pending.attend();
                }
                record.launch(claim, Connection { destination }, place);
                let flight = record.flight();
                Ok(flight.map(|flight| (flight, pending.run_on(place, fd))))
            }
            Err(error) => {
                record.abandon(claim);
                Err(error)
            }
        }
    })?;
    if let Some((flight, ran)) = ran {
        pending::landed(fd, flight, ran);
    }
    Ok(waits)
}

/// Finds a place, puts the handshake there, and connects the socket to the Tor port without
/// waiting. The caller gets the place's baton.
fn take_off(
    record: &Record,
    fd: c_int,
    domain: c_int,
    tor: SocketAddr,
    request: &Request,
    timeout: Duration,
) -> Result<(u32, &'static Pending), LaunchError> {
    let refused = |refusal| LaunchError::Dial(tor, DialError::Refused(refusal));
    let address = target(fd, domain, tor).map_err(refused)?;
    let (place, pending) = place(record).ok_or(LaunchError::Full)?;
    let script = || {
        let handshake = Handshake::new(request, runtime::credentials().as_ref());
        Script { handshake, request: *request, tor: address }
    };
    let deadline = time::monotonic().saturating_add(timeout).as_nanos() as u64;
    pending.launch(place, fd, script, deadline);
    ARENA.note_deadline(deadline);
    connect_without_waiting(fd, &address).map_err(|errno| {
        pending.scrub(place);
        LaunchError::Dial(tor, DialError::Connect(errno))
    })?;
    Ok((place, pending))
}

/// The place where the socket's registrations are, or a new one, with its baton.
fn place(record: &Record) -> Option<(u32, &'static Pending)> {
    let cookie = record.cookie().0;
    match record.place().and_then(|place| Some((place, ARENA.find(place, cookie)?))) {
        Some((place, pending)) => pending.take_to_launch(cookie).then_some((place, pending)),
        None => ARENA.allocate(cookie),
    }
}

fn connect_without_waiting(fd: c_int, address: &SocketAddr) -> Result<(), Errno> {
    // Linux answers 0 to the first connect after one that did not wait has succeeded.
    if net::has_peer(fd) {
        return Err(Errno(libc::EISCONN));
    }
    let (bytes, length) = encode(address);
    let connect = || match net::connect(fd, &bytes[..length]) {
        Err(Errno(libc::EINPROGRESS | libc::EINTR)) => Ok(()),
        result => result,
    };
    sys::without_blocking(fd, || match connect() {
        // What an earlier failure has left behind; told once.
        Err(Errno(libc::ECONNABORTED)) => connect(),
        result => result,
    })
}

/// Leaves the socket as it was before the connect, so that the program may try again.
fn disconnect(fd: c_int) {
    let _ = net::disconnect(fd);
    // The kernel's ECONNRESET for it.
    let _ = net::take_error(fd);
}

/// A whole handshake that waits, for a socket without a record.
#[inline(never)]
fn run(fd: c_int, domain: c_int, request: &Request) -> Result<(), Errno> {
    let settings = runtime::loaded();
    let saved = errno::get();
    let tor = SocketAddr::new(settings.tor_address, settings.tor_port);
    let deadline = Deadline::after(limit(fd, settings));
    dial(&Libc, fd, domain, tor, deadline).inspect_err(|error| report_dial(tor, error)).map_err(
        |error| {
            if matches!(error, DialError::Wait(_)) {
                disconnect(fd);
            }
            error.errno()
        },
    )?;
    let mut handshake = Handshake::new(request, runtime::credentials().as_ref());
    match drive(&Libc, fd, &mut handshake, deadline) {
        Ok(_) => {
            log!(Notice, "connected through Tor to {} port {}", request.host, request.port);
            errno::set(saved);
            Ok(())
        }
        Err(error) => {
            report(request, &error);
            disconnect(fd);
            Err(error.errno())
        }
    }
}

/// The handshake's time: the settings', or the program's own `SO_SNDTIMEO` if that is shorter.
fn limit(fd: c_int, settings: &Settings) -> Duration {
    let program = pending::timeout(fd, libc::SO_SNDTIMEO);
    program.map_or(settings.handshake_timeout, |time| time.min(settings.handshake_timeout))
}

fn report_dial(tor: SocketAddr, error: &DialError) {
    log!(Error, "can't reach the Tor port {tor}: {error}");
}

fn report(request: &Request, error: &DriveError) {
    log!(Error, "connect to {} port {}: {error}", request.host, request.port);
}
