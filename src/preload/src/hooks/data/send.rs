//! `sendto`, `sendmsg`, `sendmmsg`: a destination that rides on data is judged like connect's, and
//! ancillary data that would lead a datagram elsewhere like setsockopt's.

use core::ffi::{c_int, c_void};
use core::net::SocketAddr;

use epochsocks::ancillary::messages;
use epochsocks::policy::option::ancillary;
use epochsocks::policy::socket::stays_local;
use epochsocks::policy::{Address, SendDecision, send as policy};
use epochsocks::sys::net::Answer;
use epochsocks::sys::{Errno, readable_bytes};
use libc::{c_uint, mmsghdr, msghdr, size_t, sockaddr, socklen_t, ssize_t};

use super::passed_descriptors::tell_descriptors;
use super::{outgoing, transfer};
use crate::hooks::arguments::{
    AddressArgument, has_control, is_readable, put_value, socket_kind, with_control,
};
use crate::hooks::sockets::connect::connect;
use crate::log::refused;
use crate::{errno, real, runtime};

/// As many messages as the kernel takes in one call (`UIO_MAXIOV`).
const MOST_MESSAGES: c_uint = 1_024;

/// # Safety
/// As sendto(2).
pub unsafe fn sendto(
    fd: c_int,
    bytes: *const c_void,
    size: size_t,
    flags: c_int,
    address: *const sockaddr,
    length: socklen_t,
) -> ssize_t {
    if address.is_null() || length == 0 {
        // Fast Open needs an address; without one the kernel refuses it.
        return match outgoing::way(fd) {
            // SAFETY: the caller's contract.
            Ok(outgoing::Way::Kernel) => unsafe {
                transfer::sendto(fd, bytes, size, flags, address, length)
            },
            // SAFETY: as above.
            Ok(outgoing::Way::NameServer(domain, server)) => unsafe {
                outgoing::ask(fd, domain, server, outgoing::one(bytes, size))
            },
            Err(errno) => errno::fail(errno),
        };
    }
    // SAFETY: the caller's contract; the address is a whole copy.
    unsafe {
        match judge(fd, flags, address, length) {
            Err(errno) => errno::fail(errno),
            Ok(Way::Plain(copy)) => {
                transfer::sendto(fd, bytes, size, flags, copy.as_ptr(), copy.length())
            }
            Ok(Way::Local) => transfer::sendto(fd, bytes, size, flags, address, length),
            Ok(Way::Connected) => {
                let flags = flags & !libc::MSG_FASTOPEN;
                transfer::sendto(fd, bytes, size, flags, core::ptr::null(), 0)
            }
            Ok(Way::NameServer(domain, server)) => {
                outgoing::ask(fd, domain, server, outgoing::one(bytes, size))
            }
        }
    }
}

/// # Safety
/// As sendmsg(2).
pub unsafe fn sendmsg(fd: c_int, message: *const msghdr, flags: c_int) -> ssize_t {
    if readable_bytes(message.cast(), size_of::<msghdr>()) < size_of::<msghdr>() {
        // SAFETY: the caller's contract.
        return unsafe { real::sendmsg(fd, message, flags) };
    }
    // SAFETY: the caller's contract; the address is a whole copy.
    unsafe {
        if has_control(message)
            && let Err(errno) = look_at_control(fd, message)
        {
            return errno::fail(errno);
        }
        if !has_address(message) {
            return match outgoing::way(fd) {
                Ok(outgoing::Way::Kernel) => transfer::sendmsg(fd, message, flags),
                Ok(outgoing::Way::NameServer(domain, server)) => {
                    outgoing::ask(fd, domain, server, pieces(message))
                }
                Err(errno) => errno::fail(errno),
            };
        }
        let mut header = *message;
        match judge(fd, flags, header.msg_name.cast(), header.msg_namelen) {
            Err(errno) => errno::fail(errno),
            Ok(Way::Plain(copy)) => {
                header.msg_name = copy.as_ptr().cast_mut().cast();
                transfer::sendmsg(fd, &header, flags)
            }
            Ok(Way::Local) => transfer::sendmsg(fd, message, flags),
            Ok(Way::Connected) => {
                header.msg_name = core::ptr::null_mut();
                header.msg_namelen = 0;
                transfer::sendmsg(fd, &header, flags & !libc::MSG_FASTOPEN)
            }
            Ok(Way::NameServer(domain, server)) => {
                outgoing::ask(fd, domain, server, pieces(message))
            }
        }
    }
}

/// # Safety
/// As sendmmsg(2).
pub unsafe fn sendmmsg(fd: c_int, messages: *mut mmsghdr, count: c_uint, flags: c_int) -> c_int {
    // As many as can be read: the kernel stops there as well.
    let bytes = count.min(MOST_MESSAGES) as usize * size_of::<mmsghdr>();
    let readable = readable_bytes(messages.cast(), bytes) / size_of::<mmsghdr>();
    if readable == 0 {
        // SAFETY: the caller's contract.
        return unsafe { real::sendmmsg(fd, messages, count, flags) };
    }
    let count = readable as c_uint;
    // SAFETY: the caller's contract: `count` messages.
    unsafe {
        let is_plain = |index| {
            let message = &raw const (*messages.add(index)).msg_hdr;
            !has_address(message) && !has_control(message)
        };
        if (0..count as usize).all(is_plain) {
            match outgoing::way(fd) {
                Ok(outgoing::Way::Kernel) => transfer::sendmmsg(fd, messages, count, flags),
                Ok(outgoing::Way::NameServer(..)) => each(fd, messages, count, flags),
                Err(errno) => errno::fail(errno),
            }
        } else {
            // One by one: `sendmsg` judges, and tells of sockets.
            each(fd, messages, count, flags)
        }
    }
}

