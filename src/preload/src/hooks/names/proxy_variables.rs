//! `getenv`, as libcurl calls it: from version 8.1 on it refuses onion names (RFC 7686) unless they go
//! to a proxy that resolves them. Such a libcurl is told Tor's SOCKS port as its proxy, where no
//! variable names another one. No other caller is answered so, and no child inherits it.

use core::ffi::{CStr, c_char, c_int, c_uint, c_void};
use core::mem::{MaybeUninit, transmute};
use core::ptr::null_mut;
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
    // libcurl asks for these two last, NO_PROXY first of the two.
    let (is_url, is_list) = (name == c"ALL_PROXY", name == c"NO_PROXY");
    if !value.is_null() || !(is_url || is_list) || names_a_proxy() || !refuses_onions(caller) {
        value
    } else if is_url {
        url()
    } else {
        proxy::NO_PROXY.as_ptr().cast_mut()
    }
}

/// Whether the program's environment says itself which proxy is meant, if any.
fn names_a_proxy() -> bool {
    let mut names = PROXIES.split_inclusive(|byte| *byte == 0);
    // SAFETY: each name with its NUL.
    names.any(|name| unsafe { !real::getenv(name.as_ptr().cast()).is_null() })
}

/// Whether `caller` lies in a libcurl, under whatever name, that refuses onion names.
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

/// A URL, and the process whose user name it holds.
struct Url {
    pid: i32,
    text: Bytes<1_601>,
}

/// The last URL that was made; the earlier ones stay, since somebody may be reading them.
static URL: AtomicPtr<Url> = AtomicPtr::new(null_mut());

/// Tor's port with this process's credentials. Null without memory: the program has no proxy then.
fn url() -> *mut c_char {
    let pid = if runtime::loaded().isolate_pid { sys::getpid() } else { 0 };
    // Acquire pairs with the Release below: the text is written.
    // SAFETY: what was published stays as it is.
    let known = unsafe { URL.load(Acquire).as_ref() }.filter(|url| url.pid == pid);
    let Some(url) = known.or_else(|| made(pid)) else { return null_mut() };
    url.text.as_slice().as_ptr().cast_mut().cast()
}

fn made(pid: i32) -> Option<&'static Url> {
    let url = proxy::url(runtime::loaded().tor(), runtime::credentials().as_ref());
    let mut text = Bytes::EMPTY;
    if !text.extend(url.as_slice()) || !text.extend(b"\0") {
        return None;
    }
    let place = sys::map_zeroed(size_of::<Url>()).ok()?.cast::<Url>();
    // SAFETY: a fresh mapping of that size, on a page's boundary; it is never unmapped.
    let made = unsafe {
        place.write(Url { pid, text });
        place.as_ref()
    };
    // Release pairs with the Acquire in `url`.
    URL.store(place.as_ptr(), Release);
    Some(made)
}
