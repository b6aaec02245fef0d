//! `recvmsg`, `recvmmsg`, `pidfd_getfd`: descriptors of other processes come in.

use core::ffi::c_int;

use epochsocks::ancillary::retain_descriptors;
use epochsocks::config::PassedSockets;
use epochsocks::policy::pass::{self as policy, Provenance};
use epochsocks::policy::{PassDecision, Refusal};
use epochsocks::registry::Registry;
use epochsocks::sys::{self, net::Answer};
use libc::{c_uint, mmsghdr, msghdr, ssize_t, timespec};

use super::incoming;
use crate::hooks::arguments::{is_readable, passed_kind};
use crate::hooks::descriptors::duplicate::follow;
use crate::log::refused;
use crate::sockets::SOCKETS;
use crate::{destination_tag, errno, harmless, real, runtime};

/// # Safety
/// As recvmsg(2).
pub unsafe fn recvmsg(fd: c_int, message: *mut msghdr, flags: c_int) -> ssize_t {
    // SAFETY: the caller's contract; the kernel has just filled the message.
    unsafe {
        let result = incoming::recvmsg(fd, message, flags);
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
        let result = incoming::recvmmsg(fd, messages, count, flags, limit);
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
    // SAFETY: the kernel has written that many bytes there.
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
    // Of another file, which was closed by a raw system call.
    harmless::remove(fd);
    let settings = runtime::loaded();
    if settings.passed_sockets == PassedSockets::Allow && !SOCKETS.is_used() {
        // It is taken in any case, and it is not a socket of this process.
        return PassDecision::Take;
    }
    let kind = passed_kind(fd);
    let is_tcp = matches!(kind, Answer::Is(kind) if kind.is_tcp());
    // An entry belongs to a descriptor that was closed by a raw system call.
    SOCKETS.forget(fd);
    let own = if is_tcp { SOCKETS.same_socket(fd) } else { None };
    let provenance = if is_tcp { provenance(fd, own) } else { Provenance::Unknown };
    let decision = policy::pass(kind, provenance, settings);
    match (decision, own) {
        (PassDecision::Take, Some(own)) => follow(own, fd),
        (PassDecision::Take, None) => {}
        (PassDecision::Drop | PassDecision::Refuse, _) => {
            refused!(Warning, Passed, "descriptor {fd} closed: {}", Refusal::Passed);
            let _ = sys::close(fd);
        }
    }
    decision
}

/// Finds out where the TCP socket `fd` comes from; `own` is another descriptor of it in this
/// process. A socket with a tag of another program gets its record.
fn provenance(fd: c_int, own: Option<c_int>) -> Provenance {
    let is_connected = |own| SOCKETS.registry().borrow(own, |record| record.connection().is_some());
    match own {
        Some(own) if is_connected(own) == Some(true) => Provenance::Proved,
        Some(_) => Provenance::Likely,
        None if destination_tag::adopt(fd).is_some() => Provenance::Proved,
        None if destination_tag::leads_to_tor(fd) => Provenance::Likely,
        None => Provenance::Unknown,
    }
}
