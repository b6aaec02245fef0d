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

/// Lets each feature stand for a backend. With several, as in a build of everything, the first one
/// of the list is taken.
macro_rules! choose_backend {
    ($($feature:literal => $backend:ty,)* _ => $default:ty) => {
        choose_backend!(@ () $($feature => $backend,)* _ => $default);
    };
    (@ ($($before:literal)*) $feature:literal => $backend:ty, $($rest:tt)*) => {
        /// The backend that this library was built with.
        #[cfg(all(feature = $feature, not(any($(feature = $before),*))))]
        pub type Backend = $backend;
        choose_backend!(@ ($($before)* $feature) $($rest)*);
    };
    (@ ($($before:literal)*) _ => $default:ty) => {
        /// The backend that this library was built with.
        #[cfg(not(any($(feature = $before),*)))]
        pub type Backend = $default;
    };
}

choose_backend! {
    "registry-slots-barrier" => backends::SlotsBarrier<Record>,
    "registry-slots-epoch" => backends::SlotsEpoch<Record>,
    "registry-slots-hazard" => backends::SlotsHazard<Record>,
    "registry-counted" => backends::Owned<backends::Counted<Record>>,
    "registry-mutex" => backends::Owned<backends::Mutex<Record>>,
    "registry-mutex-slots" => backends::Owned<backends::MutexSlots<Record>>,
    "registry-sharded" => backends::Owned<backends::Sharded<Record>>,
    "registry-snapshot" => backends::Owned<backends::Snapshot<Record>>,
    "registry-slots-crossbeam" => backends::SlotsCrossbeam<Record>,
    _ => backends::Slots<Record>
}

/// Every tracked descriptor of the process.
pub static SOCKETS: Sockets<Backend, fn(Event)> = Sockets::new(Backend::new(), tell);

/// Tells whether no descriptor of the process has a handshake in flight or owes an error: one load.
#[inline(always)]
pub fn none_in_flight() -> bool {
    in_flight_count() == 0
}

#[cold]
#[inline(never)]
fn tell(event: Event) {
    match event {
        Event::Ended(report) => tell_end(&report),
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
    let (host, port) = (request.host, request.port);
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
