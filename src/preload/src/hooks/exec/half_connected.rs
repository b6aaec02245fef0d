//! Sockets whose connect is under way: a program that is executed could neither finish nor use them, so
//! it does not get them. Async-signal-safe.

use epochsocks::registry::Registry;
use epochsocks::sys::{self, Errno, net};

use crate::scratch::with_words;
use crate::sockets::{SOCKETS, none_in_flight};

/// Runs `exec`, which executes a program and comes back only with the reason why not. Half-connected
/// sockets are closed on exec meanwhile. Another thread may close such a number and open another file
/// there, or set the flag itself: what is not the socket that was seen, or not as it was left, stays as
/// it is.
pub fn withheld(exec: impl FnOnce() -> Errno) -> Errno {
    if none_in_flight() {
        return exec();
    }
    mark_all(exec)
}

#[cold]
#[inline(never)]
fn mark_all(exec: impl FnOnce() -> Errno) -> Errno {
    let pending = || SOCKETS.entries().1.filter(|fd| SOCKETS.drive(*fd).is_pending());
    with_words(2 * pending().count(), |marks| {
        let mut places = marks.chunks_exact_mut(2);
        for fd in pending() {
            let Some(id) = pending_at(fd) else { continue };
            let Some([number, identity]) = places.next() else { break };
            if mark(fd, id) {
                // An id is never 0.
                (*number, *identity) = (fd as u64, id);
            }
        }
        let errno = exec();
        for mark in marks.chunks_exact(2) {
            if let [number, identity] = *mark
                && identity != 0
            {
                unmark(number as i32, identity);
            }
        }
        errno
    })
    .unwrap_or_else(|errno| errno)
}

/// The id of the socket `fd`, if its entry is of that socket and its connect is under way. Nothing is
/// driven.
fn pending_at(fd: i32) -> Option<u64> {
    let pending = |record: &epochsocks::sockets::Record| {
        record.progress().is_pending().then_some(record.id().0)
    };
    let id = SOCKETS.registry().borrow(fd, pending).flatten()?;
    is_socket(fd, id).then_some(id)
}

fn is_socket(fd: i32, id: u64) -> bool {
    net::cookie(fd) == Ok(id)
}

/// Lets an exec close `fd`; says whether that is to be taken back.
fn mark(fd: i32, id: u64) -> bool {
    if sys::set_close_on_exec(fd, true) != Ok(false) {
        return false;
    }
    let is_still = is_socket(fd, id);
    if !is_still {
        // Closed between the look and the mark, which another file has got.
        let _ = sys::set_close_on_exec(fd, false);
    }
    is_still
}

fn unmark(fd: i32, id: u64) {
    if is_socket(fd, id) && sys::is_close_on_exec(fd) == Ok(true) {
        let _ = sys::set_close_on_exec(fd, false);
    }
}

/// Tells whether the file behind `fd`, a number in the calling process's own table of descriptors,
/// is a half-connected socket, whatever numbers its entries have.
pub fn is_half_connected(fd: i32) -> bool {
    let pending = |id: u64| {
        SOCKETS.entries().1.any(|other| {
            let is_it = SOCKETS
                .registry()
                .borrow(other, |record| record.id().0 == id && record.progress().is_pending());
            is_it == Some(true)
        })
    };
    !none_in_flight() && net::cookie(fd).is_ok_and(pending)
}

/// Lets the exec of a child whose table of descriptors is its own close each half-connected socket. The
/// child must not drive a handshake: its numbers are not those of the registry for long.
pub fn withhold_in_child() {
    if none_in_flight() {
        return;
    }
    for fd in SOCKETS.entries().1.filter(|fd| pending_at(*fd).is_some()) {
        let _ = sys::set_close_on_exec(fd, true);
    }
}

/// Looks at each handshake in flight, so that a child gets what is connected by now.
pub fn drive_all() {
    if !none_in_flight() {
        SOCKETS.entries().1.for_each(|fd| _ = SOCKETS.drive(fd));
    }
}