/// One message after the other, until one fails; that is told if it is the first.
///
/// # Safety
/// `count` messages.
unsafe fn each(fd: c_int, messages: *mut mmsghdr, count: c_uint, flags: c_int) -> c_int {
    let saved = errno::get();
    for index in 0..count as usize {
        // SAFETY: the caller's contract.
        let sent = unsafe {
            let message = messages.add(index);
            let sent = sendmsg(fd, &raw const (*message).msg_hdr, flags);
            match c_uint::try_from(sent).map(|sent| put_value(&sent, &raw mut (*message).msg_len)) {
                Ok(Err(errno)) => errno::fail(errno),
                _ => sent,
            }
        };
        if sent < 0 {
            if index == 0 {
                return -1;
            }
            errno::set(saved);
            return index as c_int;
        }
    }
    count as c_int
}

/// # Safety
/// As for sendmsg(2); what can't be read has no address that could be judged or used.
unsafe fn has_address(message: *const msghdr) -> bool {
    // SAFETY: the caller's contract.
    is_readable(message) && unsafe { !(*message).msg_name.is_null() && (*message).msg_namelen != 0 }
}

/// Place of the data of a message.
///
/// # Safety
/// As for sendmsg(2).
unsafe fn pieces(message: *const msghdr) -> outgoing::Pieces {
    if !is_readable(message) {
        return outgoing::Pieces::Many(core::ptr::null(), 1);
    }
    // SAFETY: the caller's contract.
    unsafe { outgoing::Pieces::Many((*message).msg_iov, (*message).msg_iovlen) }
}

/// Tells where the descriptors in the control data of `message` lead, and says why a datagram is not
/// sent with
/// them. errno is left alone.
///
/// # Safety
/// As for sendmsg(2).
#[cold]
unsafe fn look_at_control(fd: c_int, message: *const msghdr) -> Result<(), Errno> {
    let look = |control: &[u8]| {
        tell_descriptors(control);
        messages(control).find_map(|part| ancillary(part.level, part.kind, part.data))
    };
    // SAFETY: the caller's contract.
    let looked = unsafe { with_control(message, look) };
    // TCP does not look at what concerns the way of a packet.
    let may_be_datagram = || match socket_kind(fd) {
        Answer::Is(kind) => kind.is_inet() && !kind.is_tcp(),
        Answer::NotASocket(_) => false,
        Answer::Unknown(_) => true,
    };
    match looked.map(Option::flatten) {
        Ok(Some(refusal)) if may_be_datagram() => {
            refused!(Warning, Data, "datagram with ancillary data refused: {refusal}");
            Err(refusal.errno())
        }
        Err(errno) if may_be_datagram() => Err(errno),
        // Without memory nothing is told of a socket; what can't be read does not go.
        _ => Ok(()),
    }
}

enum Way {
    /// No address of the socket's family leaves the machine.
    Local,
    /// The kernel ignores or refuses the address, or it may be reached.
    Plain(AddressArgument),
    /// Fast Open: the socket was connected through Tor, and the data follows.
    Connected,
    /// A question for this name server, by a socket of this family.
    NameServer(c_int, SocketAddr),
}

/// # Safety
/// `address` has `length` bytes.
unsafe fn judge(
    fd: c_int,
    flags: c_int,
    address: *const sockaddr,
    length: socklen_t,
) -> Result<Way, Errno> {
    let kind = match socket_kind(fd) {
        Answer::Is(kind) => kind,
        Answer::NotASocket(errno) | Answer::Unknown(errno) => return Err(errno),
    };
    if stays_local(kind.domain) {
        return Ok(Way::Local);
    }
    // SAFETY: the caller's contract.
    let copy = unsafe { AddressArgument::copy(address, length)? };
    let is_fast_open = flags & libc::MSG_FASTOPEN != 0;
    match policy::send(kind, copy.parse(), is_fast_open, runtime::loaded()) {
        // TCP does not look at the address.
        SendDecision::Libc if kind.is_tcp() => outgoing::way(fd).map(|_| Way::Plain(copy)),
        SendDecision::Libc => Ok(Way::Plain(copy)),
        SendDecision::NameServer(server) => Ok(Way::NameServer(kind.domain, server)),
        // SAFETY: a whole copy.
        SendDecision::ConnectFirst => match unsafe { connect(fd, copy.as_ptr(), copy.length()) } {
            0 => Ok(Way::Connected),
            _ => Err(Errno(errno::get())),
        },
        SendDecision::Refuse(refusal) => {
            match copy.parse() {
                Address::Inet(destination) => outgoing::refuse(destination, refusal),
                _ => refused!(Warning, Data, "data with an address refused: {refusal}"),
            }
            Err(refusal.errno())
        }
    }
}
