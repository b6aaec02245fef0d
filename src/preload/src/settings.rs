//! The settings of this process, published once.

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::ptr::null_mut;
use core::sync::atomic::{
    AtomicBool, AtomicPtr,
    Ordering::{AcqRel, Acquire, Relaxed},
};

use epochsocks::config::Settings;
use epochsocks::sys::{self, Errno};

static SETTINGS: AtomicPtr<Settings> = AtomicPtr::new(null_mut());

/// The value of SETTINGS where nothing is set: nothing is copied, and no page written.
static DEFAULTS: Settings = Settings::DEFAULT;

/// Memory for the settings, which the library brings along: a mapping would cost every exec two
/// microseconds.
struct Place(UnsafeCell<MaybeUninit<Settings>>);

// SAFETY: only the thread that has set TAKEN writes it, before it publishes the address.
unsafe impl Sync for Place {}

static PLACE: Place = Place(UnsafeCell::new(MaybeUninit::uninit()));
/// Set by the thread that uses PLACE. Guards no other data: Relaxed.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// The settings, once they are loaded. Async-signal-safe.
pub fn get() -> Option<&'static Settings> {
    // Acquire pairs with the AcqRel in `publish`.
    // SAFETY: what was published is whole and never freed.
    unsafe { SETTINGS.load(Acquire).as_ref() }
}

/// Publishes the defaults, if nothing is published yet, and returns what is.
#[inline(always)]
pub fn publish_defaults() -> &'static Settings {
    // SAFETY: initialised, and never freed.
    unsafe { publish((&raw const DEFAULTS).cast_mut()) }
}

/// Publishes `place`, if nothing is published yet, and returns what is. A place that comes too late
/// stays behind, at most once a thread.
///
/// # Safety
/// `place` is initialised, never freed and not written from now on.
#[inline(always)]
pub unsafe fn publish(place: *mut Settings) -> &'static Settings {
    // AcqRel: Release publishes the settings to `get`, Acquire sees those of another thread.
    let published = match SETTINGS.compare_exchange(null_mut(), place, AcqRel, Acquire) {
        Ok(_) => place,
        Err(first) => first,
    };
    // SAFETY: as in `get`.
    unsafe { &*published }
}

/// Memory that only the caller uses: another thread, or the code that a handler has interrupted, may
/// be loading settings too. Errors: those of mmap(2).
pub fn reserve() -> Result<*mut Settings, Errno> {
    if !TAKEN.swap(true, Relaxed) {
        return Ok(PLACE.0.get().cast());
    }
    sys::map_zeroed(size_of::<Settings>()).map(|page| page.cast().as_ptr())
}
