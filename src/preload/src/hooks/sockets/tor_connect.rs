//! A connection through Tor: one claim, one handshake, one publication.

use core::ffi::c_int;
use core::net::SocketAddr;
use core::time::Duration;

use epochsocks::config::Settings;
use epochsocks::pending::{ARENA, Pending, Script};
use epochsocks::policy::address::encode;
use epochsocks::registry::{BeginError, Connection, Cookie, Record, Registry};
use epochsocks::socks5::{Command, Handshake, Host, Request};
use epochsocks::sys::{self, Errno, StatusFlags, net};
use epochsocks::tor::{Deadline, DialError, DriveError, dial, drive, target};

use crate::libc_io::Libc;
use crate::log::log;
use crate::pending::{self, Standing};
use crate::registry::REGISTRY;
use crate::{clock, errno, registry, runtime};

/// Connects `fd`, a TCP socket of `domain`, to `host` through Tor; `destination` is what the
/// program will be told that it reached.
pub fn through_tor(fd: c_int, domain: c_int, destination: SocketAddr, host: Host) -> c_int {
    let request = Request { command: Command::Connect, host, port: destination.port() };
    let connected = match registry::tracked(fd) {
        Err(errno) => Err(errno),
        Ok(Some(held)) => {
            let (begun, cookie) =
                (begin(held.record(), fd, domain, destination, &request), held.record().cookie());
            // Before any wait: a cancelled thread must not keep it.
            registry::put(held);
            begun.and_then(|begun| finish(fd, cookie, begun))
        }
        // A vfork child's socket: it goes through Tor as any, but nobody remembers it.
        Ok(None) => run(fd, domain, &request),
    };
    match connected {
        Ok(()) => 0,
        Err(errno) => errno::fail(errno),
    }
}

