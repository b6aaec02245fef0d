//! res_query(3) and its relatives: a DNS message in, a DNS message out, and Tor in between.

use core::ffi::{c_char, c_int, c_uchar};

use epochsocks::bytes::Bytes;
use epochsocks::resolver::dns::{Question, Reply};
use epochsocks::resolver::error::h_errno;
use epochsocks::resolver::query::{error_of, failure, reply};
use epochsocks::socks5::Name;

use super::tor_names::ThroughTor;
use super::{c_bytes, report, set_h_errno, with_own_name};
use crate::hooks::c_types::res_state;
use crate::log::refused;
use crate::{errno, runtime};

/// The caller's buffer for the answer.
struct Buffer {
    start: *mut c_uchar,
    size: c_int,
}

impl Buffer {
    /// Copies the reply's message as far as it fits, then with TC set; gives its whole length.
    ///
    /// # Safety
    /// The buffer is the C caller's and valid.
    unsafe fn put(&self, question: &Question, reply: Reply) -> c_int {
        let message = question.answer(reply);
        let room = usize::try_from(self.size).unwrap_or(0);
        let count = message.len().min(room);
        // SAFETY: `count` bytes fit on both sides.
        unsafe {
            core::ptr::copy_nonoverlapping(message.as_slice().as_ptr(), self.start, count);
            if (3..message.len()).contains(&count) {
                *self.start.add(2) |= 2;
            }
        }
        message.len() as c_int
    }
}

fn find(question: &Question) -> Reply {
    let ipv6 = runtime::loaded().enable_ipv6;
    let reply = with_own_name(|own| reply(question, own, ipv6, &ThroughTor));
    let name = question.name();
    if reply == Ok(Reply::Refused) {
        refused!(Warning, Query, "DNS query for {name} refused: Tor knows A, AAAA and PTR");
    }
    reply.unwrap_or_else(|error| {
        report(&error, format_args!("{name}"));
        failure(&error)
    })
}

/// # Safety
/// `answer` is valid.
unsafe fn ask(name: Option<Name>, class: c_int, kind: c_int, answer: Buffer) -> c_int {
    let numbers = (u16::try_from(kind), u16::try_from(class));
    let (Some(name), (Ok(kind), Ok(class))) = (name, numbers) else {
        set_h_errno(h_errno::NO_RECOVERY);
        return -1;
    };
    let saved = errno::get();
    let question = Question::new(name, kind, class);
    let reply = find(&question);
    // SAFETY: the caller's.
    let length = unsafe { answer.put(&question, reply) };
    errno::set(saved);
    match error_of(reply) {
        None => length,
        Some(error) => {
            set_h_errno(error);
            -1
        }
    }
}

/// See res_query(3), and res_search(3), which is the same without search domains.
///
/// # Safety
/// As res_query(3).
pub unsafe fn res_query(
    name: *const c_char,
    class: c_int,
    kind: c_int,
    answer: *mut c_uchar,
    size: c_int,
) -> c_int {
    // SAFETY: the caller's.
    unsafe { ask(Name::new(c_bytes(name)).ok(), class, kind, Buffer { start: answer, size }) }
}

/// See res_nquery(3) and res_nsearch(3); no state is used.
///
/// # Safety
/// As res_query(3).
pub unsafe fn res_nquery(
    _: res_state,
    name: *const c_char,
    class: c_int,
    kind: c_int,
    answer: *mut c_uchar,
    size: c_int,
) -> c_int {
    // SAFETY: the caller's.
    unsafe { res_query(name, class, kind, answer, size) }
}

/// See res_query(3): the name below the domain.
///
/// # Safety
/// As res_query(3).
pub unsafe fn res_querydomain(
    name: *const c_char,
    domain: *const c_char,
    class: c_int,
    kind: c_int,
    answer: *mut c_uchar,
    size: c_int,
) -> c_int {
    // SAFETY: C strings; the domain may be null.
    let (name, domain) =
        unsafe { (c_bytes(name), if domain.is_null() { &[] } else { c_bytes(domain) }) };
    let mut whole = Bytes::<256>::EMPTY;
    let name = name.strip_suffix(b".").unwrap_or(name);
    let fits =
        whole.extend(name) && (domain.is_empty() || whole.extend(b".") && whole.extend(domain));
    let name = if fits { Name::new(whole.as_slice()).ok() } else { None };
    // SAFETY: the caller's.
    unsafe { ask(name, class, kind, Buffer { start: answer, size }) }
}

/// See res_querydomain(3); no state is used.
///
/// # Safety
/// As res_query(3).
pub unsafe fn res_nquerydomain(
    _: res_state,
    name: *const c_char,
    domain: *const c_char,
    class: c_int,
    kind: c_int,
    answer: *mut c_uchar,
    size: c_int,
) -> c_int {
    // SAFETY: the caller's.
    unsafe { res_querydomain(name, domain, class, kind, answer, size) }
}

/// See res_send(3): the length of the answer, whatever it says. A message that is not a plain query is
/// `EPERM`: it could only go to a name server.
///
/// # Safety
/// As res_send(3).
pub unsafe fn res_send(
    query: *const c_uchar,
    length: c_int,
    answer: *mut c_uchar,
    size: c_int,
) -> c_int {
    let bytes = match usize::try_from(length) {
        // SAFETY: the caller's `length` bytes.
        Ok(length) if !query.is_null() => unsafe { core::slice::from_raw_parts(query, length) },
        _ => &[],
    };
    let Some(question) = Question::parse(bytes) else {
        refused!(
            Warning,
            Query,
            "DNS message refused: only a plain query can be asked through Tor"
        );
        errno::set(libc::EPERM);
        return -1;
    };
    let saved = errno::get();
    let reply = find(&question);
    errno::set(saved);
    // SAFETY: the caller's.
    unsafe { Buffer { start: answer, size }.put(&question, reply) }
}

/// See res_send(3); no state is used.
///
/// # Safety
/// As res_send(3).
pub unsafe fn res_nsend(
    _: res_state,
    query: *const c_uchar,
    length: c_int,
    answer: *mut c_uchar,
    size: c_int,
) -> c_int {
    // SAFETY: the caller's.
    unsafe { res_send(query, length, answer, size) }
}
