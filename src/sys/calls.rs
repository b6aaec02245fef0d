//! The system calls that the library makes for itself.

use core::ptr::NonNull;

use super::{Errno, syscall6};

/// The calling process's id, asked of the kernel each time (a cached one is wrong after `vfork`).
#[inline(always)]
pub fn getpid() -> i32 {
    // SAFETY: getpid takes no argument and can't fail.
    unsafe { syscall6(libc::SYS_getpid, 0, 0, 0, 0, 0, 0) as i32 }
}

/// Closes `fd`.
pub fn close(fd: i32) -> Result<(), Errno> {
    // SAFETY: close takes an integer; the caller owns the descriptor.
    Errno::check(unsafe { syscall6(libc::SYS_close, fd as usize, 0, 0, 0, 0, 0) }).map(drop)
}

/// Maps `length` bytes of private, zeroed memory that the kernel backs only when it is touched.
/// `ENOMEM` when there is no room.
pub fn map_zeroed(length: usize) -> Result<NonNull<u8>, Errno> {
    let protection = (libc::PROT_READ | libc::PROT_WRITE) as usize;
    let flags = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE) as usize;
    let none = usize::MAX; // -1: no file
    // SAFETY: a new mapping at an address of the kernel's choice touches nothing that exists.
    let address = unsafe { syscall6(libc::SYS_mmap, 0, length, protection, flags, none, 0) };
    let address = Errno::check(address)?;
    NonNull::new(core::ptr::with_exposed_provenance_mut(address)).ok_or(Errno(libc::ENOMEM))
}

/// Unmaps what [`map_zeroed`] gave.
///
/// # Safety
/// `address` and `length` are one whole mapping of `map_zeroed`, and nothing points into it.
pub unsafe fn unmap(address: NonNull<u8>, length: usize) {
    // SAFETY: as the caller vouches; the result says nothing that could be acted upon.
    unsafe { syscall6(libc::SYS_munmap, address.as_ptr() as usize, length, 0, 0, 0, 0) };
}

/// Asks the kernel to give a forked child zeroes in place of this memory (`MADV_WIPEONFORK`,
/// Linux 4.14). `EINVAL` where the kernel can't.
pub fn wipe_on_fork(address: NonNull<u8>, length: usize) -> Result<(), Errno> {
    let advice = libc::MADV_WIPEONFORK as usize;
    let address = address.as_ptr() as usize;
    // SAFETY: this process's view of the memory stays as it is.
    Errno::check(unsafe { syscall6(libc::SYS_madvise, address, length, advice, 0, 0, 0) }).map(drop)
}
