//! `setsockopt`: options that would lead packets past Tor's port.

use core::ffi::{c_int, c_void};

use epochsocks::policy::OptionDecision;
use epochsocks::policy::option::{self as policy, LONGEST};
use epochsocks::sys::net::Answer;
use epochsocks::sys::{Errno, copy_from_program};
use libc::socklen_t;

use super::socket::confines_streams;
use crate::hooks::arguments::socket_kind;
use crate::log::refused;
use crate::sockets::SOCKETS;
use crate::{errno, real};

/// # Safety
/// As setsockopt(2).
pub unsafe fn setsockopt(
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *const c_void,
    length: socklen_t,
) -> c_int {
    // SAFETY: the caller's contract, here and below.
    let call = |value| unsafe { real::setsockopt(fd, level, name, value, length) };
    if !policy::is_examined(level, name) || length > c_int::MAX as socklen_t {
        return call(value);
    }
    let mut copy = [0; LONGEST];
    let beginning = &mut copy[..LONGEST.min(length as usize)];
    if !beginning.is_empty() {
        // SAFETY: as above.
        if let Err(errno) = unsafe { copy_from_program(value.cast(), beginning) } {
            return errno::fail(match socket_kind(fd) {
                Answer::NotASocket(first) => first,
                _ => errno,
            });
        }
    }
    let decision = policy::set(level, name, beginning);
    // The kernel gets the bytes that were judged.
    let judged = if length as usize <= LONGEST { copy.as_ptr().cast() } else { value };
    match decision {
        OptionDecision::Libc => call(judged),
        OptionDecision::LimitsTime => {
            SOCKETS.note_time_limit();
            call(judged)
        }
        OptionDecision::Ignore => match socket_kind(fd) {
            Answer::Is(kind) if kind.is_tcp() => 0,
            Answer::Is(_) => call(value),
            Answer::NotASocket(errno) | Answer::Unknown(errno) => errno::fail(errno),
        },
        OptionDecision::Unbind => match socket_kind(fd) {
            Answer::Is(kind) if kind.is_udp() || kind.is_tcp() && confines_streams() => 0,
            Answer::Is(_) => call(value),
            Answer::NotASocket(errno) | Answer::Unknown(errno) => errno::fail(errno),
        },
        OptionDecision::Refuse(refusal) => refuse(level, name, refusal.errno(), &refusal),
    }
}

fn refuse(level: c_int, name: c_int, errno: Errno, why: &dyn core::fmt::Display) -> c_int {
    refused!(Warning, Option, "setsockopt({level}, {name}) refused: {why}");
    errno::fail(errno)
}
