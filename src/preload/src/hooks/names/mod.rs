//! Names: every lookup ends at Tor, at the onion pool, or at a loopback address; libc's resolver
//! never gets anything but numbers.
//!
//! Of /etc/hosts only loopback addresses and the names of `AllowDirect` count. nsswitch.conf, nscd and search
//! domains are not consulted for hosts. Services are libc's: it reads /etc/services, or whatever the `services`
//! line of nsswitch.conf names.
//!
//! - `addresses`: getaddrinfo; `asynchronous`: getaddrinfo_a
//! - `hosts`: gethostbyname; `reverse`: gethostbyaddr, getnameinfo; `networks`: getnetbyname
//! - `query`: res_query
//! - [`proxy_variables`]: getenv, as libcurl calls it
//! - `tor_names`: where all of them look names up
//!
//! These hooks call malloc through libc, as their C functions do: not async-signal-safe.

mod addresses;
mod asynchronous;
mod hosts;
mod networks;
pub mod proxy_variables;
mod query;
mod reverse;
mod tor_names;

pub use addresses::getaddrinfo;
pub use asynchronous::{gai_cancel, gai_error, gai_suspend, getaddrinfo_a};
pub use hosts::{gethostbyname, gethostbyname_r, gethostbyname2, gethostbyname2_r, gethostid};
pub use networks::{getnetbyaddr, getnetbyaddr_r, getnetbyname, getnetbyname_r};
pub use query::{res_nquery, res_nquerydomain, res_nsend, res_query, res_querydomain, res_send};
pub use reverse::{gethostbyaddr, gethostbyaddr_r, getnameinfo};

use core::ffi::c_char;
use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use epochsocks::resolver::error::LookupError;
use epochsocks::resolver::lookup::{Answer, Wanted, lookup};
use epochsocks::resolver::name_class::NameClass;
use epochsocks::sys;

use crate::log::log;
use crate::unhooked;
pub use tor_names::ThroughTor;

fn set_h_errno(value: i32) {
    // SAFETY: the location is this thread's own.
    unsafe { *unhooked::__h_errno_location() = value }
}

/// The bytes of a C string.
///
/// # Safety
/// `text` is a C string that outlives `'a`.
unsafe fn c_bytes<'a>(text: *const c_char) -> &'a [u8] {
    // SAFETY: the caller's.
    unsafe { core::ffi::CStr::from_ptr(text) }.to_bytes()
}

/// Calls `read` with the machine's own name, empty if it has none.
pub fn with_own_name<T>(read: impl FnOnce(&[u8]) -> T) -> T {
    let machine = sys::uname();
    read(machine.as_ref().map_or(&[], |machine| sys::node_name(machine)))
}

/// Calls `read` with what `name` is on this machine.
fn classified<T>(name: &[u8], read: impl FnOnce(NameClass<'_>) -> T) -> T {
    with_own_name(|own| read(NameClass::classify(name, own)))
}

/// The addresses of `host`, a failure in the log.
fn find(name: &[u8], host: NameClass<'_>, wanted: Wanted) -> Result<Answer, LookupError> {
    lookup(host, wanted, &ThroughTor)
        .inspect_err(|error| report(error, format_args!("{}", name.escape_ascii())))
}

/// Set once the log has said that local names are not asked for. Guards nothing else: Relaxed.
static HAS_TOLD: AtomicBool = AtomicBool::new(false);

/// Writes a failure into the log.
pub fn report(error: &LookupError, what: fmt::Arguments<'_>) {
    if *error == LookupError::LocalName && !HAS_TOLD.swap(true, Relaxed) {
        log!(Warning, Lookup, "lookup of {what}: {error}");
    } else if error.is_plain_no() {
        log!(Debug, Lookup, "lookup of {what}: {error}");
    } else {
        log!(Error, Lookup, "lookup of {what}: {error}");
    }
}
