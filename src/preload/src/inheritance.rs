//! Environment that an executed program must inherit: the library and our settings, copied at load
//! time because programs rewrite or clear their environment.

use core::cell::UnsafeCell;
use core::ffi::CStr;
use core::ptr::NonNull;
use core::sync::atomic::{
    AtomicPtr, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};

use epochsocks::backstop::secret::VARIABLE as BACKSTOP;
use epochsocks::config::{Environment, value_of};
use epochsocks::launch_store::id::VARIABLE as LAUNCH;
use epochsocks::{linkage, sys};

/// The prefixes of our variables and torsocks'.
const PREFIXES: [&str; 4] = ["EPOCHSOCKS_", "TORSOCKS_", LAUNCH, BACKSTOP];
/// The name of the dynamic linker's variable.
pub const LD_PRELOAD: &str = "LD_PRELOAD";
/// Its variable for audit libraries, which get a C library of their own, without hooks (rtld-audit(7)).
pub const LD_AUDIT: &CStr = c"LD_AUDIT";

/// Room for what most programs inherit: a mapping would cost every exec two microseconds.
struct Room(UnsafeCell<[u8; 256]>);

// SAFETY: written once, by `remember`, before its address is published.
unsafe impl Sync for Room {}

static ROOM: Room = Room(UnsafeCell::new([0; 256]));

/// The copied entries, each a C string behind its length with the NUL; null until they are copied.
static START: AtomicPtr<u8> = AtomicPtr::new(core::ptr::null_mut());
/// Their length, which START publishes.
static LENGTH: AtomicUsize = AtomicUsize::new(0);

/// Copies our variables of `environment`, and `more`, an entry with its NUL. Called once, by the
/// constructor.
pub fn remember(environment: Environment<'_>, more: Option<&[u8]>) {
    let ours = || environment.entries_with(&PREFIXES).map(CStr::to_bytes_with_nul).chain(more);
    let length = ours().map(|entry| size_of::<usize>() + entry.len()).sum::<usize>();
    let Some(start) = room_for(length) else { return };
    let mut end = start;
    for bytes in ours() {
        // SAFETY: there is room for all of them, as just counted.
        unsafe {
            end.cast::<usize>().write_unaligned(bytes.len());
            end = end.add(size_of::<usize>());
            end.copy_from_nonoverlapping(NonNull::from(bytes).cast(), bytes.len());
            end = end.add(bytes.len());
        }
    }
    // Relaxed: the Release below publishes it.
    LENGTH.store(length, Relaxed);
    // Release pairs with the Acquire in `copied`.
    START.store(start.as_ptr(), Release);
}

fn room_for(length: usize) -> Option<NonNull<u8>> {
    if length <= size_of::<Room>() {
        return NonNull::new(ROOM.0.get().cast());
    }
    sys::map_zeroed(length).ok()
}

/// The path of this library. Async-signal-safe.
pub fn library() -> Option<&'static CStr> {
    linkage::path()
}

/// The copied entries as `remember` puts them; `None` before the constructor.
fn copied() -> Option<&'static [u8]> {
    // Acquire pairs with the Release in `remember`.
    let start = NonNull::new(START.load(Acquire))?;
    // Relaxed: ordered by the Acquire above.
    let length = LENGTH.load(Relaxed);
    // SAFETY: that many bytes were written before the address was published, and stay.
    Some(unsafe { core::slice::from_raw_parts(start.as_ptr(), length) })
}

/// The value that the process was given for the variable `name`, one of ours or torsocks'; without
/// an answer before the constructor. Async-signal-safe.
pub fn variable(name: &str) -> Option<Option<&'static [u8]>> {
    copied().filter(|_| is_ours(name.as_bytes()))?;
    Some(entries().find_map(|entry| value_of(entry.to_bytes(), name.as_bytes())))
}

/// Tells whether the launcher has handed on that no setting differs from its default and no file is
/// to be read. This is the usual case, in which an exec need not touch the code that reads
/// settings.
pub fn sets_nothing() -> bool {
    let is_setting = |entry: &&CStr| {
        let name = name_of(entry.to_bytes());
        name != LAUNCH.as_bytes() && name != BACKSTOP.as_bytes()
    };
    let mut entries = entries().filter(is_setting);
    entries.next() == Some(c"EPOCHSOCKS_CONF_FILE=none") && entries.next().is_none()
}

/// The remembered entries, `NAME=value` each. Async-signal-safe.
pub fn entries() -> impl Iterator<Item = &'static CStr> {
    let mut rest = copied().unwrap_or_default();
    core::iter::from_fn(move || {
        let (length, after) = rest.split_first_chunk()?;
        let (entry, after) = after.split_at_checked(usize::from_ne_bytes(*length))?;
        rest = after;
        // SAFETY: `remember` has put a C string and its length there.
        Some(unsafe { CStr::from_bytes_with_nul_unchecked(entry) })
    })
}

/// The remembered entries whose names `environment` lacks. Async-signal-safe.
pub fn missing_from(environment: Environment<'_>) -> impl Iterator<Item = &'static CStr> {
    entries().filter(move |entry| {
        let name = name_of(entry.to_bytes());
        !environment.entries().any(|other| value_of(other.to_bytes(), name).is_some())
    })
}

/// Tells whether an `LD_PRELOAD` value loads `library`.
pub fn loads(value: &[u8], library: &CStr) -> bool {
    value.split(|byte| matches!(byte, b' ' | b':')).any(|path| path == library.to_bytes())
}

fn is_ours(entry: &[u8]) -> bool {
    PREFIXES.iter().any(|prefix| entry.starts_with(prefix.as_bytes()))
}

fn name_of(entry: &[u8]) -> &[u8] {
    entry.split(|byte| *byte == b'=').next().unwrap_or(entry)
}
