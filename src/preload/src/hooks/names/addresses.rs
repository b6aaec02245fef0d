//! getaddrinfo(3): Tor finds the addresses, libc makes the list of each numeric one, so that
//! services, socket types, flags and scopes come from libc and its freeaddrinfo(3) frees the result.

use core::ffi::{CStr, c_char, c_int};
use core::fmt::Write;
use core::net::{IpAddr, Ipv6Addr, SocketAddr};
use core::ptr::null_mut;

use epochsocks::bytes::Bytes;
use epochsocks::policy::address::encode;
use epochsocks::resolver::error::LookupError;
use epochsocks::resolver::lookup::{Answer, Wanted};
use epochsocks::resolver::name_class::NameClass;
use epochsocks::socks5::Name;
use epochsocks::sys::{self, net};
use libc::addrinfo;

use super::{c_bytes, classified, find};
use crate::{errno, real, runtime, unhooked};

/// Flags that ask libc for what it can't know or shall not do for a host: which families this
/// machine reaches (Tor reaches both), and conversions of names.
const NOT_LIBCS: c_int = libc::AI_ADDRCONFIG | AI_IDN | IDN_DETAILS;

// glibc, netdb.h.
const AI_IDN: c_int = 0x40;
/// `AI_CANONIDN` and the two obsolete flags beside it.
const IDN_DETAILS: c_int = 0x80 | 0x100 | 0x200;
const EAI_IDN_ENCODE: c_int = -105;

/// The longest text of an address, and its NUL.
const ADDRESS_TEXT: usize = 64;

/// See getaddrinfo(3). Unknown names are `EAI_NONAME`, names without an address of the family
/// `EAI_NODATA`, a Tor that can't be reached or is silent `EAI_AGAIN`. A name beyond ASCII with `AI_IDN`
/// is `EAI_IDN_ENCODE`, as of a libc without libidn2.
///
/// # Safety
/// As getaddrinfo(3).
pub unsafe fn getaddrinfo(
    node: *const c_char,
    service: *const c_char,
    hints: *const addrinfo,
    result: *mut *mut addrinfo,
) -> c_int {
    // SAFETY: a C string or null. glibc takes "*" for null.
    let name = if node.is_null() { b"*" } else { unsafe { c_bytes(node) } };
    if name == b"*" {
        // SAFETY: without a host libc asks no name server; what it has listed is a list.
        return unsafe {
            let code = real::getaddrinfo(core::ptr::null(), service, hints, result);
            if code == 0 && net::secret().is_some() {
                let is_passive =
                    hints.as_ref().is_some_and(|it| it.ai_flags & libc::AI_PASSIVE != 0);
                put_in_order(&mut *result, is_passive);
            }
            code
        };
    }
    // SAFETY: null or a valid structure.
    let hints = Hints::read(unsafe { hints.as_ref() });
    let saved = errno::get();
    let code = classified(name, |classified| match classified {
        // SAFETY: the caller's pointers, and a host that needs no lookup.
        NameClass::Numeric { .. } => unsafe {
            let code = real::getaddrinfo(node, service, &hints.numeric(), result);
            if code == 0 {
                hints.put_flags(*result);
            }
            code
        },
        // SAFETY: the caller's service.
        other => match unsafe { mistake(service, &hints) } {
            0 if hints.0.ai_flags & libc::AI_NUMERICHOST != 0 => libc::EAI_NONAME,
            0 if hints.0.ai_flags & AI_IDN != 0 && !name.is_ascii() => EAI_IDN_ENCODE,
            0 => match resolve(name, other, &hints) {
                // SAFETY: the caller's pointers.
                Ok(answer) => unsafe { List::build(name, answer, service, &hints, result) },
                Err(error) => failed(error),
            },
            code => code,
        },
    });
    if code != libc::EAI_SYSTEM {
        errno::set(saved);
    }
    code
}

