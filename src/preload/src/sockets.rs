//! The sockets of the process, over the one registry that this library was built with.

use core::net::SocketAddr;

use epochsocks::policy::Refusal;
use epochsocks::registry as backends;
use epochsocks::sockets::handshake::Report;
use epochsocks::sockets::{ConnectError, Event, Record, Sockets, in_flight_count};
use epochsocks::sys::Errno;
use epochsocks::tor::{DialError, DriveError};

use crate::log::{log, refused};
use crate::runtime;

/// Lets each value of `--cfg epochsocks_registry="…"` stand for a backend; build.rs refuses others.
macro_rules! choose_backend {
    ($({ $($name:ident $variant:ident $text:literal ($($backend:tt)*) $rest:tt)* })*) => {
        $($(
            /// The backend that this library was built with.
            #[cfg(epochsocks_registry = $text)]
            pub type Backend = $($backend)*<Record>;
        )*)*
        /// The default.
        #[cfg(not(any($($(epochsocks_registry = $text),*),*)))]
        pub type Backend = backends::Slots<Record>;
    };
}
backends::for_each_backend! { choose_backend }

/// Every tracked descriptor of the process.
pub static SOCKETS: Sockets<Backend, fn(Event<'_>)> = Sockets::new(Backend::new(), tell);

/// Tells whether no descriptor of the process has a handshake in flight or owes an error: one load.
#[inline(always)]
pub fn none_in_flight() -> bool {
    in_flight_count() == 0
}

#[cold]
#[inline(never)]
fn tell(event: Event<'_>) {
    match event {
        Event::Ended(report) => tell_end(report),
        Event::NotSent(ConnectError::Dial(tor, error)) => {
            log!(Error, Proxy, "can't reach the Tor port {tor}: {error}");
        }
        Event::NotSent(ConnectError::TooMany) => {
            log!(Error, Proxy, "too many connections are being made at once");
        }
        Event::NotSent(ConnectError::NoMemory) => {
            log!(Error, Proxy, "no memory for another connection: raise the limit (ulimit -v)");
        }
        Event::NotSent(ConnectError::NoDescriptor) => log!(
            Error,
            Proxy,
            "no descriptor is left to drive a connection through Tor by: raise the limit (ulimit -n)"
        ),
        Event::NotSent(ConnectError::Routed) => {
            refused!(Warning, Connect, "connect refused: {}", Refusal::Interface);
        }
        Event::NotSent(ConnectError::Contended) => {}
    }
}

fn tell_end(Report { request, error }: &Report) {
    let (host, port) = (&request.host, request.port);
    match error {
        None => log!(Notice, Connection, "connected through Tor to {host} port {port}"),
        Some(DriveError::Socket(errno @ Errno(libc::ECONNREFUSED))) => {
            let settings = runtime::loaded();
            let tor = SocketAddr::new(settings.tor_address, settings.tor_port);
            log!(Error, Proxy, "can't reach the Tor port {tor}: {}", DialError::Connect(*errno));
        }
        Some(error) => log!(Error, Connection, "connect to {host} port {port}: {error}"),
    }
}
