//! `socket`, `socketpair`: a TCP socket gets its record at birth.

use core::ffi::c_int;

use epochsocks::policy::{SocketDecision, socket as policy};
use epochsocks::sys;

use crate::log::log;
use crate::{errno, real, registry, runtime};

/// # Safety
/// As socket(2).
pub unsafe fn socket(domain: c_int, kind: c_int, protocol: c_int) -> c_int {
    match policy::open(domain, kind, protocol, runtime::loaded()) {
        // SAFETY: the caller's contract.
        SocketDecision::Libc => unsafe { real::socket(domain, kind, protocol) },
        SocketDecision::Refuse(refusal) => {
            log!(Debug, "socket({domain}, {kind:#x}, {protocol}) refused: {refusal}");
            errno::fail(refusal.errno())
        }
        SocketDecision::Track => {
            // SAFETY: the caller's contract.
            let fd = unsafe { real::socket(domain, kind, protocol) };
            if fd >= 0 { tracked(fd) } else { fd }
        }
    }
}

fn tracked(fd: c_int) -> c_int {
    match registry::track(fd) {
        Ok(()) => fd,
        Err(why) => {
            let _ = sys::close(fd);
            errno::fail(why)
        }
    }
}

/// # Safety
/// As socketpair(2).
pub unsafe fn socketpair(domain: c_int, kind: c_int, protocol: c_int, pair: *mut c_int) -> c_int {
    match policy::open(domain, kind, protocol, runtime::loaded()) {
        // SAFETY: the caller's contract. The kernel makes no pairs of TCP sockets.
        SocketDecision::Libc | SocketDecision::Track => unsafe {
            real::socketpair(domain, kind, protocol, pair)
        },
        SocketDecision::Refuse(refusal) => {
            log!(Debug, "socketpair({domain}, {kind:#x}, {protocol}) refused: {refusal}");
            errno::fail(refusal.errno())
        }
    }
}
