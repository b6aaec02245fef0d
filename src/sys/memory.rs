//! Memory from the kernel.

use super::{Errno, syscall6};
use core::ptr::NonNull;

/// Maps `size` zero bytes that forked children share and that cost nothing until they are touched.
/// `ENOMEM` as mmap(2). Async-signal-safe.
pub fn map_shared(size: usize) -> Result<NonNull<u8>, Errno> {
    let protection = (libc::PROT_READ | libc::PROT_WRITE) as usize;
    let flags = (libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE) as usize;
    // SAFETY: a fresh anonymous mapping touches no existing memory.
    let address = Errno::check(unsafe {
        syscall6(libc::SYS_mmap, 0, size, protection, flags, usize::MAX, 0)
    })?;
    NonNull::new(core::ptr::with_exposed_provenance_mut(address)).ok_or(Errno(libc::ENOMEM))
}

/// Unmaps what a map call gave. Async-signal-safe.
///
/// # Safety
/// `start` and `size` are a whole mapping that nobody uses any more.
pub unsafe fn unmap(start: NonNull<u8>, size: usize) {
    // SAFETY: the caller vouches for the mapping; munmap of a whole mapping can't fail.
    unsafe { syscall6(libc::SYS_munmap, start.as_ptr() as usize, size, 0, 0, 0, 0) };
}