/// Sorts the list of a call without a node as libc does where it can: it makes sockets of its own for that
/// (RFC 6724), which a backstop refuses, and lists IPv6 first then. 0.0.0.0 comes before :: (whose label
/// differs from that of ::1), and ::1 before 127.0.0.1 (by its precedence), if there is one.
///
/// # Safety
/// A list of addrinfo(3).
unsafe fn put_in_order(list: &mut *mut addrinfo, is_passive: bool) {
    let is_v4_first = is_passive || !reaches_v6_loopback();
    let (mut v4, mut v6) = (null_mut(), null_mut());
    let (mut last_v4, mut last_v6) = (&raw mut v4, &raw mut v6);
    let mut next = *list;
    // SAFETY: each entry is linked once, behind the last of its family.
    unsafe {
        while let Some(entry) = next.as_mut() {
            let last = if entry.ai_family == libc::AF_INET { &mut last_v4 } else { &mut last_v6 };
            (**last, *last) = (next, &raw mut entry.ai_next);
            next = entry.ai_next;
        }
        // Where there is none of the first family its last link is its head.
        if is_v4_first {
            *last_v4 = v6;
            *last_v6 = null_mut();
            *list = v4;
        } else {
            *last_v6 = v4;
            *last_v4 = null_mut();
            *list = v6;
        }
    }
}

/// Tells whether this machine has the address ::1, to which a UDP socket connects then without a word.
fn reaches_v6_loopback() -> bool {
    let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC;
    let Ok(fd) = net::socket(libc::AF_INET6, kind, 0) else { return false };
    let (bytes, length) = encode(&SocketAddr::from((Ipv6Addr::LOCALHOST, 0)));
    let connected = net::connect(fd, &bytes[..length]);
    let _ = sys::close(fd);
    connected.is_ok()
}

/// Libc's error for everything but the name, 0 if there is none: Tor is not asked for a call that
/// must fail.
///
/// # Safety
/// `service` as getaddrinfo(3) wants it.
unsafe fn mistake(service: *const c_char, hints: &Hints) -> c_int {
    let some = if hints.0.ai_family == libc::AF_INET6 { c"::1" } else { c"127.0.0.1" };
    let mut list = null_mut();
    // SAFETY: a numeric C string, the caller's service and a place of our own.
    unsafe {
        let code = real::getaddrinfo(some.as_ptr(), service, &hints.of_answer(), &mut list);
        if code == 0 {
            unhooked::freeaddrinfo(list);
        }
        code
    }
}

fn resolve(name: &[u8], host: NameClass<'_>, hints: &Hints) -> Result<Answer, LookupError> {
    let mapped = hints.0.ai_flags & libc::AI_V4MAPPED != 0;
    let ipv6 = runtime::loaded().enable_ipv6;
    find(name, host, Wanted::new(hints.0.ai_family, mapped, ipv6)?)
}

fn failed(error: LookupError) -> c_int {
    let codes = error.codes();
    if codes.eai == libc::EAI_SYSTEM {
        errno::set(codes.errno.0);
    }
    codes.eai
}

/// Hints of the caller, as getaddrinfo(3) reads them. Without hints libc has these flags.
struct Hints(addrinfo);

impl Hints {
    fn read(hints: Option<&addrinfo>) -> Hints {
        let mut own = addrinfo {
            ai_flags: libc::AI_V4MAPPED | libc::AI_ADDRCONFIG,
            ai_family: libc::AF_UNSPEC,
            ai_socktype: 0,
            ai_protocol: 0,
            ai_addrlen: 0,
            ai_addr: null_mut(),
            ai_canonname: null_mut(),
            ai_next: null_mut(),
        };
        if let Some(hints) = hints {
            own.ai_flags = hints.ai_flags;
            own.ai_family = hints.ai_family;
            own.ai_socktype = hints.ai_socktype;
            own.ai_protocol = hints.ai_protocol;
        }
        Hints(own)
    }

    /// For a host in numbers.
    fn numeric(&self) -> addrinfo {
        let flags = self.0.ai_flags & !NOT_LIBCS | libc::AI_NUMERICHOST;
        addrinfo { ai_flags: flags, ..self.0 }
    }

