//! From an address to its name: gethostbyaddr(3) and getnameinfo(3).

use core::ffi::{c_char, c_int, c_void};
use core::net::IpAddr;
use core::ptr::null_mut;

use epochsocks::policy::Address;
use epochsocks::resolver::error::LookupError;
use epochsocks::resolver::lookup::reverse;
use epochsocks::socks5::Name;
use libc::{hostent, size_t, sockaddr, socklen_t};

use super::hosts::{Host, Place, StaticHost};
use super::report;
use super::tor_names::ThroughTor;
use crate::hooks::arguments::AddressArgument;
use crate::{errno, real};

static BY_ADDRESS: StaticHost = StaticHost::new();

/// See gethostbyaddr(3).
///
/// # Safety
/// As gethostbyaddr(3).
pub unsafe fn gethostbyaddr(
    address: *const c_void,
    length: socklen_t,
    family: c_int,
) -> *mut hostent {
    // SAFETY: the caller's.
    BY_ADDRESS.finish(unsafe { by_address(address, length, family) })
}

/// See gethostbyaddr_r(3).
///
/// # Safety
/// As gethostbyaddr_r(3).
#[expect(clippy::too_many_arguments, reason = "the C function's")]
pub unsafe fn gethostbyaddr_r(
    address: *const c_void,
    length: socklen_t,
    family: c_int,
    host: *mut hostent,
    buffer: *mut c_char,
    buffer_length: size_t,
    result: *mut *mut hostent,
    h_errno: *mut c_int,
) -> c_int {
    let place = Place { host, buffer, length: buffer_length, result, h_errno };
    // SAFETY: the caller's.
    unsafe { place.finish(by_address(address, length, family)) }
}

/// # Safety
/// `address` has `length` bytes.
unsafe fn by_address(
    address: *const c_void,
    length: socklen_t,
    family: c_int,
) -> Result<Host, LookupError> {
    // SAFETY: as many bytes as `length` says; C gives no alignment.
    let address: IpAddr = unsafe {
        match (family, length) {
            (libc::AF_INET, 4) => address.cast::<[u8; 4]>().read_unaligned().into(),
            (libc::AF_INET6, 16) => address.cast::<[u8; 16]>().read_unaligned().into(),
            _ => return Err(LookupError::Family),
        }
    };
    Ok(Host { name: name_of(address)?, address })
}

fn name_of(address: IpAddr) -> Result<Name, LookupError> {
    reverse(address, &ThroughTor).inspect_err(|error| report(error, format_args!("{address}")))
}

/// See getnameinfo(3): the host's name is Tor's, everything else libc's. An address without a name,
/// or a Tor without an answer, gives the numeric form unless `NI_NAMEREQD` is set.
///
/// # Safety
/// As getnameinfo(3).
pub unsafe fn getnameinfo(
    address: *const sockaddr,
    length: socklen_t,
    host: *mut c_char,
    host_length: socklen_t,
    service: *mut c_char,
    service_length: socklen_t,
    flags: c_int,
) -> c_int {
    // One copy, so that libc can't see another family than was judged.
    // SAFETY: the caller's `length` bytes.
    let Ok(copy) = (unsafe { AddressArgument::copy(address, length) }) else {
        return libc::EAI_FAMILY;
    };
    let (address, length) = (copy.as_ptr(), copy.length());
    let wants_name = !host.is_null() && host_length > 0 && flags & libc::NI_NUMERICHOST == 0;
    let Some(ip) = inet(&copy).filter(|_| wants_name) else {
        // SAFETY: the caller's buffers; libc has no name to look up.
        return unsafe {
            real::getnameinfo(address, length, host, host_length, service, service_length, flags)
        };
    };
    let saved = errno::get();
    let found = name_of(ip);
    errno::set(saved);
    match found {
        // SAFETY: the caller's buffers.
        Ok(name) => unsafe {
            if !copy_name(&name, host, host_length) {
                return libc::EAI_OVERFLOW;
            }
            service_only(address, length, service, service_length, flags)
        },
        Err(error) if flags & libc::NI_NAMEREQD != 0 => error.codes().eai,
        // SAFETY: the caller's; nothing is looked up.
        Err(_) => unsafe {
            let flags = flags | libc::NI_NUMERICHOST;
            real::getnameinfo(address, length, host, host_length, service, service_length, flags)
        },
    }
}

fn inet(address: &AddressArgument) -> Option<IpAddr> {
    match address.parse() {
        Address::Inet(address) => Some(address.ip()),
        _ => None,
    }
}

/// # Safety
/// `host` has room for `length` bytes.
unsafe fn copy_name(name: &Name, host: *mut c_char, length: socklen_t) -> bool {
    let bytes = name.as_bytes();
    if bytes.len() >= length as usize {
        return false;
    }
    // SAFETY: the name and its NUL fit.
    unsafe {
        core::ptr::copy_nonoverlapping(bytes.as_ptr(), host.cast(), bytes.len());
        host.add(bytes.len()).write(0);
    }
    true
}

/// # Safety
/// As getnameinfo(3).
unsafe fn service_only(
    address: *const sockaddr,
    length: socklen_t,
    service: *mut c_char,
    service_length: socklen_t,
    flags: c_int,
) -> c_int {
    if service.is_null() || service_length == 0 {
        return 0;
    }
    let flags = flags & !libc::NI_NAMEREQD | libc::NI_NUMERICHOST;
    // SAFETY: the caller's; no host is asked for.
    unsafe { real::getnameinfo(address, length, null_mut(), 0, service, service_length, flags) }
}
