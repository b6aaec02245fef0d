//! A connection through Tor, on the program's own socket.

use core::ffi::c_int;
use core::net::SocketAddr;
use core::sync::atomic::{AtomicU8, Ordering::Relaxed};
use core::time::Duration;

use epochsocks::config::{Connect as ConnectSetting, Settings};
use epochsocks::log::Level;
use epochsocks::program::running_program_waits_directly;
use epochsocks::sockets::{Attempt, Connect, Sent};
use epochsocks::socks5::{Command, Handshake, Host, Request};
use epochsocks::sys::{Errno, net};
use epochsocks::tor::{Deadline, DialError, DriveError, dial, drive};

use crate::cancellation::pthread_testcancel;
use crate::hooks::waits::wait_loop::{timeout, wait_for_connect};
use crate::libc_io::Libc;
use crate::log::{self, log};
use crate::sockets::SOCKETS;
use crate::{clock, errno, launch, runtime};

/// Host that a destination stands for.
#[derive(Clone, Copy)]
pub enum HostIs {
    /// To its address, by the name that Tor has resolved to it where one is known.
    OfAddress,
    /// To the name that stands behind a cookie address.
    BehindCookie,
}

/// A TCP socket that is to go through Tor.
#[derive(Clone, Copy)]
pub struct Socket {
    /// The descriptor.
    pub fd: c_int,
    /// The address family.
    pub domain: c_int,
    /// The kernel was not asked for kind and family; see [`Attempt::is_claimed`].
    pub is_claimed: bool,
}

/// Result of [`through_tor`].
pub enum Outcome {
    /// For the program, in libc's form.
    Done(c_int),
    /// No lookup has given the cookie address.
    UnknownCookie,
    /// The socket is not what was claimed; nothing was done.
    NotAsClaimed,
}

/// Connects `socket` through Tor; `destination` is what the program will be told that it reached. A cancellation
/// point, at which a thread that was cancelled before has connected nothing, and cleans up with its own signal mask.
pub fn through_tor(socket: Socket, destination: SocketAddr, host: HostIs) -> Outcome {
    pthread_testcancel();
    let connected = match send_off(socket, destination, host) {
        None => return Outcome::UnknownCookie,
        Some(Ok(Connect::NotAsClaimed)) => return Outcome::NotAsClaimed,
        Some(Ok(Connect::Sent(sent))) if sent.waits() => wait(socket.fd, sent),
        Some(Ok(Connect::Sent(sent))) => Err(sent.underway()),
        Some(Ok(Connect::Done)) => Ok(()),
        // A vfork child's socket: it goes through Tor as any, but no record remembers it.
        Some(Ok(Connect::NoRecord)) => match run(socket, destination, host) {
            Some(result) => result,
            None => return Outcome::UnknownCookie,
        },
        Some(Err(errno)) => Err(errno),
    };
    Outcome::Done(match connected {
        Ok(()) => 0,
        Err(errno) => errno::fail(errno),
    })
}

/// In a frame of its own, as some stacks are small.
#[inline(never)]
fn request(destination: SocketAddr, host: HostIs) -> Option<Request> {
    let ip = destination.ip();
    let host = match host {
        HostIs::OfAddress => runtime::ANSWERS.name(ip).map_or(Host::Address(ip), Host::Name),
        HostIs::BehindCookie => Host::Name(launch::name_behind(destination)?),
    };
    Some(Request { command: Command::Connect, host, port: destination.port() })
}

/// In a frame of its own, which is gone when the call waits.
#[inline(never)]
fn send_off(
    socket: Socket,
    destination: SocketAddr,
    host: HostIs,
) -> Option<Result<Connect, Errno>> {
    let request = request(destination, host)?;
    let settings = runtime::loaded();
    let credentials = runtime::credentials();
    let began = clock::now();
    let deadline = began.saturating_add(settings.handshake_timeout);
    let attempt = Attempt {
        domain: socket.domain,
        is_claimed: socket.is_claimed,
        destination,
        request: &request,
        tor: SocketAddr::new(settings.tor_address, settings.tor_port),
        credentials: credentials.as_ref(),
        began: began.as_nanos() as u64,
        deadline: deadline.as_nanos() as u64,
        always_waits: || always_waits(runtime::loaded()),
        tells_success: log::writes(Level::Notice),
    };
    Some(SOCKETS.connect(socket.fd, &attempt))
}

/// Tells whether a connect waits on a non-blocking socket, too: an event loop that enters the
/// kernel without libc would see the tokens, and would not drive the handshake.
pub fn always_waits(settings: &Settings) -> bool {
    const UNKNOWN: u8 = 0;
    const NO: u8 = 1;
    const YES: u8 = 2;
    /// Relaxed: threads that look at once find the same.
    static WAITS_DIRECTLY: AtomicU8 = AtomicU8::new(UNKNOWN);
    let look = || {
        let found = running_program_waits_directly();
        WAITS_DIRECTLY.store(if found == Ok(true) { YES } else { NO }, Relaxed);
        found == Ok(true)
    };
    match (settings.connect, WAITS_DIRECTLY.load(Relaxed)) {
        (ConnectSetting::Wait, _) | (_, YES) => true,
        (ConnectSetting::Auto, NO) => false,
        (ConnectSetting::Auto, _) => look(),
    }
}

fn wait(fd: c_int, mut sent: Sent) -> Result<(), Errno> {
    let waited = wait_for_connect(fd, &mut sent);
    SOCKETS.finish(sent, waited)
}

/// A whole handshake that waits, for a socket without a record.
#[inline(never)]
fn run(socket: Socket, destination: SocketAddr, host: HostIs) -> Option<Result<(), Errno>> {
    Some(run_to(socket.fd, socket.domain, &request(destination, host)?))
}

fn run_to(fd: c_int, domain: c_int, request: &Request) -> Result<(), Errno> {
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
            log!(
                Notice,
                Connection,
                "connected through Tor to {} port {}",
                request.host,
                request.port
            );
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

/// Leaves the socket as it was before the connect, so that the program may try again.
fn disconnect(fd: c_int) {
    let _ = net::disconnect(fd);
    // The kernel's ECONNRESET for it.
    let _ = net::take_error(fd);
}

/// The handshake's time: the settings', or the program's own `SO_SNDTIMEO` if that is shorter.
fn limit(fd: c_int, settings: &Settings) -> Duration {
    let program = timeout(fd, libc::SO_SNDTIMEO);
    program.map_or(settings.handshake_timeout, |time| time.min(settings.handshake_timeout))
}

fn report_dial(tor: SocketAddr, error: &DialError) {
    log!(Error, Proxy, "can't reach the Tor port {tor}: {error}");
}

fn report(request: &Request, error: &DriveError) {
    log!(Error, Connection, "connect to {} port {}: {error}", request.host, request.port);
}
