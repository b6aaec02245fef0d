//! `recvmsg`, `recvmmsg`, `pidfd_getfd`: descriptors of other processes come in.

use core::ffi::c_int;

use epochsocks::ancillary::retain_descriptors;
use epochsocks::config::PassedSockets;
use epochsocks::policy::address::MAX_LENGTH;
use epochsocks::policy::{Address, PassDecision, Refusal, pass as policy};
use epochsocks::registry::Registry;
use epochsocks::sys::{self, net};
use libc::{c_uint, mmsghdr, msghdr, ssize_t, timespec};

use super::arguments::{is_readable, socket_kind};
use super::data;
use super::duplicate::follow;
use crate::log::log;
use crate::registry::{REGISTRY, same_socket};
use crate::{errno, pending, real, runtime};

/// # Safety
/// As recvmsg(2).
pub unsafe fn recvmsg(fd: c_int, message: *mut msghdr, flags: c_int) -> ssize_t {
    // SAFETY: the caller's contract; the kernel has just filled the message.
    unsafe {
        let result = data::recvmsg(fd, message, flags);
        if result >= 0 && is_readable(message) && admit(&mut *message) == PassDecision::Refuse {
            return errno::fail(Refusal::Passed.errno());
        }
        result
    }
}

/// To fail for one message would lose those behind it: a socket that is refused is dropped.
///
/// # Safety
/// As recvmmsg(2).
pub unsafe fn recvmmsg(
    fd: c_int,
    messages: *mut mmsghdr,
    count: c_uint,
    flags: c_int,
    limit: *mut timespec,
) -> c_int {
    // SAFETY: the caller's contract; the kernel has just filled as many messages.
    unsafe {
        let result = data::recvmmsg(fd, messages, count, flags, limit);
        for index in 0..result.max(0) as usize {
            admit(&mut (*messages.add(index)).msg_hdr);
        }
        result
    }
}

/// # Safety
/// As pidfd_getfd(2).
pub unsafe fn pidfd_getfd(process: c_int, target: c_int, flags: c_uint) -> c_int {
    // SAFETY: the caller's contract.
    let fd = unsafe { real::pidfd_getfd(process, target, flags) };
    if fd >= 0 && judge(fd) != PassDecision::Take {
        return errno::fail(Refusal::Passed.errno());
    }
    fd
}

/// Takes the descriptors that are not admitted out of a message that was received, and says what
/// the worst decision was.
///
/// # Safety
/// The kernel has filled the message.
unsafe fn admit(message: &mut msghdr) -> PassDecision {
    if message.msg_control.is_null() || message.msg_controllen == 0 {
        return PassDecision::Take;
    }
    // SAFETY: the kernel has written so many bytes there.
    let control = unsafe {
        core::slice::from_raw_parts_mut(message.msg_control.cast::<u8>(), message.msg_controllen)
    };
    let mut worst = PassDecision::Take;
    let length = retain_descriptors(control, |fd| {
        let decision = judge(fd);
        worst = match (worst, decision) {
            (PassDecision::Refuse, _) | (_, PassDecision::Take) => worst,
            _ => decision,
        };
        decision == PassDecision::Take
    });
    if worst != PassDecision::Take {
        message.msg_controllen = length;
        // As the kernel says it where a security module takes a descriptor out.
        message.msg_flags |= libc::MSG_CTRUNC;
    }
    worst
}

/// Decides on a descriptor that has just come in, and closes it if it is not taken.
fn judge(fd: c_int) -> PassDecision {
    if is_ours_in_flight(fd) {
        return PassDecision::Take;
    }
    // An entry belongs to a descriptor that was closed behind our back.
    REGISTRY.remove(fd);
    let own = || same_socket(fd);
    let kind = socket_kind(fd).ok();
    let is_torified = || own().is_some() || is_connected_to_tor(fd);
    let decision = policy::pass(kind, is_torified, runtime::loaded());
    match decision {
        PassDecision::Take if kind.is_some_and(|kind| kind.is_tcp()) => {
            if let Some(other) = own() {
                follow(other, fd);
            }
        }
        PassDecision::Take => {}
        PassDecision::Drop | PassDecision::Refuse => {
            log!(Warning, "descriptor {fd} closed: {}", Refusal::Passed);
            let _ = sys::close(fd);
        }
    }
    decision
}

fn is_connected_to_tor(fd: c_int) -> bool {
    let settings = runtime::loaded();
    let mut bytes = [0; MAX_LENGTH];
    let peer = net::peer_address(fd, &mut bytes)
        .ok()
        .and_then(|length| bytes.get(..length))
        .map(Address::parse);
    match peer {
        Some(Address::Inet(peer)) => {
            peer.ip().to_canonical() == settings.tor_address && peer.port() == settings.tor_port
        }
        _ => false,
    }
}

/// Whether a socket has come in the middle of its handshake, from a process that shares it with this
/// one by forking, or from this one.
fn is_ours_in_flight(fd: c_int) -> bool {
    matches!(runtime::loaded().passed_sockets, PassedSockets::Torified | PassedSockets::Allow)
        && same_socket(fd).is_none_or(|other| other == fd)
        && pending::adopt(fd)
}
