//! `send`, `write` and their kin: data without an address. A socket that could send them beside Tor is
//! refused: a UDP socket of this process's own, and any that was connected past the hooks.
//!
//! The calls of sockets look at every descriptor that the registry does not know. `write`, which is
//! called for files and pipes as well, looks at those that are known to be UDP sockets.

use core::ffi::{c_int, c_uint, c_void};
use core::net::SocketAddr;

use epochsocks::config::PassedSockets;
use epochsocks::policy::address::MAX_LENGTH;
use epochsocks::policy::send::without_address;
use epochsocks::policy::{Address, Refusal};
use epochsocks::registry::Registry;
use epochsocks::sys::Errno;
use epochsocks::sys::net::{self, Answer};
use libc::{iovec, off_t, size_t, ssize_t};

use super::transfer;
use crate::hooks::arguments::socket_kind;
use crate::log::log;
use crate::sockets::SOCKETS;
use crate::{datagrams, environment, errno, runtime};

/// Says why data without an address are not sent on `fd`.
#[inline]
pub fn admit(fd: c_int) -> Result<(), Errno> {
    if may_be_any_socket(fd) { look(fd) } else { Ok(()) }
}

/// Whether `fd` is not known to be TCP.
#[inline(always)]
fn may_be_any_socket(fd: c_int) -> bool {
    !SOCKETS.registry().contains(fd) || datagrams::is_known(fd)
}

#[inline(never)]
fn look(fd: c_int) -> Result<(), Errno> {
    let settings = runtime::loaded();
    if settings.passed_sockets == PassedSockets::Allow && !datagrams::is_known(fd) {
        return Ok(());
    }
    // Most sockets without an entry are, and no sandbox forbids this question.
    if net::is_unix(fd) {
        return Ok(());
    }
    let kind = match socket_kind(fd) {
        Answer::Is(kind) if kind.is_tcp() => return Ok(()),
        Answer::Is(kind) => kind,
        // The kernel says so as well.
        Answer::NotASocket(_) => return Ok(()),
        Answer::Unknown(errno) => {
            log!(Warning, "data on descriptor {fd} refused: {} ({errno})", Refusal::Untold);
            return Err(Refusal::Untold.errno());
        }
    };
    let peer = if kind.is_inet() { peer(fd) } else { None };
    match without_address(kind, peer, settings) {
        None => Ok(()),
        Some(refusal) => {
            match peer {
                Some(Address::Inet(peer)) => refuse(peer, refusal),
                _ => log!(Debug, "data on descriptor {fd} refused: {refusal}"),
            }
            Err(refusal.errno())
        }
    }
}

fn peer(fd: c_int) -> Option<Address> {
    let mut bytes = [0; MAX_LENGTH];
    let length = net::peer_address(fd, &mut bytes).ok()?;
    bytes.get(..length).map(Address::parse)
}

/// Waits until `fd` may be written to as by `write`, or says why not.
pub fn ready(fd: c_int) -> Result<(), Errno> {
    if datagrams::is_known(fd) {
        admit(fd)?;
    }
    transfer::ready_to_write(fd)
}

/// Tells that datagrams to `destination` are refused, once a port where the user sees it.
#[cold]
pub fn refuse(destination: SocketAddr, refusal: Refusal) {
    let program = environment::program().escape_ascii();
    if datagrams::is_first_refusal(destination.port()) {
        log!(Warning, "{program}: datagrams to {destination} refused: {refusal}");
    } else {
        log!(Debug, "{program}: datagrams to {destination} refused: {refusal}");
    }
}

macro_rules! outgoing_hooks {
    ($($name:ident($fd:ident $(, $argument:ident: $type:ty)*), $is_concerned:path;)*) => {
        $(
            /// # Safety
            /// As the C function's.
            pub unsafe fn $name($fd: c_int $(, $argument: $type)*) -> ssize_t {
                // SAFETY: the caller's contract.
                unsafe {
                    match $is_concerned($fd) {
                        true => looked_at::$name($fd $(, $argument)*),
                        false => transfer::$name($fd $(, $argument)*),
                    }
                }
            }
        )*

        /// Apart, so that files and pipes pay nothing for it.
        mod looked_at {
            use super::*;
            $(
                #[inline(never)]
                pub unsafe fn $name($fd: c_int $(, $argument: $type)*) -> ssize_t {
                    match admit($fd) {
                        // SAFETY: the caller's contract.
                        Ok(()) => unsafe { transfer::$name($fd $(, $argument)*) },
                        Err(errno) => errno::fail(errno),
                    }
                }
            )*
        }
    };
}

outgoing_hooks! {
    send(fd, data: *const c_void, size: size_t, flags: c_int), may_be_any_socket;
    write(fd, data: *const c_void, size: size_t), datagrams::is_known;
    writev(fd, pieces: *const iovec, count: c_int), datagrams::is_known;
    pwritev2(fd, pieces: *const iovec, count: c_int, offset: off_t, flags: c_int), datagrams::is_known;
    sendfile(target, source: c_int, offset: *mut off_t, size: size_t), datagrams::is_known;
}

/// # Safety
/// As splice(2).
pub unsafe fn splice(
    source: c_int,
    source_offset: *mut i64,
    target: c_int,
    target_offset: *mut i64,
    size: size_t,
    flags: c_uint,
) -> ssize_t {
    if datagrams::is_known(target)
        && let Err(errno) = admit(target)
    {
        return errno::fail(errno);
    }
    // SAFETY: the caller's contract.
    unsafe { transfer::splice(source, source_offset, target, target_offset, size, flags) }
}
