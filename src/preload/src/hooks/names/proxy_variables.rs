//! `getenv`, as libcurl calls it: from version 8.1 on it refuses onion names (RFC 7686) unless they go
//! to a proxy that resolves them. Such a libcurl is told Tor's SOCKS port as its proxy, where no
//! variable names another one. No other caller is answered so, and no child inherits it.

use core::ffi::{CStr, c_char, c_int, c_uint, c_void};
use core::mem::{MaybeUninit, transmute};
use core::ptr::{NonNull, null_mut};
use core::sync::atomic::AtomicPtr;
use core::sync::atomic::Ordering::{Acquire, Release};

use epochsocks::bytes::Bytes;
use epochsocks::config::proxy;
use epochsocks::linkage::{self, Symbol};
use epochsocks::sys;

use crate::{real, runtime, unhooked};

/// The variables that libcurl takes a proxy from for the schemes that most use, in one string:
/// pointers to each would be relocated at every exec.
const PROXIES: &[u8] = b"http_proxy\0https_proxy\0HTTPS_PROXY\0all_proxy\0ALL_PROXY\0";
/// The version from which on onion names are refused, as libcurl counts.
const REFUSES_ONIONS: c_uint = 0x08_01_00;

/// `curl_version_info_data` of curl.h, as far as it is needed.
#[repr(C)]
struct VersionInformation {
    age: c_int,
    version: *const c_char,
    number: c_uint,
}

/// See the hook table. A jump, which leaves the return address as it is.
///
/// # Safety
/// As the C function's.
#[cfg(target_arch = "x86_64")]
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getenv() -> *mut c_char {
    core::arch::naked_asm!("mov rsi, [rsp]", "jmp {value}", value = sym value)
}

/// See the hook table. A jump, which leaves the return address as it is.
///
/// # Safety
/// As the C function's.
#[cfg(target_arch = "aarch64")]
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getenv() -> *mut c_char {
    core::arch::naked_asm!("mov x1, x30", "b {value}", value = sym value)
}

/// The value of the variable `name` for a call that returns to `caller`.
///
/// # Safety
/// As getenv(3).
unsafe extern "C" fn value(name: *const c_char, caller: *const c_void) -> *mut c_char {
    // SAFETY: the caller's contract.
    let (value, name) = unsafe { (real::getenv(name), CStr::from_ptr(name)) };
    // One URL can't show a user name for each destination.
    if !value.is_null() || runtime::loaded().isolate_destination {
        return value;
    }
    // libcurl asks for these two last, NO_PROXY first of the two.
    let (is_url, is_list) = (name == c"ALL_PROXY", name == c"NO_PROXY");
    if !(is_url || is_list) || names_a_proxy() || !refuses_onions(caller) {
        value
    } else if is_url {
        url()
    } else {
        list()
    }
}

/// Tells whether the program's environment itself names a proxy, or none.
fn names_a_proxy() -> bool {
    let mut names = PROXIES.split_inclusive(|byte| *byte == 0);
    // SAFETY: each name with its NUL.
    names.any(|name| unsafe { !real::getenv(name.as_ptr().cast()).is_null() })
}

/// Tells whether `caller` lies in a libcurl, under whatever name, that refuses onion names.
fn refuses_onions(caller: *const c_void) -> bool {
    const LINK_MAP: c_int = 2;
    let mut information = MaybeUninit::<libc::Dl_info>::uninit();
    let mut map = null_mut();
    // SAFETY: both places are this call's own. The caller's object stays while the call lasts.
    let version = unsafe {
        if unhooked::dladdr1(caller, information.as_mut_ptr(), &mut map, LINK_MAP) == 0 {
            return false;
        }
        let performs = linkage::defined_in(map, const { Symbol::new(c"curl_easy_perform") });
        let version = linkage::defined_in(map, const { Symbol::new(c"curl_version_info") });
        match (performs, version) {
            (Some(_), Some(version)) => version,
            _ => return false,
        }
    };
    type Function = unsafe extern "C" fn(c_int) -> *const VersionInformation;
    // SAFETY: libcurl's function, which answers a structure of its own; every version of it has these
    // three members.
    unsafe {
        let version = transmute::<*mut c_void, Function>(version)(0).as_ref();
        version.is_some_and(|version| version.number >= REFUSES_ONIONS)
    }
}

/// A variable's value, and the process whose user name it holds, if any.
struct Value {
    pid: i32,
    text: Bytes<1_601>,
}

/// The last values that were made; the earlier ones stay, since a thread may be reading them.
static URL: AtomicPtr<Value> = AtomicPtr::new(null_mut());
static LIST: AtomicPtr<Value> = AtomicPtr::new(null_mut());

/// Tor's port with this process's credentials.
fn url() -> *mut c_char {
    let settings = runtime::loaded();
    let pid = if settings.isolate_pid { sys::getpid() } else { 0 };
    let credentials = runtime::credentials();
    kept(&URL, pid, || made(pid, proxy::url(settings.tor(), credentials.as_ref()).as_slice()))
}

/// List of destinations that must not go to the proxy.
fn list() -> *mut c_char {
    let direct = runtime::loaded().allow_direct.as_ref();
    kept(&LIST, 0, || made(0, proxy::exceptions(direct).as_slice()))
}

/// The value in `place`, which `make` makes if it is not there for this process. Null without memory:
/// the variable is not set then.
fn kept(
    place: &AtomicPtr<Value>,
    pid: i32,
    make: impl FnOnce() -> Option<NonNull<Value>>,
) -> *mut c_char {
    // Acquire pairs with the Release below: the text is written.
    // SAFETY: what was published stays as it is.
    if let Some(value) = unsafe { place.load(Acquire).as_ref() }
        && value.pid == pid
    {
        return value.text.as_slice().as_ptr().cast_mut().cast();
    }
    let Some(made) = make() else { return null_mut() };
    // Release pairs with the Acquire above.
    place.store(made.as_ptr(), Release);
    // SAFETY: as above.
    unsafe { made.as_ref() }.text.as_slice().as_ptr().cast_mut().cast()
}

fn made(pid: i32, value: &[u8]) -> Option<NonNull<Value>> {
    let mut text = Bytes::EMPTY;
    if !text.extend(value) || !text.extend(b"\0") {
        return None;
    }
    let place = sys::map_zeroed(size_of::<Value>()).ok()?.cast::<Value>();
    // SAFETY: a fresh mapping of that size, on a page's boundary; it is never unmapped.
    unsafe { place.write(Value { pid, text }) };
    Some(place)
}
