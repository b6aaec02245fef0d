//! `listen`, `accept`, `accept4`: nobody comes in beside Tor.

use core::ffi::c_int;

use epochsocks::config::Settings;
use epochsocks::policy::listen::{accept_inbound, inbound};
use epochsocks::policy::{Address, Refusal};
use epochsocks::registry::Registry;
use epochsocks::sys::net::Answer;
use libc::{sockaddr, socklen_t};

use crate::hooks::arguments::local_address;
use crate::log::log;
use crate::registry::REGISTRY;
use crate::{errno, real, runtime};

/// # Safety
/// As listen(2).
pub unsafe fn listen(fd: c_int, backlog: c_int) -> c_int {
    // SAFETY: the caller's contract.
    admitted(fd, "listen", inbound, || unsafe { real::listen(fd, backlog) })
}

/// # Safety
/// As accept(2).
pub unsafe fn accept(fd: c_int, address: *mut sockaddr, length: *mut socklen_t) -> c_int {
    // SAFETY: the caller's contract.
    let call = || stranger(unsafe { real::accept(fd, address, length) });
    admitted(fd, "accept", accept_inbound, call)
}

/// # Safety
/// As accept4(2).
pub unsafe fn accept4(
    fd: c_int,
    address: *mut sockaddr,
    length: *mut socklen_t,
    flags: c_int,
) -> c_int {
    // SAFETY: the caller's contract.
    let call = || stranger(unsafe { real::accept4(fd, address, length, flags) });
    admitted(fd, "accept4", accept_inbound, call)
}

/// A descriptor that the kernel just gave. Its peer is the real one: what an entry says belongs to
/// a descriptor that was closed behind our back.
fn stranger(fd: c_int) -> c_int {
    REGISTRY.remove(fd);
    fd
}

/// Runs `call` if `policy` lets the socket be reached from outside. `call` fails itself for what is no
/// socket.
fn admitted(
    fd: c_int,
    name: &str,
    policy: impl FnOnce(Address, &Settings) -> Option<Refusal>,
    call: impl FnOnce() -> c_int,
) -> c_int {
    let settings = runtime::loaded();
    if settings.allow_inbound {
        return call();
    }
    match local_address(fd) {
        Answer::NotASocket(_) => call(),
        Answer::Is(local) => match policy(local, settings) {
            None => call(),
            Some(refusal) => {
                log!(Warning, "{name} refused: {refusal}");
                errno::fail(refusal.errno())
            }
        },
        Answer::Unknown(errno) => {
            log!(Warning, "{name} refused: the kernel does not tell the local address: {errno}");
            errno::fail(errno)
        }
    }
}
