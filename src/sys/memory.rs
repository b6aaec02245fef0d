//! Memory from the kernel, and memory of the program that a hook was called by.

use super::{Errno, getpid, syscall6};
use core::ptr::NonNull;

/// Maps `size` zero bytes that forked children share and that cost nothing until they are touched.
/// `ENOMEM` as mmap(2). Async-signal-safe.
pub fn map_shared(size: usize) -> Result<NonNull<u8>, Errno> {
    map(size, libc::MAP_SHARED)
}

/// Maps `size` zero bytes of this process's own, which cost nothing until they are touched.
/// `ENOMEM` as mmap(2). Async-signal-safe.
pub fn map_zeroed(size: usize) -> Result<NonNull<u8>, Errno> {
    map(size, libc::MAP_PRIVATE)
}

fn map(size: usize, sharing: i32) -> Result<NonNull<u8>, Errno> {
    let protection = (libc::PROT_READ | libc::PROT_WRITE) as usize;
    let flags = (sharing | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE) as usize;
    // SAFETY: a fresh anonymous mapping touches no existing memory.
    let address = Errno::check(unsafe {
        syscall6(libc::SYS_mmap, 0, size, protection, flags, usize::MAX, 0)
    })?;
    NonNull::new(core::ptr::with_exposed_provenance_mut(address)).ok_or(Errno(libc::ENOMEM))
}

/// Asks the kernel to give a forked child zeroes in place of this memory (`MADV_WIPEONFORK`,
/// Linux 4.14). `EINVAL` where the kernel can't.
pub fn wipe_on_fork(address: NonNull<u8>, length: usize) -> Result<(), Errno> {
    let advice = libc::MADV_WIPEONFORK as usize;
    let address = address.as_ptr() as usize;
    // SAFETY: this process's view of the memory stays as it is.
    Errno::check(unsafe { syscall6(libc::SYS_madvise, address, length, advice, 0, 0, 0) }).map(drop)
}

/// Unmaps what a map call gave. Async-signal-safe.
///
/// # Safety
/// `start` and `size` are a whole mapping that nobody uses any more.
pub unsafe fn unmap(start: NonNull<u8>, size: usize) {
    // SAFETY: the caller vouches for the mapping; munmap of a whole mapping can't fail.
    unsafe { syscall6(libc::SYS_munmap, start.as_ptr() as usize, size, 0, 0, 0, 0) };
}

/// Copies `length` bytes at most from the program's memory at `source` into `target`, as the kernel
/// would: `EFAULT` where there is no memory, instead of a fault. Async-signal-safe.
///
/// # Safety
/// Where the kernel lacks process_vm_readv(2) or forbids it, a `source` that is not null is read
/// directly: it must have the bytes.
pub unsafe fn copy_from_program(source: *const u8, target: &mut [u8]) -> Result<(), Errno> {
    let local = libc::iovec { iov_base: target.as_mut_ptr().cast(), iov_len: target.len() };
    let remote = libc::iovec { iov_base: source.cast_mut().cast(), iov_len: target.len() };
    // SAFETY: the kernel writes at most `target.len()` bytes to `target` and checks `source`.
    let copied = Errno::check(unsafe {
        syscall6(
            libc::SYS_process_vm_readv,
            getpid() as usize,
            &raw const local as usize,
            1,
            &raw const remote as usize,
            1,
            0,
        )
    });
    match copied {
        Ok(count) if count == target.len() => Ok(()),
        Ok(_) | Err(Errno(libc::EFAULT)) => Err(Errno(libc::EFAULT)),
        // A kernel or a filter without the call: read as the hook's caller promised we may.
        Err(_) if !source.is_null() => {
            // SAFETY: the C contract of the hooked function: `source` has that many bytes.
            unsafe { core::ptr::copy_nonoverlapping(source, target.as_mut_ptr(), target.len()) };
            Ok(())
        }
        Err(_) => Err(Errno(libc::EFAULT)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unmapped_memory_is_efault() {
        let mut target = [0; 16];
        // SAFETY: the kernel has process_vm_readv.
        let unmapped = unsafe { copy_from_program(16 as *const u8, &mut target) };
        assert_eq!(unmapped, Err(Errno(libc::EFAULT)));
        // SAFETY: sixteen bytes.
        let mapped = unsafe { copy_from_program(b"sixteen bytes ok".as_ptr(), &mut target) };
        assert_eq!(mapped, Ok(()));
        assert_eq!(&target, b"sixteen bytes ok");
    }
}
