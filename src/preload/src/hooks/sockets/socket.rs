//! `socket`, `socketpair`: a TCP socket gets its record at birth, and a UDP socket is confined to the
//! loopback interface: programs ask the kernel by one, and nothing leaves by it.

use core::ffi::c_int;

use epochsocks::config::{Inbound, OutboundLocalhost};
use epochsocks::policy::{Refusal, SocketDecision, socket as policy};
use epochsocks::registry::Registry;
use epochsocks::sys::{self, Errno, net};

use crate::log::refused;
use crate::sockets::SOCKETS;
use crate::{datagrams, errno, harmless, real, runtime};

/// # Safety
/// As socket(2).
pub unsafe fn socket(domain: c_int, kind: c_int, protocol: c_int) -> c_int {
    // SAFETY: the caller's contract.
    let fd = unsafe { open(domain, kind, protocol) };
    // The bit is another file's, which was closed by a raw system call.
    harmless::remove(fd);
    fd
}

/// # Safety
/// As socket(2).
unsafe fn open(domain: c_int, kind: c_int, protocol: c_int) -> c_int {
    match policy::open(domain, kind, protocol) {
        // SAFETY: the caller's contract.
        SocketDecision::Libc => unsafe { real::socket(domain, kind, protocol) },
        SocketDecision::Refuse(refusal) => {
            refused!(Debug, Socket, "socket({domain}, {kind:#x}, {protocol}) refused: {refusal}");
            errno::fail(refusal.errno())
        }
        SocketDecision::Track => {
            // SAFETY: the caller's contract.
            let fd = unsafe { real::socket(domain, kind, protocol) };
            if fd >= 0 { or_closed(fd, SOCKETS.track(fd)) } else { fd }
        }
        SocketDecision::Confine => {
            // SAFETY: the caller's contract.
            let fd = unsafe { real::socket(domain, kind, protocol) };
            if fd < 0 {
                return fd;
            }
            // An entry belongs to a descriptor that was closed by a raw system call.
            SOCKETS.registry().remove(fd);
            or_closed(fd, confine(fd))
        }
    }
}

/// Binds the UDP socket `fd` to the loopback interface. Where every host may connect it stays free;
/// where the kernel refuses to bind it, it is good for localhost if that is allowed.
fn confine(fd: c_int) -> Result<(), Errno> {
    let settings = runtime::loaded();
    datagrams::remember(fd)?;
    if settings.allow_inbound == Inbound::All {
        return Ok(());
    }
    match net::confine(fd) {
        Err(errno) if settings.allow_outbound_localhost != OutboundLocalhost::All => {
            datagrams::forget(fd);
            refused!(
                Debug,
                Socket,
                "UDP socket refused: it can't be bound to the interface lo ({errno})"
            );
            Err(Refusal::NotAStream.errno())
        }
        _ => Ok(()),
    }
}

fn or_closed(fd: c_int, done: Result<(), Errno>) -> c_int {
    match done {
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
    match policy::open(domain, kind, protocol) {
        // SAFETY: the caller's contract. The kernel makes no pairs of TCP or UDP sockets.
        SocketDecision::Libc | SocketDecision::Track | SocketDecision::Confine => unsafe {
            real::socketpair(domain, kind, protocol, pair)
        },
        SocketDecision::Refuse(refusal) => {
            refused!(
                Debug,
                Socket,
                "socketpair({domain}, {kind:#x}, {protocol}) refused: {refusal}"
            );
            errno::fail(refusal.errno())
        }
    }
}