/// What a call of connect has met.
#[derive(Clone, Copy)]
enum Begun {
    /// Its own handshake: how that stands, and whether the call waits for its end.
    Launched { standing: Standing, waits: bool },
    /// One that was in flight before.
    Joined,
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
            Ok(launched) => return Ok(launched),
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
fn finish(fd: c_int, cookie: Cookie, begun: Begun) -> Result<(), Errno> {
    let (underway, waits) = match begun {
        Begun::Launched { waits, .. } => (Errno(libc::EINPROGRESS), waits),
        Begun::Joined => (Errno(libc::EALREADY), !sys::status_flags(fd)?.is_nonblocking()),
    };
    if !waits {
        return Err(underway);
    }
    let flight = REGISTRY.borrow(fd, |record| record.flight()).flatten();
    let place = flight.and_then(|flight| ARENA.find(flight.place, flight.cookie.0));
    let standing = match begun {
        Begun::Launched { standing, .. } => standing,
        Begun::Joined if place.is_some_and(|place| !place.attend(sys::gettid())) => {
            // As for a socket that another thread is connecting.
            return Err(underway);
        }
        Begun::Joined => match pending::drive(fd) {
            // It ended while this call was on its way: another one has connected the socket.
            Standing::Settled => {
                place.inspect(|place| place.leave());
                return Err(Errno(libc::EISCONN));
            }
            // Another thread is about to launch it, and will wait for it.
            standing if standing.is_pending() && place.is_none() => return Err(underway),
            standing => standing,
        },
    };
    let waited = pending::wait(fd, standing, libc::SO_SNDTIMEO);
    if let Some(place) = place {
        place.leave();
    }
    match waited {
        Ok(_) if is_connected(fd, cookie) => Ok(()),
        // Closed meanwhile, whatever has its number now.
        Ok(_) if net::cookie(fd) != Ok(cookie.0) => Err(Errno(libc::EBADF)),
        Ok(Standing::Failed) => {
            let errno = pending::take_error(fd);
            disconnect(fd);
            Err(errno.unwrap_or(Errno(libc::ECONNABORTED)))
        }
        Ok(_) => Err(Errno(libc::ECONNABORTED)),
        Err(Errno(libc::EAGAIN)) => Err(underway),
        Err(errno) => Err(errno),
    }
}

fn is_connected(fd: c_int, cookie: Cookie) -> bool {
    let is_it = |record: &Record| record.cookie() == cookie && record.connection().is_some();
    REGISTRY.borrow(fd, is_it) == Some(true)
}

enum LaunchError {
    Begin(BeginError),
    Dial(SocketAddr, DialError),
    /// No place for another handshake.
    Full,
}

/// Claims the record, connects the socket to the Tor port and leaves the handshake in flight. No
/// signal handler and no cancellation comes in between, so that no claim is lost. If the socket is
/// one that waits, the calling thread is the handshake's attendant then.
#[inline(never)]
fn launch(
    record: &Record,
    fd: c_int,
    domain: c_int,
    destination: SocketAddr,
    request: &Request,
) -> Result<Begun, LaunchError> {
    let settings = runtime::loaded();
    let tor = SocketAddr::new(settings.tor_address, settings.tor_port);
    let refused = |error| LaunchError::Dial(tor, error);
    let flags = sys::status_flags(fd).map_err(|errno| refused(DialError::Connect(errno)))?;
    let address =
        target(fd, domain, tor).map_err(|refusal| refused(DialError::Refused(refusal)))?;
    let deadline = clock::now().saturating_add(settings.handshake_timeout).as_nanos() as u64;
    let waits = !flags.is_nonblocking();
    let script = || {
        let handshake = Handshake::new(request, runtime::credentials().as_ref());
        Script { handshake, request: *request, tor: address, destination }
    };
    let ran = sys::without_signals(|| {
        let me = sys::gettid();
        let claim = record.begin_connect().map_err(LaunchError::Begin)?;
        match take_off(record, fd, flags, address, script, deadline, me) {
            Ok((place, pending)) => {
                if waits {
                    // Before anybody else can see it in flight.
                    pending.attend(me);
                }
                record.launch(claim, Connection { destination }, place);
                let flight = record.flight();
                Ok(flight.map(|flight| (flight, pending.look_until_quiet(place, fd, me))))
            }
            Err(error) => {
                record.abandon(claim);
                Err(error.map_or(LaunchError::Full, |errno| refused(DialError::Connect(errno))))
            }
        }
    })?;
    let standing = ran.map_or(Standing::Settled, |(flight, ran)| pending::landed(fd, flight, ran));
    Ok(Begun::Launched { standing, waits })
}

/// Finds a place, puts the handshake there, and connects the socket to the Tor port at `address`
/// without waiting. The caller, the thread `me`, gets the place's baton. `None` is no place.
fn take_off(
    record: &Record,
    fd: c_int,
    flags: StatusFlags,
    address: SocketAddr,
    script: impl FnOnce() -> Script,
    deadline: u64,
    me: i32,
) -> Result<(u32, &'static Pending), Option<Errno>> {
    let (place, pending) = place(record, me).ok_or(None)?;
    pending.launch(place, fd, ARENA.forks_over(), script, deadline);
    ARENA.note_deadline(deadline);
    connect_without_waiting(fd, flags, &address).inspect_err(|_| pending.scrub(place, me))?;
    Ok((place, pending))
}

/// The place where the socket's registrations are, or a new one, with its baton for the thread
/// `me`.
fn place(record: &Record, me: i32) -> Option<(u32, &'static Pending)> {
    let cookie = record.cookie().0;
    match record.place().and_then(|place| Some((place, ARENA.find(place, cookie)?))) {
        Some((place, pending)) => {
            pending.take_to_launch(place, cookie, me).then_some((place, pending))
        }
        None => ARENA.allocate(cookie, me),
    }
}

fn connect_without_waiting(
    fd: c_int,
    flags: StatusFlags,
    address: &SocketAddr,
) -> Result<(), Errno> {
    let (bytes, length) = encode(address);
    let connect = || match net::connect(fd, &bytes[..length]) {
        Err(Errno(libc::EINPROGRESS | libc::EINTR)) => Ok(()),
        // Linux answers 0 once to the first connect after one that did not wait has succeeded.
        Ok(()) => Err(Errno(libc::EISCONN)),
        result => result,
    };
    sys::without_blocking(fd, flags, || match connect() {
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
