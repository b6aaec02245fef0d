//! `aio_read`, `aio_write` and `lio_listio`: a thread of libc's own reads and writes, past the hooks. So what
//! the descriptor is, is asked before it begins; so of io_submit(2), for which libc has no function. A call does not wait: while a handshake is in flight it is
//! EAGAIN.

use core::ffi::{c_int, c_long, c_void};

use epochsocks::sys::Errno;
use libc::{aiocb, sigevent};

use super::{outgoing, transfer};
use crate::hooks::arguments::value_at;
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

/// A request of io_submit(2), `struct iocb` of linux/aio_abi.h up to its descriptor.
#[repr(C)]
#[derive(Clone, Copy)]
struct KernelRequest {
    data: u64,
    key: u32,
    flags: u32,
    operation: u16,
    priority: i16,
    fd: u32,
}

/// `IOCB_CMD_PREAD` and `IOCB_CMD_PREADV`, `IOCB_CMD_PWRITE` and `IOCB_CMD_PWRITEV` of linux/aio_abi.h.
const KERNEL_READS: [u16; 2] = [0, 7];
const KERNEL_WRITES: [u16; 2] = [1, 8];

/// Tells whether the kernel may carry out the requests of io_submit(2), or why not. It begins all or nothing; what
/// can't be read is left to the kernel, which stops there.
///
/// # Safety
/// As io_submit(2).
pub unsafe fn may_submit(count: c_long, list: *const *const c_void) -> Result<(), Errno> {
    for index in 0..usize::try_from(count).unwrap_or(0) {
        // SAFETY: the caller's contract; pointers and plain data.
        let request = unsafe {
            let Ok(Some(request)) = value_at(list.wrapping_add(index)) else { return Ok(()) };
            value_at(request.cast::<KernelRequest>())
        };
        let Ok(Some(request)) = request else { return Ok(()) };
        let fd = request.fd as c_int;
        if KERNEL_WRITES.contains(&request.operation) {
            outgoing::may_write_apart(fd)?;
        } else if KERNEL_READS.contains(&request.operation) {
            transfer::ready_now(fd)?;
        }
    }
    Ok(())
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