    /// For one address of an answer: the canonical name is not the address.
    fn of_answer(&self) -> addrinfo {
        let numeric = self.numeric();
        addrinfo { ai_flags: numeric.ai_flags & !libc::AI_CANONNAME, ..numeric }
    }

    /// Puts the caller's flags into each entry of `list`, as libc does.
    ///
    /// # Safety
    /// A list of getaddrinfo(3).
    unsafe fn put_flags(&self, list: *mut addrinfo) {
        let mut next = list;
        // SAFETY: the caller's.
        while let Some(entry) = unsafe { next.as_mut() } {
            entry.ai_flags = self.0.ai_flags;
            next = entry.ai_next;
        }
    }

    fn want_canonical_name(&self) -> bool {
        self.0.ai_flags & libc::AI_CANONNAME != 0
    }
}

/// A list under construction.
struct List(*mut addrinfo);

impl List {
    /// # Safety
    /// `service` and `result` as getaddrinfo(3) wants them.
    unsafe fn build(
        name: &[u8],
        answer: Answer,
        service: *const c_char,
        hints: &Hints,
        result: *mut *mut addrinfo,
    ) -> c_int {
        let mut list = List(null_mut());
        // SAFETY: the caller's.
        let mut code = unsafe { list.append_all(answer, service, &hints.of_answer()) };
        if code == 0 && hints.want_canonical_name() {
            code = list.set_canonical_name(name);
        }
        if code == 0 {
            // SAFETY: a list of libc's parts, and the caller's place for the result.
            unsafe {
                hints.put_flags(list.0);
                *result = list.0;
            }
        } else if !list.0.is_null() {
            // SAFETY: every part came from libc's getaddrinfo.
            unsafe { unhooked::freeaddrinfo(list.0) };
        }
        code
    }

    /// # Safety
    /// `service` as getaddrinfo(3) wants it.
    unsafe fn append_all(
        &mut self,
        answer: Answer,
        service: *const c_char,
        hints: &addrinfo,
    ) -> c_int {
        for address in answer.addresses() {
            let mut part = null_mut();
            let text = address_text(address);
            // SAFETY: a numeric C string, the caller's service and places of our own.
            let code = unsafe {
                real::getaddrinfo(text.as_slice().as_ptr().cast(), service, hints, &mut part)
            };
            if code != 0 {
                return code;
            }
            self.append(part);
        }
        0
    }

    fn append(&mut self, part: *mut addrinfo) {
        let mut end = &mut self.0;
        // SAFETY: the parts are lists of libc's that no other thread has seen.
        while let Some(entry) = unsafe { end.as_mut() } {
            end = &mut entry.ai_next;
        }
        *end = part;
    }

    /// The name as it was asked for, without its trailing dot: Tor doesn't tell aliases.
    fn set_canonical_name(&mut self, name: &[u8]) -> c_int {
        let Ok(name) = Name::new(name) else { return libc::EAI_FAIL };
        // SAFETY: the first entry of a list of ours. libc's freeaddrinfo frees the name with free,
        // which goes with libc's strdup.
        let copy = unsafe {
            let text = terminated(name.as_bytes());
            unhooked::strdup(text.as_slice().as_ptr().cast())
        };
        // SAFETY: as above.
        match unsafe { self.0.as_mut() } {
            Some(first) if !copy.is_null() => {
                first.ai_canonname = copy;
                0
            }
            _ => libc::EAI_MEMORY,
        }
    }
}

fn address_text(address: IpAddr) -> Bytes<ADDRESS_TEXT> {
    let mut text = Bytes::EMPTY;
    // 45 bytes at most, and the NUL.
    let _ = write!(text, "{address}\0");
    text
}

fn terminated(name: &[u8]) -> Bytes<256> {
    let mut text = Bytes::EMPTY;
    text.extend(name);
    text.extend(CStr::to_bytes_with_nul(c""));
    text
}
