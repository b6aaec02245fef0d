//! gethostbyname(3) and its relatives.

use core::ffi::{c_char, c_int, c_long};
use core::net::IpAddr;
use core::ptr::null_mut;
use core::sync::atomic::{
    AtomicPtr,
    Ordering::{Acquire, Release},
};

use epochsocks::resolver::error::{LookupError, h_errno};
use epochsocks::resolver::hostent::{Addresses, TooShort, build};
use epochsocks::resolver::lookup::Wanted;
use epochsocks::socks5::Name;
use epochsocks::sys::{self, Errno};
use libc::{hostent, size_t};

use super::{c_bytes, classified, find, set_h_errno};
use crate::{errno, runtime};

/// Enough for the longest name and one address.
const STATIC_BUFFER: usize = 512;

/// A host that was found: its one address and its name.
pub struct Host {
    pub name: Name,
    pub address: IpAddr,
}

/// Receiver of an answer: the arguments that the reentrant functions share.
pub struct Place {
    pub host: *mut hostent,
    pub buffer: *mut c_char,
    pub length: size_t,
    pub result: *mut *mut hostent,
    pub h_errno: *mut c_int,
}

impl Place {
    /// Ends a reentrant call: 0 and the host, 0 and null when nothing was found, or an errno.
    ///
    /// # Safety
    /// The pointers are the C caller's and valid.
    pub unsafe fn finish(self, found: Result<Host, LookupError>) -> c_int {
        // SAFETY: the caller's.
        let (host, code, errno) = match unsafe { self.write(found) } {
            Ok(()) => (self.host, 0, 0),
            Err((code, errno)) => (null_mut(), code, errno),
        };
        // SAFETY: the caller's.
        unsafe {
            *self.result = host;
            *self.h_errno = code;
        }
        // Programs look at the variable after the reentrant functions, too: glibc sets both.
        if code != 0 {
            set_h_errno(code);
        }
        if errno != 0 {
            errno::set(errno);
        }
        errno
    }

    /// # Safety
    /// As [`Place::finish`].
    unsafe fn write(&self, found: Result<Host, LookupError>) -> Result<(), (c_int, c_int)> {
        let found = found.map_err(|error| {
            let codes = error.codes();
            (codes.h_errno, codes.errno.0)
        })?;
        let buffer = if self.buffer.is_null() {
            &mut []
        } else {
            // SAFETY: the caller's buffer of that length, which no other thread uses meanwhile.
            unsafe { core::slice::from_raw_parts_mut(self.buffer.cast::<u8>(), self.length) }
        };
        let name = found.name.as_bytes();
        let built = match found.address {
            IpAddr::V4(address) => build(buffer, name, Addresses::V4(&[address])),
            IpAddr::V6(address) => build(buffer, name, Addresses::V6(&[address])),
        };
        let built = built.map_err(|TooShort| (h_errno::NETDB_INTERNAL, libc::ERANGE))?;
        // SAFETY: the caller's.
        unsafe { *self.host = built };
        Ok(())
    }
}

/// The result of a function that is not reentrant, as POSIX allows: the next call overwrites it, and
/// no two threads may call at once. It is mapped at the first call, as most programs make none.
pub struct StaticHost(AtomicPtr<Kept>);

struct Kept {
    host: hostent,
    buffer: [u8; STATIC_BUFFER],
}

impl StaticHost {
    pub const fn new() -> Self {
        StaticHost(AtomicPtr::new(null_mut()))
    }

    /// The found host, or null with `h_errno`.
    pub fn finish(&self, found: Result<Host, LookupError>) -> *mut hostent {
        let Some(kept) = self.kept() else {
            set_h_errno(h_errno::NETDB_INTERNAL);
            return errno::fail(Errno(libc::ENOMEM));
        };
        let mut result = null_mut();
        let mut code = 0;
        // SAFETY: `kept` is ours for the call, as POSIX has it; the others are locals.
        unsafe {
            Place {
                host: &raw mut (*kept).host,
                buffer: (&raw mut (*kept).buffer).cast(),
                length: STATIC_BUFFER,
                result: &mut result,
                h_errno: &mut code,
            }
            .finish(found);
        }
        result
    }

    fn kept(&self) -> Option<*mut Kept> {
        // Acquire pairs with the Release below: another thread's earlier call may have mapped it.
        let kept = self.0.load(Acquire);
        if !kept.is_null() {
            return Some(kept);
        }
        let fresh = sys::map_zeroed(size_of::<Kept>()).ok()?.cast::<Kept>().as_ptr();
        self.0.store(fresh, Release);
        Some(fresh)
    }
}

static BY_NAME: StaticHost = StaticHost::new();

/// See gethostbyname(3).
///
/// # Safety
/// As gethostbyname(3).
pub unsafe fn gethostbyname(name: *const c_char) -> *mut hostent {
    // SAFETY: the caller's.
    unsafe { gethostbyname2(name, libc::AF_INET) }
}

/// See gethostbyname2(3).
///
/// # Safety
/// As gethostbyname2(3).
pub unsafe fn gethostbyname2(name: *const c_char, family: c_int) -> *mut hostent {
    // SAFETY: a C string.
    BY_NAME.finish(by_name(unsafe { c_bytes(name) }, family))
}

/// See gethostbyname_r(3).
///
/// # Safety
/// As gethostbyname_r(3).
pub unsafe fn gethostbyname_r(
    name: *const c_char,
    host: *mut hostent,
    buffer: *mut c_char,
    length: size_t,
    result: *mut *mut hostent,
    h_errno: *mut c_int,
) -> c_int {
    // SAFETY: the caller's.
    unsafe { gethostbyname2_r(name, libc::AF_INET, host, buffer, length, result, h_errno) }
}

/// See gethostbyname2_r(3).
///
/// # Safety
/// As gethostbyname2_r(3).
pub unsafe fn gethostbyname2_r(
    name: *const c_char,
    family: c_int,
    host: *mut hostent,
    buffer: *mut c_char,
    length: size_t,
    result: *mut *mut hostent,
    h_errno: *mut c_int,
) -> c_int {
    let place = Place { host, buffer, length, result, h_errno };
    // SAFETY: a C string, and the caller's place.
    unsafe { place.finish(by_name(c_bytes(name), family)) }
}

fn by_name(name: &[u8], family: c_int) -> Result<Host, LookupError> {
    if family == libc::AF_UNSPEC {
        return Err(LookupError::Family);
    }
    let wanted = Wanted::new(family, false, runtime::loaded().enable_ipv6)?;
    let answer = classified(name, |host| find(name, host, wanted))?;
    let address = answer.addresses().next().ok_or(LookupError::NoAddress)?;
    // What was found has a name that fits.
    let name = Name::new(name).map_err(|_| LookupError::NoAddress)?;
    Ok(Host { name, address })
}

/// See gethostid(3): what glibc makes of the address 127.0.0.1, without a look at /etc/hostid.
///
/// # Safety
/// None is needed; the table's handlers are all unsafe.
pub unsafe fn gethostid() -> c_long {
    let address = u32::from_ne_bytes(core::net::Ipv4Addr::LOCALHOST.octets());
    // glibc's type is signed, 32 bits wide.
    c_long::from(address.rotate_left(16) as i32)
}
