//! The one registry of the process.

use core::sync::atomic::{AtomicI32, Ordering::Relaxed};

use epochsocks::policy::Refusal;
use epochsocks::registry::{self as backends, Connection, Cookie, InsertError, Record, Registry};
use epochsocks::sys::Errno;
use epochsocks::sys::net::{self, Answer};

use crate::log::log;

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
    "registry-slots-epoch" => backends::SlotsEpoch,
    "registry-slots-hazard" => backends::SlotsHazard,
    "registry-counted" => backends::Owned<backends::Counted>,
    "registry-mutex" => backends::Owned<backends::Mutex>,
    "registry-mutex-slots" => backends::Owned<backends::MutexSlots>,
    "registry-sharded" => backends::Owned<backends::Sharded>,
    "registry-snapshot" => backends::Owned<backends::Snapshot>,
    "registry-slots-crossbeam" => backends::SlotsCrossbeam,
    _ => backends::Slots
}

/// Every tracked descriptor of the process.
pub static REGISTRY: Backend = Backend::new();

/// No descriptor above this was ever given an entry. A bound for scans that guards no memory, and
/// whoever closes a descriptor has learnt of it after its entry was made: Relaxed is enough. A vfork
/// child that makes no entry may raise it in its parent, whose scans are longer then.
static HIGHEST: AtomicI32 = AtomicI32::new(-1);

fn note(fd: i32) {
    // A plain load first: nearly always enough.
    if HIGHEST.load(Relaxed) < fd {
        HIGHEST.fetch_max(fd, Relaxed);
    }
}

/// The descriptors from `first` to `last`, as close_range(2) counts them, that have entries.
fn entries_in(first: u32, last: u32) -> impl Iterator<Item = i32> {
    let highest = i64::from(HIGHEST.load(Relaxed));
    (i64::from(first)..=i64::from(last).min(highest))
        .map(|fd| fd as i32)
        .filter(|fd| REGISTRY.contains(*fd))
}

/// Every descriptor that has an entry, and a bound above them all. Async-signal-safe.
pub fn entries() -> (usize, impl Iterator<Item = i32>) {
    (HIGHEST.load(Relaxed).saturating_add(1) as usize, entries_in(0, u32::MAX))
}

/// Whether a descriptor from `first` to `last` has an entry. Async-signal-safe.
pub fn any_in(first: u32, last: u32) -> bool {
    entries_in(first, last).next().is_some()
}

/// Forgets every descriptor from `first` to `last`. Async-signal-safe.
pub fn forget_range(first: u32, last: u32) {
    entries_in(first, last).for_each(|fd| {
        REGISTRY.remove(fd);
    });
}

/// Makes `target` name what `source` names; see [`Registry::duplicate`]. Async-signal-safe.
pub fn duplicate(source: i32, target: i32) -> Result<bool, InsertError> {
    note(target);
    REGISTRY.duplicate(source, target)
}

/// What `fd` names, for [`correct`]; ends in [`put`]. Async-signal-safe.
pub fn hold(fd: i32) -> Option<Held> {
    REGISTRY.lookup(fd).map(|handle| Held(Backend::into_raw(handle)))
}

/// Compares the entry of `copy`, which a call has just made of a descriptor that named `held`
/// before, with the kernel's `SO_COOKIE`: in a handler or another thread `copy` may have been closed
/// before it got its entry, or the descriptor that it was made of. Async-signal-safe.
pub fn correct(copy: i32, held: Option<&Held>) {
    if held.is_none() && !REGISTRY.contains(copy) {
        return;
    }
    // A change is compared again, as the descriptor may have been closed before it.
    for _ in 0..ATTEMPTS {
        let cookie = match Answer::from(net::cookie(copy)) {
            Answer::Is(cookie) => Some(Cookie(cookie)),
            Answer::NotASocket(_) => None,
            // The entry is what the call has made: a later one is asked before it is used.
            Answer::Unknown(_) => return,
        };
        if REGISTRY.borrow(copy, Record::cookie) == cookie {
            return;
        }
        REGISTRY.remove(copy);
        let ours = held.filter(|held| Some(held.record().cookie()) == cookie);
        // Else nothing is open there, or another socket, whose own call tracks it.
        if ours.is_none_or(|held| !renew(copy, held.record())) {
            return;
        }
    }
}

/// Gives `fd` a record like `record`, if the registry keeps entries for this process.
fn renew(fd: i32, record: &Record) -> bool {
    if insert(fd, record.cookie()) != Ok(Kept::Yes) {
        return false;
    }
    if let (Some(connection), Some(fresh)) = (record.connection(), REGISTRY.lookup(fd))
        && let Ok(claim) = fresh.begin_connect()
    {
        fresh.publish(claim, *connection);
    }
    true
}

