//! What the hooks share: the settings and the onion pool.

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::net::SocketAddr;
use core::ptr::null_mut;
use core::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed},
};

use epochsocks::config::Settings;
use epochsocks::resolver::cookie_range::CookieRange;
use epochsocks::resolver::onion_pool::{Lookup, OnionPool};
use epochsocks::socks5::{Credentials, Name};
use epochsocks::sys;

use crate::environment;
use crate::log::log;

/// The exit status of a program whose settings are bad: the launcher's for its own failures.
const BAD_SETTINGS: i32 = 125;

/// Cookie addresses and the names behind them.
pub static ONION_POOL: OnionPool = OnionPool::new();

static SETTINGS: AtomicPtr<Settings> = AtomicPtr::new(null_mut());

/// What SETTINGS points to where nothing is set: nothing is copied, and no page written.
static DEFAULTS: Settings = Settings::DEFAULT;

/// Where the settings are, in memory that the library brings along: a mapping would cost every exec
/// two microseconds.
struct Place(UnsafeCell<MaybeUninit<Settings>>);

// SAFETY: written once, by who has set TAKEN, and read once the address is published.
unsafe impl Sync for Place {}

static PLACE: Place = Place(UnsafeCell::new(MaybeUninit::uninit()));
/// Whether somebody writes to PLACE or has. Who reads it has no other business there: Relaxed.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// The settings, once they are loaded. Async-signal-safe.
pub fn settings() -> Option<&'static Settings> {
    // Acquire pairs with the AcqRel in `load`.
    // SAFETY: what was published is whole and never freed.
    unsafe { SETTINGS.load(Acquire).as_ref() }
}

/// The settings, loaded now if no constructor has run yet. Bad settings end the process: it must
/// not run with other ones. Async-signal-safe.
pub fn loaded() -> &'static Settings {
    settings().unwrap_or_else(load)
}

/// The range of cookie addresses.
pub fn cookie_range() -> CookieRange {
    let range = loaded().cookie_network();
    CookieRange::new(range.base(), range.prefix())
}

/// The name that a cookie address stands for. Async-signal-safe.
pub fn name_behind(destination: SocketAddr) -> Option<Name> {
    match ONION_POOL.lookup(cookie_range(), destination.ip()) {
        Lookup::Name(name) => Name::new(name).ok(),
        Lookup::Ordinary | Lookup::Unknown => None,
    }
}

/// When the settings were loaded, in nanoseconds since boot, where they need it. A word of its own:
/// Relaxed.
static STARTED: AtomicU64 = AtomicU64::new(0);

/// The user name and password for Tor, if the settings ask for any: with IsolatePID, this process's
/// own. Async-signal-safe.
pub fn credentials() -> Option<Credentials> {
    let settings = loaded();
    let pid = if settings.isolate_pid { sys::getpid() } else { 0 };
    settings.credentials(pid, STARTED.load(Relaxed))
}

#[cold]
fn load() -> &'static Settings {
    load_now()
}

/// Loads the settings: for the constructor, beside whose code this comes to stand, so that an exec
/// touches fewer pages.
#[inline(always)]
pub fn load_now() -> &'static Settings {
    let place = if environment::sets_nothing() {
        (&raw const DEFAULTS).cast_mut()
    } else {
        loaded_from_environment()
    };
    // AcqRel: Release publishes the settings to `settings`, Acquire sees another thread's. Who
    // loses leaves its place behind, once.
    match SETTINGS.compare_exchange(null_mut(), place, AcqRel, Acquire) {
        // SAFETY: as in `settings`.
        Ok(_) => unsafe { &*place },
        // SAFETY: as in `settings`.
        Err(first) => unsafe { &*first },
    }
}

/// The settings in a place of their own, not published yet.
#[inline(never)]
fn loaded_from_environment() -> *mut Settings {
    let place = place();
    match environment::load_settings() {
        Ok(settings) => {
            if settings.isolate_pid {
                STARTED.store(sys::time::monotonic().as_nanos() as u64, Relaxed);
            }
            // SAFETY: as `place` promises.
            unsafe { place.write(settings) };
        }
        Err(error) => give_up(error),
    }
    place
}

/// Memory for settings that is nobody else's: another thread, or what a handler has interrupted, may
/// be loading them, too.
fn place() -> *mut Settings {
    if !TAKEN.swap(true, Relaxed) {
        return PLACE.0.get().cast();
    }
    match sys::map_zeroed(size_of::<Settings>()) {
        Ok(page) => page.cast().as_ptr(),
        Err(_) => give_up("no memory"),
    }
}

#[cold]
fn give_up(why: impl core::fmt::Display) -> ! {
    log!(Error, "{why}");
    sys::exit_group(BAD_SETTINGS)
}
