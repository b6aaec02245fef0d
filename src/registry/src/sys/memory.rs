//! Memory from the kernel.

use core::ptr::NonNull;

use super::{Errno, syscall6};

/// Maps `size` zero bytes of this process's own, which cost nothing until they are touched.
/// `ENOMEM` as mmap(2). Async-signal-safe.
pub fn map_zeroed(size: usize) -> Result<NonNull<u8>, Errno> {
    map(size, libc::MAP_PRIVATE)
}

/// The least size of a huge page of any architecture.
const HUGE_PAGE: usize = 2 << 20;

/// Maps `size` zero bytes, `MAP_PRIVATE` or `MAP_SHARED`. `ENOMEM` as mmap(2). Async-signal-safe.
///
/// A large mapping is touched here and there only: the kernel is asked to give it no huge pages, which it would
/// zero and keep for a few bytes each (`transparent_hugepage/enabled` is `always` in Debian).
pub fn map(size: usize, sharing: i32) -> Result<NonNull<u8>, Errno> {
    let protection = (libc::PROT_READ | libc::PROT_WRITE) as usize;
    let flags = (sharing | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE) as usize;
    // SAFETY: a fresh anonymous mapping touches no existing memory.
    let address = Errno::check(unsafe {
        syscall6(libc::SYS_mmap, 0, size, protection, flags, usize::MAX, 0)
    })?;
    if size >= HUGE_PAGE {
        let advice = libc::MADV_NOHUGEPAGE as usize;
        // EINVAL of a kernel that has none.
        // SAFETY: the fresh mapping; what it holds stays as it is.
        unsafe { syscall6(libc::SYS_madvise, address, size, advice, 0, 0, 0) };
    }
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

/// Tells whether this is a child of vfork or of `CLONE_VM`, which has its parent's memory: it has
/// no other thread, and another process has its memory. unshare(2) shows that: it refuses
/// `CLONE_THREAD` to a process that has threads and `CLONE_VM` to one whose memory others have, and
/// else changes nothing. `None` where a filter forbids the call. Async-signal-safe.
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
/// `start` and `size` are a whole mapping that no thread uses any more.
pub unsafe fn unmap(start: NonNull<u8>, size: usize) {
    // SAFETY: the caller vouches for the mapping; munmap of a whole mapping can't fail.
    unsafe { syscall6(libc::SYS_munmap, start.as_ptr() as usize, size, 0, 0, 0, 0) };
}

#[cfg(all(test, not(crossbeam_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_large_mapping_gets_no_huge_pages() {
        if !std::path::Path::new("/sys/kernel/mm/transparent_hugepage").exists() {
            return;
        }
        let memory = map_zeroed(4 << 20).expect("there is memory");
        let smaps = std::fs::read_to_string("/proc/self/smaps").expect("it can be read");
        let range_of = |line: &str| {
            let (start, end) = line.split(' ').next()?.split_once('-')?;
            let number = |text| usize::from_str_radix(text, 16).ok();
            Some(number(start)?..number(end)?)
        };
        let holds = |line: &&str| range_of(line).is_some_and(|r| r.contains(&memory.addr().get()));
        let mut lines = smaps.lines().skip_while(|line| !holds(line));
        let flags = lines.find(|line| line.starts_with("VmFlags:")).expect("each has flags");
        assert!(flags.contains(" nh"), "{flags}");
        // SAFETY: the whole mapping, which no other thread knows.
        unsafe { unmap(memory, 4 << 20) };
    }
}
