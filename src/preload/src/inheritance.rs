//! What a program that is executed must inherit: the library and our settings, copied at load time
//! because programs rewrite or clear their environment.

use core::ffi::{CStr, c_char};
use core::mem::MaybeUninit;
use core::ptr::NonNull;
use core::sync::atomic::{
    AtomicPtr, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};

use epochsocks::config::{Environment, value_of};
use epochsocks::sys;

/// The prefixes of our variables and torsocks'.
const PREFIXES: [&[u8]; 2] = [b"EPOCHSOCKS_", b"TORSOCKS_"];
/// The name of the dynamic linker's variable.
pub const LD_PRELOAD: &str = "LD_PRELOAD";

/// The copied entries, one C string behind the other; the length is published after them.
static START: AtomicPtr<u8> = AtomicPtr::new(core::ptr::null_mut());
static LENGTH: AtomicUsize = AtomicUsize::new(0);
/// The path of this library, as the dynamic linker knows it.
static LIBRARY: AtomicPtr<c_char> = AtomicPtr::new(core::ptr::null_mut());

/// Copies our variables of `environment` and asks for the library's path. Called once, by the
/// constructor; not async-signal-safe.
pub fn remember(environment: Environment<'_>) {
    remember_library();
    let ours = || environment.entries().filter(|entry| is_ours(entry.to_bytes()));
    let length = ours().map(|entry| entry.to_bytes_with_nul().len()).sum::<usize>();
    if length == 0 {
        return;
    }
    let Ok(start) = sys::map_zeroed(length) else { return };
    let mut end = start;
    for entry in ours() {
        let bytes = entry.to_bytes_with_nul();
        // SAFETY: the mapping has room for all of them, as just counted.
        unsafe {
            end.copy_from_nonoverlapping(NonNull::from(bytes).cast(), bytes.len());
            end = end.add(bytes.len());
        }
    }
    // Relaxed: the Release below publishes it.
    START.store(start.as_ptr(), Relaxed);
    // Release pairs with the Acquire in `entries`.
    LENGTH.store(length, Release);
}

fn remember_library() {
    let mut information = MaybeUninit::<libc::Dl_info>::uninit();
    let inside = remember_library as fn() as *const core::ffi::c_void;
    // SAFETY: dladdr fills the structure when it answers non-zero.
    unsafe {
        if libc::dladdr(inside, information.as_mut_ptr()) != 0 {
            // Release pairs with the Acquire in `library`: the string is the linker's.
            LIBRARY.store(information.assume_init().dli_fname.cast_mut(), Release);
        }
    }
}

/// The path of this library; `None` before the constructor. Async-signal-safe.
pub fn library() -> Option<&'static CStr> {
    // Acquire pairs with the Release in `remember_library`.
    let path = LIBRARY.load(Acquire);
    // SAFETY: the dynamic linker keeps the string while the library is loaded, which is always.
    (!path.is_null()).then(|| unsafe { CStr::from_ptr(path) })
}

/// The remembered entries, `NAME=value` each. Async-signal-safe.
pub fn entries() -> impl Iterator<Item = &'static CStr> {
    // Acquire pairs with the Release in `remember`.
    let length = LENGTH.load(Acquire);
    // Relaxed: ordered by the Acquire above.
    let start = START.load(Relaxed);
    let bytes: &'static [u8] = match length {
        0 => &[],
        // SAFETY: so many bytes were written before the length was published, and stay.
        _ => unsafe { core::slice::from_raw_parts(start, length) },
    };
    bytes
        .split_inclusive(|byte| *byte == 0)
        .filter_map(|entry| CStr::from_bytes_with_nul(entry).ok())
}

/// The remembered entries whose names `environment` lacks. Async-signal-safe.
pub fn missing_from(environment: Environment<'_>) -> impl Iterator<Item = &'static CStr> {
    entries().filter(move |entry| {
        let name = name_of(entry.to_bytes());
        !environment.entries().any(|other| value_of(other.to_bytes(), name).is_some())
    })
}

/// Whether an `LD_PRELOAD` value loads `library`.
pub fn loads(value: &[u8], library: &CStr) -> bool {
    value.split(|byte| matches!(byte, b' ' | b':')).any(|path| path == library.to_bytes())
}

fn is_ours(entry: &[u8]) -> bool {
    PREFIXES.iter().any(|prefix| entry.starts_with(prefix))
}

fn name_of(entry: &[u8]) -> &[u8] {
    entry.split(|byte| *byte == b'=').next().unwrap_or(entry)
}
