//! The launch that this process belongs to, and what it tells the launch's other processes. See
//! [`epochsocks::launch_store`].

use core::ffi::{CStr, c_char};
use core::fmt::Write;
use core::net::{IpAddr, SocketAddr};
use core::ptr::null_mut;
use core::sync::atomic::{
    AtomicBool, AtomicI32, AtomicPtr, AtomicU64,
    Ordering::{Relaxed, SeqCst},
    fence,
};

use epochsocks::bytes::Bytes;
use epochsocks::config::Environment;
use epochsocks::launch_store::id::{ALONE, VARIABLE};
use epochsocks::launch_store::{Launch, Store};
use epochsocks::resolver::cookie_range::Cookie;
use epochsocks::resolver::error::PoolError;
use epochsocks::resolver::onion_pool::{Lookup, OnionPool, Sharing};
use epochsocks::socks5::Name;
use epochsocks::sys;

use crate::runtime::cookie_range;

/// Cookie addresses and the names behind them.
pub static ONION_POOL: OnionPool = OnionPool::new();

/// The launch; 0 is none. Written by the constructor, before there is a second thread, and by no one
/// else: Relaxed.
static ID: AtomicU64 = AtomicU64::new(0);
static FIRST: AtomicI32 = AtomicI32::new(0);

/// The value in the environment that the process was started with: other processes know the launch by it.
/// As above.
static VALUE: AtomicPtr<c_char> = AtomicPtr::new(null_mut());

/// Set while no other process of the launch has begun. Then nothing is stored: most programs start
/// no other, and the names that they look up stay in their memory.
static IS_ALONE: AtomicBool = AtomicBool::new(false);

/// Set if this process knows its own names only, whatever others have. A process that has just
/// entered a sandbox may ask once more: Relaxed.
static KEEPS_TO_ITSELF: AtomicBool = AtomicBool::new(false);

/// Variable that a process of the launch inherits: `_EPOCHSOCKS_LAUNCH=` and the launch, with a
/// NUL.
pub type Entry = Bytes<64>;

/// Finds out which launch this process belongs to: the one that its environment names, or one that
/// it begins; gives the entry for what it executes, if the environment has none. Called once, by the
/// constructor.
///
/// # Safety
/// No other thread uses the environment meanwhile.
pub unsafe fn begin(environment: Environment<'_>) -> Option<Entry> {
    // SAFETY: the caller's contract.
    if let Some((launch, is_alone)) = unsafe { inherited(environment) } {
        remember(launch, is_alone);
        return None;
    }
    let launch = Launch::new(sys::getpid(), random());
    remember(launch, true);
    let mut entry = Entry::EMPTY;
    write!(entry, "{VARIABLE}={launch}\0").ok()?;
    Some(entry)
}

fn remember(launch: Launch, is_alone: bool) {
    ID.store(launch.id, Relaxed);
    FIRST.store(launch.first, Relaxed);
    IS_ALONE.store(is_alone, Relaxed);
}

/// The launch that the environment names, and whether this is its first program. What says so is
/// taken out: the next program is not the first, whichever process executes it.
///
/// # Safety
/// As for [`begin`].
unsafe fn inherited(environment: Environment<'_>) -> Option<(Launch, bool)> {
    let mut place = environment.as_ptr();
    // SAFETY: the block ends with a null pointer, its strings with a NUL; the strings are the
    // process's own to change.
    unsafe {
        while !place.is_null() && !(*place).is_null() {
            if let Some(value) = value_at(*place) {
                let bytes = CStr::from_ptr(value).to_bytes();
                let launch = Launch::parse(bytes)?;
                let length = bytes.len();
                let is_alone = bytes.last() == Some(&ALONE);
                VALUE.store(value.cast_mut(), Relaxed);
                if is_alone {
                    value.cast_mut().add(length - 1).write(0);
                }
                return Some((launch, is_alone));
            }
            place = place.add(1);
        }
    }
    None
}

