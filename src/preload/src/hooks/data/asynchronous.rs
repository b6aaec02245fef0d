//! `aio_read`, `aio_write` and `lio_listio`: a thread of libc's own reads and writes, past the hooks. So what
//! the descriptor is, is asked before it begins. A call does not wait: while a handshake is in flight it is
//! EAGAIN.

use core::ffi::c_int;

use epochsocks::sys::Errno;
use libc::{aiocb, sigevent};

use super::{outgoing, transfer};
use crate::{errno, real};

/// `LIO_READ` and `LIO_WRITE` of aio.h.
const READ: c_int = 0;
const WRITE: c_int = 1;

/// # Safety
/// As aio_read(3).
pub unsafe fn aio_read(request: *mut aiocb) -> c_int {
    // SAFETY: the caller's contract.
    unsafe {
        match may_begin(request, READ) {
            Ok(()) => real::aio_read(request),
            Err(errno) => errno::fail(errno),
        }
    }
}

/// # Safety
/// As aio_write(3).
pub unsafe fn aio_write(request: *mut aiocb) -> c_int {
    // SAFETY: the caller's contract.
    unsafe {
        match may_begin(request, WRITE) {
            Ok(()) => real::aio_write(request),
            Err(errno) => errno::fail(errno),
        }
    }
}

/// Begins all of the list or nothing.
///
/// # Safety
/// As lio_listio(3).
pub unsafe fn lio_listio(
    mode: c_int,
    list: *const *mut aiocb,
    count: c_int,
    notification: *mut sigevent,
) -> c_int {
    for index in 0..usize::try_from(count).unwrap_or(0) {
        // SAFETY: the caller's contract: `count` pointers, to requests or null.
        let judged = unsafe {
            let request = *list.add(index);
            if request.is_null() { Ok(()) } else { may_begin(request, (*request).aio_lio_opcode) }
        };
        if let Err(errno) = judged {
            return errno::fail(errno);
        }
    }
    // SAFETY: the caller's contract.
    unsafe { real::lio_listio(mode, list, count, notification) }
}

/// Tells whether libc's thread may carry `request` out, or why not.
///
/// # Safety
/// It can be read.
unsafe fn may_begin(request: *const aiocb, operation: c_int) -> Result<(), Errno> {
    // SAFETY: the caller's contract.
    let fd = unsafe { (*request).aio_fildes };
    match operation {
        READ => transfer::ready_now(fd),
        WRITE => outgoing::may_write_apart(fd),
        // libc does nothing for these, or refuses them.
        _ => Ok(()),
    }
}
