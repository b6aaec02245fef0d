//! Memory from the kernel, and memory of the program that a hook was called by.

use super::{Errno, syscall6};
use core::ptr::NonNull;

/// The smallest page size there is: what holds for one byte holds for the rest of its page.
const PAGE: usize = 4_096;

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

/// Whether this is a child of vfork or of `CLONE_VM`, which has its parent's memory: it has no other
/// thread, and somebody else has its memory. unshare(2) tells: it refuses `CLONE_THREAD` to a process
/// that has threads and `CLONE_VM` to one whose memory others have, and else changes nothing. `None`
/// where a filter forbids the call. Async-signal-safe.
pub fn is_vfork_child() -> Option<bool> {
    let is_refused = |what: i32| {
        // SAFETY: there is nothing to unshare for the only thread, the only user of its memory.
        let result = unsafe { syscall6(libc::SYS_unshare, what as usize, 0, 0, 0, 0, 0) };
        match Errno::check(result) {
            Ok(_) => Some(false),
            Err(Errno(libc::EINVAL)) => Some(true),
            Err(_) => None,
        }
    };
    Some(!is_refused(libc::CLONE_THREAD)? && is_refused(libc::CLONE_VM)?)
}

/// Unmaps what a map call gave. Async-signal-safe.
///
/// # Safety
/// `start` and `size` are a whole mapping that nobody uses any more.
pub unsafe fn unmap(start: NonNull<u8>, size: usize) {
    // SAFETY: the caller vouches for the mapping; munmap of a whole mapping can't fail.
    unsafe { syscall6(libc::SYS_munmap, start.as_ptr() as usize, size, 0, 0, 0, 0) };
}

/// Copies bytes of the program's memory at `source` into `target`: `EFAULT` where there is no
/// memory, as of the kernel, instead of a fault. Async-signal-safe.
///
/// # Safety
/// As for any reader, no other thread unmaps the bytes meanwhile.
pub unsafe fn copy_from_program(source: *const u8, target: &mut [u8]) -> Result<(), Errno> {
    let first = source.addr();
    let last = first.checked_add(target.len().saturating_sub(1)).ok_or(Errno(libc::EFAULT))?;
    if !target.is_empty() {
        let next_pages = (first / PAGE + 1..=last / PAGE).map(|page| page * PAGE);
        core::iter::once(first).chain(next_pages).try_for_each(probe)?;
    }
    // SAFETY: every page has just been read from, and the caller vouches for the time since.
    unsafe { core::ptr::copy_nonoverlapping(source, target.as_mut_ptr(), target.len()) };
    Ok(())
}

/// Lets the kernel read the aligned word that holds `address`: it copies a signal mask before it
/// refuses to change the mask in a way that does not exist. An eighth of the time of
/// process_vm_readv(2), and no filter forbids it.
fn probe(address: usize) -> Result<(), Errno> {
    let (no_way, word) = (usize::MAX, address & !7);
    if word == 0 {
        // "No mask" to the kernel.
        return Err(Errno(libc::EFAULT));
    }
    // SAFETY: changes nothing.
    match Errno::check(unsafe { syscall6(libc::SYS_rt_sigprocmask, no_way, word, 0, 8, 0, 0) }) {
        Err(Errno(libc::EFAULT)) => Err(Errno(libc::EFAULT)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unmapped_memory_is_efault() {
        let mut target = [0; 16];
        for nowhere in [0, 7, 16, usize::MAX - 3, usize::MAX / 2] {
            // SAFETY: nobody maps anything there.
            let copied = unsafe { copy_from_program(nowhere as *const u8, &mut target) };
            assert_eq!(copied, Err(Errno(libc::EFAULT)), "{nowhere:#x}");
        }
        // SAFETY: sixteen bytes.
        let mapped = unsafe { copy_from_program(b"sixteen bytes ok".as_ptr(), &mut target) };
        assert_eq!(mapped, Ok(()));
        assert_eq!(&target, b"sixteen bytes ok");
    }

    #[test]
    fn bytes_that_reach_into_an_unmapped_page_are_efault() {
        let two = map_zeroed(2 * PAGE).unwrap();
        // SAFETY: the second page of a mapping that is this test's own.
        unsafe { unmap(two.add(PAGE), PAGE) };
        let (near, mut target) = (two.as_ptr().wrapping_add(PAGE - 8), [1; 8]);
        // SAFETY: the first page stays mapped; the second is asked of the kernel.
        let [inside, across] = unsafe {
            [
                copy_from_program(near, &mut target),
                copy_from_program(near.wrapping_add(1), &mut target),
            ]
        };
        assert_eq!((inside, across), (Ok(()), Err(Errno(libc::EFAULT))));
        assert_eq!(target, [0; 8]);
    }
}
