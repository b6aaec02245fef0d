//! A connection through Tor: one claim, one handshake, one publication.

use core::ffi::c_int;
use core::net::SocketAddr;
use core::time::Duration;

use epochsocks::config::Settings;
use epochsocks::registry::{BeginError, Connection, Record};
use epochsocks::socks5::{Command, Handshake, Host, Request};
use epochsocks::sys::{Errno, net};
use epochsocks::tor::{Deadline, DialError, DriveError, dial, drive};

use crate::calls::Libc;
use crate::log::log;
use crate::{errno, registry, runtime};

/// Connects `fd`, a TCP socket of `domain`, to `host` through Tor; `destination` is what the
/// program will be told that it reached.
pub fn through_tor(fd: c_int, domain: c_int, destination: SocketAddr, host: Host) -> c_int {
    let request = Request { command: Command::Connect, host, port: destination.port() };
    let handshake = || run(fd, domain, &request);
    let result = match registry::tracked(fd) {
        Err(errno) => Err(errno),
        Ok(Some(held)) => {
            let result = once(held.record(), destination, handshake);
            registry::put(held);
            result
        }
        // A vfork child's socket: it goes through Tor as any, but nobody remembers it.
        Ok(None) => handshake(),
    };
    match result {
        Ok(()) => 0,
        Err(errno) => errno::fail(errno),
    }
}

/// Runs `handshake` unless the record is connected or about to be, and publishes its success.
fn once(
    record: &Record,
    destination: SocketAddr,
    handshake: impl FnOnce() -> Result<(), Errno>,
) -> Result<(), Errno> {
    let claim = record.begin_connect().map_err(|error| {
        Errno(match error {
            BeginError::Already => libc::EALREADY,
            BeginError::IsConnected => libc::EISCONN,
        })
    })?;
    match handshake() {
        Ok(()) => record.publish(claim, Connection { destination }),
        Err(errno) => {
            record.abandon(claim);
            return Err(errno);
        }
    }
    Ok(())
}

fn run(fd: c_int, domain: c_int, request: &Request) -> Result<(), Errno> {
    let settings = runtime::loaded();
    let saved = errno::get();
    let tor = SocketAddr::new(settings.tor_address, settings.tor_port);
    let deadline = Deadline::after(timeout(fd, settings));
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
fn timeout(fd: c_int, settings: &Settings) -> Duration {
    // SAFETY: SO_SNDTIMEO is a timeval.
    let program = unsafe { net::option::<libc::timeval>(fd, libc::SOL_SOCKET, libc::SO_SNDTIMEO) };
    match program {
        Ok(time) if time.tv_sec != 0 || time.tv_usec != 0 => {
            let time = Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1_000);
            time.min(settings.handshake_timeout)
        }
        _ => settings.handshake_timeout,
    }
}

/// Leaves the socket as it was before the connect, so that the program may try again.
fn disconnect(fd: c_int) {
    let unspecified = [0; size_of::<libc::sockaddr>()];
    let _ = net::connect(fd, &unspecified);
}

fn report_dial(tor: SocketAddr, error: &DialError) {
    match error {
        DialError::Refused(refusal) => log!(Error, "can't reach the Tor port {tor}: {refusal}"),
        DialError::Connect(Errno(libc::ECONNREFUSED)) => {
            log!(Error, "no Tor at {tor}: is the Tor daemon running, and TorPort its SocksPort?");
        }
        DialError::Connect(Errno(errno)) => {
            log!(Error, "can't reach the Tor port {tor} (errno {errno})");
        }
        DialError::Wait(error) => log!(Error, "can't reach the Tor port {tor}: {error}"),
    }
}

fn report(request: &Request, error: &DriveError) {
    log!(Error, "connect to {} port {}: {error}", request.host, request.port);
}
