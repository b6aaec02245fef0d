//! Settings, which the hooks share.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use epochsocks::config::Settings;
use epochsocks::resolver::answers::Answers;
use epochsocks::resolver::cookie_range::CookieRange;
use epochsocks::socks5::Credentials;
use epochsocks::sys::{self, net};

use crate::log::log;
use crate::{environment, settings};

/// The exit status of a program whose settings are bad: the launcher's for its own failures.
const BAD_SETTINGS: i32 = 125;

/// The names that Tor has resolved to addresses.
pub static ANSWERS: Answers = Answers::new();

/// The settings, loaded now if no constructor has run yet. Bad settings end the process: it must
/// not run with other ones. Async-signal-safe.
pub fn loaded() -> &'static Settings {
    settings::get().unwrap_or_else(load)
}

/// The range of cookie addresses.
pub fn cookie_range() -> CookieRange {
    let range = loaded().cookie_network();
    CookieRange::new(range.base(), range.prefix())
}

/// Time at which the settings were loaded, in nanoseconds since boot, where they need it. A word of its own:
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

/// Loads the settings and the launch's secret: for the constructor, beside whose code this comes to stand, so that an exec
/// touches fewer pages.
#[inline(always)]
pub fn load_now() -> &'static Settings {
    if let Some(backstop) = environment::backstop() {
        net::carry_secret(backstop.secret.get());
    }
    if environment::sets_nothing() { settings::publish_defaults() } else { load_from_environment() }
}

#[inline(never)]
fn load_from_environment() -> &'static Settings {
    let Ok(place) = settings::reserve() else { give_up("no memory") };
    match environment::load_settings(&mut |warning| log!(Warning, Settings, "{warning}")) {
        Ok(settings) => {
            if settings.isolate_pid {
                STARTED.store(sys::time::monotonic().as_nanos() as u64, Relaxed);
            }
            // SAFETY: the place is ours alone.
            unsafe {
                place.write(settings);
                settings::publish(place)
            }
        }
        Err(error) => give_up(error),
    }
}

#[cold]
fn give_up(why: impl core::fmt::Display) -> ! {
    log!(Error, Settings, "{why}");
    sys::exit_group(BAD_SETTINGS)
}