/// Makes `fd`, a socket that another program has connected through Tor, name a record that says where
/// it leads. Async-signal-safe.
pub fn connected(fd: i32, connection: Connection) {
    let Ok(Some(held)) = tracked(fd) else { return };
    if let Ok(claim) = held.record().begin_connect() {
        held.record().publish(claim, connection);
    }
    put(held);
}

/// Whether any descriptor was ever given an entry: one load. Async-signal-safe.
pub fn is_used() -> bool {
    HIGHEST.load(Relaxed) >= 0
}

/// Whether `fd` has an entry, and not that of a socket which was closed behind our back: then it is a
/// TCP socket. Async-signal-safe.
pub fn is_current(fd: i32) -> bool {
    REGISTRY
        .borrow(fd, Record::cookie)
        .is_some_and(|cookie| net::cookie(fd).map(Cookie) == Ok(cookie))
}

/// A descriptor of this process that names the same socket as `fd`, which has no entry itself.
/// Async-signal-safe.
pub fn same_socket(fd: i32) -> Option<i32> {
    let cookie = Cookie(net::cookie(fd).ok()?);
    entries_in(0, u32::MAX)
        .find(|other| REGISTRY.borrow(*other, |record| record.cookie() == cookie) == Some(true))
}

/// How often a descriptor may change hands under a lookup before the call gives up.
const ATTEMPTS: u32 = 8;

/// A counted reference without a destructor, so that it may be held across a blocking call and be
/// leaked by a cancelled thread. Ends in [`put`].
#[must_use]
pub struct Held(*const Record);

impl Held {
    /// The record.
    pub fn record(&self) -> &Record {
        // SAFETY: the reference is counted until `put`.
        unsafe { &*self.0 }
    }
}

/// Gives the reference back. Async-signal-safe.
pub fn put(held: Held) {
    // SAFETY: `held` came from `into_raw` in `tracked`, once.
    drop(unsafe { REGISTRY.from_raw(held.0) });
}

/// Makes `fd`, a TCP socket that the kernel just gave, name a fresh record. An entry that is there
/// belongs to a descriptor that was closed behind our back, and goes. A vfork child, whose
/// descriptors are not those of the registry, keeps none. Async-signal-safe.
pub fn track(fd: i32) -> Result<(), Errno> {
    insert(fd, Cookie(net::cookie(fd)?)).map(drop)
}

/// The record of the socket `fd`, made now if this is the first sight of it (an inherited or passed
/// socket), without what would lead it past Tor's port. An entry of another socket, closed behind our back, is dropped first: its `SO_COOKIE`
/// differs. `None` in a vfork child that has no record. Async-signal-safe.
pub fn tracked(fd: i32) -> Result<Option<Held>, Errno> {
    let cookie = Cookie(net::cookie(fd)?);
    for _ in 0..ATTEMPTS {
        match REGISTRY.lookup(fd) {
            Some(handle) if handle.cookie() == cookie => {
                return Ok(Some(Held(Backend::into_raw(handle))));
            }
            // Made elsewhere.
            _ if take_off_routes(fd).is_err() => return Err(Errno(libc::EPERM)),
            _ if insert(fd, cookie)? == Kept::No => return Ok(None),
            _ => {}
        }
    }
    Err(Errno(libc::EBADF))
}

fn take_off_routes(fd: i32) -> Result<(), Errno> {
    net::socket_number(fd, libc::SO_DOMAIN)
        .and_then(|domain| net::take_off_routes(fd, domain))
        .inspect_err(|_| log!(Warning, "connect refused: {}", Refusal::Interface))
}

/// Whether the registry keeps entries for this process.
#[derive(PartialEq, Eq)]
enum Kept {
    Yes,
    No,
}

fn insert(fd: i32, cookie: Cookie) -> Result<Kept, Errno> {
    note(fd);
    for _ in 0..ATTEMPTS {
        match REGISTRY.insert(fd, cookie) {
            Ok(()) => return Ok(Kept::Yes),
            Err(InsertError::Foreign) => return Ok(Kept::No),
            Err(InsertError::Occupied) => {
                REGISTRY.remove(fd);
            }
            Err(InsertError::OutOfRange) => return Err(Errno(libc::EMFILE)),
            Err(InsertError::Exhausted) => return Err(Errno(libc::ENOBUFS)),
        }
    }
    Err(Errno(libc::EBADF))
}
