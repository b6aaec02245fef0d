//! `dup`, `dup2`, `dup3`, `fcntl(F_DUPFD)`: one record, several descriptors.

use core::ffi::{c_int, c_long};

use epochsocks::registry::{InsertError, Registry};
use epochsocks::sockets::{Copying, Number};
use epochsocks::sys::{Errno, own_descriptors};

use super::dup_over::replaced;
use super::tables;
use crate::hooks::data::outgoing;
use crate::log::log;
use crate::sockets::SOCKETS;
use crate::{datagrams, errno, harmless, real};

/// # Safety
/// As dup(2).
pub unsafe fn dup(fd: c_int) -> c_int {
    // SAFETY: the caller's contract.
    copied(fd, Number::Free, || unsafe { real::dup(fd) })
}

/// # Safety
/// As dup2(2).
pub unsafe fn dup2(source: c_int, target: c_int) -> c_int {
    // SAFETY: the caller's contract.
    replace(source, target, || unsafe { real::dup2(source, target) })
}

/// # Safety
/// As dup3(2).
pub unsafe fn dup3(source: c_int, target: c_int, flags: c_int) -> c_int {
    // SAFETY: the caller's contract.
    replace(source, target, || unsafe { real::dup3(source, target, flags) })
}

/// # Safety
/// As fcntl(2).
pub unsafe fn fcntl(fd: c_int, command: c_int, argument: c_long) -> c_int {
    // SAFETY: the caller's contract.
    let call = || unsafe { real::fcntl(fd, command, argument) };
    match command {
        libc::F_DUPFD | libc::F_DUPFD_CLOEXEC => copied(fd, Number::Free, call),
        _ => call(),
    }
}

/// Runs `call`, which answers another name of `source` or a failure. Whatever a handler or another
/// thread does meanwhile to either descriptor, the copy's entry is of the socket that it names.
fn copied(source: c_int, number: Number, call: impl FnOnce() -> c_int) -> c_int {
    let copying = SOCKETS.begin_copy(source, number);
    let copy = call();
    if copying.is_none() {
        // The call may have closed what another thread's call has just made. That one sees this, or else its entry is
        // seen below.
        SOCKETS.note_close();
    }
    if copy >= 0 && copy != source {
        harmless::follow(source, copy);
        if datagrams::exist() {
            datagrams::follow(source, copy);
        }
    }
    let is_strange = copying.is_none()
        && !SOCKETS.registry().contains(source)
        && !SOCKETS.registry().contains(copy);
    if copy >= 0 && !is_strange {
        note(source, copy, copying.as_ref(), !tables::numbers_hold());
    }
    if let Some(copying) = copying {
        SOCKETS.end_copy(copying);
    }
    copy
}

/// Makes the registry see that `copy` is another name of what `source` names.
pub fn follow(source: c_int, copy: c_int) {
    let copying = SOCKETS.begin_copy(source, Number::Free);
    note(source, copy, copying.as_ref(), true);
    if let Some(copying) = copying {
        SOCKETS.end_copy(copying);
    }
}

fn note(source: c_int, copy: c_int, copying: Option<&Copying>, is_doubted: bool) {
    match SOCKETS.copied(source, copy, copying, is_doubted) {
        // A vfork child keeps no entries, and needs none for the program that it executes.
        Ok(_) | Err(InsertError::Foreign) => {}
        Err(why) => log!(
            Warning,
            Socket,
            "descriptor {copy} is not tracked ({why:?}): its peer address will be Tor's"
        ),
    }
}

/// Runs `call`, which closes `target` if it succeeds.
fn replace(source: c_int, target: c_int, call: impl FnOnce() -> c_int) -> c_int {
    if source == target {
        return call();
    }
    if own_descriptors::contains(target) {
        // dup(2): what a race with a thread that is about to use the number gives; it is free soon.
        return errno::fail(Errno(libc::EBUSY));
    }
    if matches!(target, libc::STDOUT_FILENO | libc::STDERR_FILENO)
        && let Err(errno) = outgoing::may_write_unseen(source)
    {
        // libc writes to these inside.
        return errno::fail(errno);
    }
    replaced([target], || copied(source, Number::Chosen, call))
}