/// The value of the string `entry` if it is our variable's.
///
/// # Safety
/// `entry` is a C string.
unsafe fn value_at(entry: *const c_char) -> Option<*const c_char> {
    let name = VARIABLE.bytes().chain(*b"=");
    // SAFETY: a name without a NUL differs at the string's NUL, if not before.
    let is_ours =
        name.clone().enumerate().all(|(at, byte)| unsafe { *entry.add(at) as u8 == byte });
    // SAFETY: behind bytes of the string that are no NUL.
    is_ours.then(|| unsafe { entry.add(name.count()) })
}

/// Sixteen bytes that the kernel has drawn for this program (getauxval(3), `AT_RANDOM`).
fn random() -> [u64; 2] {
    // SAFETY: getauxval reads the process's own vector, which points to sixteen bytes.
    unsafe {
        let bytes = libc::getauxval(libc::AT_RANDOM) as *const [u64; 2];
        if bytes.is_null() {
            [0, sys::time::monotonic_nanoseconds()]
        } else {
            bytes.read_unaligned()
        }
    }
}

/// From here on this process asks the others of its launch nothing and tells them nothing: a filter may
/// forbid the system calls. It knows what it knew. Async-signal-safe.
pub fn keep_to_oneself() {
    KEEPS_TO_ITSELF.store(true, Relaxed);
}

/// Tells whether a filter may forbid this process what it does not call itself.
pub fn keeps_to_itself() -> bool {
    KEEPS_TO_ITSELF.load(Relaxed)
}

/// Store that this process shares with the others of its launch. `None` before the constructor, and
/// where the process uses its own names only. Async-signal-safe.
pub fn store() -> Option<Store> {
    let (id, first) = (ID.load(Relaxed), FIRST.load(Relaxed));
    (first != 0 && !KEEPS_TO_ITSELF.load(Relaxed)).then(|| Store::of(Launch { id, first }))
}

fn sharing() -> Sharing {
    match store() {
        None => Sharing::Nothing,
        // SeqCst pairs with the swap in `share`, after `cookie` has put a name into the pool. If the load
        // comes first, `share` finds the name there; if the swap comes first, `cookie` tells the name.
        Some(store) if IS_ALONE.load(SeqCst) => Sharing::Reads(store),
        Some(store) => Sharing::Tells(store),
    }
}

/// The cookie of `name`; see [`OnionPool::cookie`]. Async-signal-safe.
pub fn cookie(name: &[u8]) -> Result<Cookie, PoolError> {
    let sharing = sharing();
    let cookie = ONION_POOL.cookie(cookie_range(), name, sharing);
    if let (Sharing::Reads(store), Sharing::Tells(_)) = (sharing, self::sharing()) {
        ONION_POOL.tell(cookie_range(), store);
    }
    cookie
}

/// Finds what an address stands for; see [`OnionPool::lookup`]. Async-signal-safe.
pub fn lookup(address: IpAddr) -> Lookup<'static> {
    ONION_POOL.lookup(cookie_range(), address, sharing())
}

/// The name that a cookie address stands for. Async-signal-safe.
pub fn name_behind(destination: SocketAddr) -> Option<Name> {
    match lookup(destination.ip()) {
        Lookup::Name(name) => Name::new(name).ok(),
        Lookup::Ordinary | Lookup::Unknown => None,
    }
}

/// Another process of the launch is about to begin, or another program in this one: from here on they
/// can be told. Async-signal-safe.
pub fn share() {
    // SeqCst: as in `sharing`.
    if IS_ALONE.load(Relaxed)
        && IS_ALONE.swap(false, SeqCst)
        && let Some(store) = store()
    {
        ONION_POOL.tell(cookie_range(), store);
    }
}

/// This process is about to end. Async-signal-safe.
pub fn leave() {
    if IS_ALONE.load(Relaxed) {
        return;
    }
    // A child of vfork(2) ends in its parent's memory.
    if let Some(store) = store()
        && store.exists()
        && sys::is_vfork_child() != Some(true)
    {
        let value = VALUE.load(Relaxed);
        if !value.is_null() {
            // SAFETY: a string of the process's first environment, which lies below its stack to its
            // end. Only other processes read this byte from here on.
            unsafe { value.write(b'-' as c_char) };
        }
        // SeqCst pairs with the fence of another process that ends, between its byte and its look for
        // others. If its byte comes first, this process finds it; if this process's comes first, that one does.
        fence(SeqCst);
        store.leave();
    }
}
