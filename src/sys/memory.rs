//! Memory from the kernel, and memory of the program that a hook was called by.

use core::ffi::c_char;
use core::ptr::NonNull;

use super::{Errno, map, syscall6};

/// The smallest page size there is: what holds for one byte holds for the rest of its page.
const PAGE: usize = 4_096;

/// Maps `size` zero bytes that forked children share and that cost nothing until they are touched.
/// `ENOMEM` as mmap(2). Async-signal-safe.
pub fn map_shared(size: usize) -> Result<NonNull<u8>, Errno> {
    map(size, libc::MAP_SHARED)
}

/// Copies bytes of the program's memory at `source` into `target`: `EFAULT` where there is no
/// memory, as of the kernel, instead of a fault. Async-signal-safe.
///
/// # Safety
/// As for any reader, no other thread unmaps the bytes meanwhile.
#[inline]
pub unsafe fn copy_from_program(source: *const u8, target: &mut [u8]) -> Result<(), Errno> {
    each_page(source.addr(), target.len(), probe)?;
    // SAFETY: every page has just been read from, and the caller vouches for the time since.
    unsafe { core::ptr::copy_nonoverlapping(source, target.as_mut_ptr(), target.len()) };
    Ok(())
}

/// Copies `bytes` to the program's memory at `target`: `EFAULT` where nothing can be written, as of
/// the kernel, instead of a fault; then nothing is. Async-signal-safe.
///
/// # Safety
/// As for any writer: the bytes are the caller's to write, and no other thread unmaps them meanwhile.
#[inline(always)]
pub unsafe fn copy_to_program(bytes: &[u8], target: *mut u8) -> Result<(), Errno> {
    each_page(target.addr(), bytes.len(), probe_for_writing)?;
    // SAFETY: every page has just been written to, and the caller vouches for the rest.
    unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), target, bytes.len()) };
    Ok(())
}

/// Tells whether `length` bytes of the program's memory at `start` can be written.
/// Async-signal-safe.
#[inline(always)]
pub fn may_write(start: *const u8, length: usize) -> bool {
    each_page(start.addr(), length, probe_for_writing).is_ok()
}

/// Asks `probe` for each page that the bytes lie in. The page that this function's own frame lies in
/// can be read and written: the kernel is not asked for it, and most arguments of system calls are there.
#[inline(always)]
fn each_page(start: usize, length: usize, probe: Probe) -> Result<(), Errno> {
    if is_on_stack_page(start, length) {
        return Ok(());
    }
    each_other_page(start, length, probe)
}

/// Tells whether `length` bytes at `start` lie on the page of the stack pointer, where they can be read and
/// written. Async-signal-safe.
#[inline(always)]
pub fn is_beside_stack(start: *const u8, length: usize) -> bool {
    is_on_stack_page(start.addr(), length)
}

#[inline(always)]
fn is_on_stack_page(start: usize, length: usize) -> bool {
    (start ^ stack_pointer()) < PAGE && length <= PAGE - start % PAGE
}

#[inline(never)]
fn each_other_page(start: usize, length: usize, probe: Probe) -> Result<(), Errno> {
    let Some(more) = length.checked_sub(1) else { return Ok(()) };
    let last = start.checked_add(more).ok_or(Errno(libc::EFAULT))?;
    let next_pages = (start / PAGE + 1..=last / PAGE).map(|page| page * PAGE);
    core::iter::once(start).chain(next_pages).try_for_each(probe)
}

/// Probe of the page of an address, for a read or for a write.
type Probe = fn(usize) -> Result<(), Errno>;

/// An address in the frame of the caller.
#[inline(always)]
fn stack_pointer() -> usize {
    let here = 0u8;
    core::hint::black_box(&raw const here).addr()
}

/// Counts the bytes that can be read of `length` bytes of the program's memory at `start`; pages
/// that follow each other count as a whole. Async-signal-safe.
pub fn readable_bytes(start: *const u8, length: usize) -> usize {
    let first = start.addr();
    let Some(last) = first.checked_add(length.saturating_sub(1)).filter(|_| length > 0) else {
        return 0;
    };
    if (first ^ stack_pointer()) < PAGE && (last ^ stack_pointer()) < PAGE {
        return length;
    }
    let next_pages = (first / PAGE + 1..=last / PAGE).map(|page| page * PAGE);
    match core::iter::once(first).chain(next_pages).find(|page| probe(*page).is_err()) {
        Some(unreadable) => unreadable - first,
        None => length,
    }
}

/// C strings of the program's memory, which are asked for before they are read.
#[derive(Default)]
pub struct ProgramStrings {
    /// The page that was asked for last; that of address 0 is never readable.
    page: usize,
}

impl ProgramStrings {
    /// Tells whether there is a string at `start`: all of it can be read, up to its NUL.
    /// Async-signal-safe.
    ///
    /// # Safety
    /// As for any reader, no other thread unmaps the bytes meanwhile.
    pub unsafe fn has(&mut self, start: *const c_char) -> bool {
        let mut next = start;
        loop {
            if !self.may_read(next.addr()) {
                return false;
            }
            for _ in next.addr() % PAGE..PAGE {
                // SAFETY: the page has been read from, and the caller vouches for the time since.
                if unsafe { next.read() } == 0 {
                    return true;
                }
                next = next.wrapping_add(1);
            }
        }
    }

    /// Tells whether `array`, unless it is null, can be read up to the null pointer that ends it,
    /// with all its strings. Async-signal-safe.
    ///
    /// # Safety
    /// As [`ProgramStrings::has`].
    pub unsafe fn have(&mut self, array: *const *const c_char) -> bool {
        let mut next = array;
        while !next.is_null() {
            let last = next.addr().wrapping_add(size_of_val(&next) - 1);
            if !self.may_read(next.addr()) || !self.may_read(last) {
                return false;
            }
            // SAFETY: as in `has`.
            let string = unsafe { next.read_unaligned() };
            if string.is_null() {
                break;
            }
            // SAFETY: the caller's contract.
            if !unsafe { self.has(string) } {
                return false;
            }
            next = next.wrapping_add(1);
        }
        true
    }

    fn may_read(&mut self, address: usize) -> bool {
        let page = address / PAGE;
        let is_readable = page != 0 && (page == self.page || probe(address).is_ok());
        if is_readable {
            self.page = page;
        }
        is_readable
    }
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

/// Lets the kernel write the aligned half of a word that holds `address`: it adds no bit to it, in one
/// step, as for a futex(2) of which it may have to change the value (`FUTEX_WAKE_OP`). Who sleeps on
/// that half may wake, which sleepers must expect at any time.
fn probe_for_writing(address: usize) -> Result<(), Errno> {
    /// Or with 0 (linux/futex.h), and wake if it was less than 0.
    const NOTHING: usize =
        (libc::FUTEX_OP_OR as usize) << 28 | (libc::FUTEX_OP_CMP_LT as usize) << 24;
    // No thread sleeps on it.
    let unused = 0u32;
    let operation = (libc::FUTEX_WAKE_OP | libc::FUTEX_PRIVATE_FLAG) as usize;
    let half = address & !3;
    // SAFETY: a word of ours is looked at, and the half stays as it is.
    let written = Errno::check(unsafe {
        syscall6(libc::SYS_futex, (&raw const unused) as usize, operation, 0, 0, half, NOTHING)
    });
    match written {
        Err(Errno(libc::EFAULT)) => Err(Errno(libc::EFAULT)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{map_zeroed, unmap};

    #[test]
    fn memory_that_cannot_be_written_is_efault_and_the_rest_stays_as_it_is() {
        let three = map_zeroed(3 * PAGE).unwrap();
        let start = three.as_ptr();
        // SAFETY: a mapping that is this test's own.
        unsafe {
            start.write_bytes(b'x', 3 * PAGE);
            let protected = libc::mprotect(start.add(PAGE).cast(), PAGE, libc::PROT_READ);
            assert_eq!(protected, 0);
            unmap(three.add(2 * PAGE), PAGE);
        }
        let copy = |bytes: &[u8], offset| {
            // SAFETY: as above.
            unsafe { copy_to_program(bytes, start.wrapping_add(offset)) }
        };
        assert_eq!(copy(b"abc", PAGE - 3), Ok(()));
        for offset in [PAGE - 2, PAGE, PAGE + 5, 2 * PAGE - 1, 2 * PAGE, 2 * PAGE + 7] {
            assert_eq!(copy(b"123", offset), Err(Errno(libc::EFAULT)), "{offset}");
            assert!(!may_write(start.wrapping_add(offset), 3));
        }
        assert_eq!(copy(b"", 2 * PAGE), Ok(()));
        for nowhere in [0, 7, usize::MAX - 1, usize::MAX / 2, 1 << 63] {
            // SAFETY: no other thread maps anything there.
            let copied = unsafe { copy_to_program(b"abc", nowhere as *mut u8) };
            assert_eq!(copied, Err(Errno(libc::EFAULT)), "{nowhere:#x}");
        }
        // SAFETY: the first page is as long.
        let page = unsafe { core::slice::from_raw_parts(start, PAGE) };
        assert!(page[..PAGE - 3].iter().all(|byte| *byte == b'x') && page.ends_with(b"abc"));
    }

    #[test]
    fn what_lies_on_the_stack_is_copied_whichever_page_it_is_on() {
        // More than a page, so that some of it is beside the stack pointer and some is not.
        let mut large = [0u8; 3 * PAGE];
        for offset in (0..large.len() - 8).step_by(8) {
            let mut copy = [1; 8];
            let place = (&raw mut large[offset]).cast::<u8>();
            // SAFETY: eight bytes of ours.
            unsafe {
                copy_to_program(&[7; 8], place).unwrap();
                copy_from_program(place, &mut copy).unwrap();
            }
            assert_eq!(copy, [7; 8]);
        }
    }

    #[test]
    fn unmapped_memory_is_efault() {
        let mut target = [0; 16];
        for nowhere in [0, 7, 16, usize::MAX - 3, usize::MAX / 2] {
            // SAFETY: no other thread maps anything there.
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

    #[test]
    fn strings_and_arrays_are_read_as_far_as_there_is_memory() {
        let two = map_zeroed(2 * PAGE).unwrap();
        // SAFETY: the first page of a mapping that is this test's own; the second one goes.
        let end = unsafe {
            unmap(two.add(PAGE), PAGE);
            two.as_ptr().write_bytes(b'a', PAGE);
            two.as_ptr().add(PAGE)
        };
        assert_eq!(readable_bytes(end.wrapping_sub(8), 8), 8);
        assert_eq!(readable_bytes(end.wrapping_sub(8), 9), 8);
        assert_eq!(readable_bytes(end, 1), 0);
        assert_eq!(readable_bytes(core::ptr::null(), 1), 0);
        let open: *const c_char = end.wrapping_sub(4).cast();
        let has = |string| {
            // SAFETY: no other thread unmaps the memory.
            unsafe { ProgramStrings::default().has(string) }
        };
        let have = |array: &[*const c_char]| {
            // SAFETY: as above.
            unsafe { ProgramStrings::default().have(array.as_ptr()) }
        };
        assert!(!has(open) && !has(end.cast()) && !has(core::ptr::null()));
        assert!(!have(&[c"text".as_ptr(), open, core::ptr::null()]));
        // SAFETY: the last byte of the page.
        unsafe { end.sub(1).write(0) };
        assert!(has(open) && has(c"text".as_ptr()));
        assert!(have(&[c"text".as_ptr(), open, core::ptr::null(), end.cast()]));
        assert!(!have(&[end.cast(), core::ptr::null()]));
        // SAFETY: as above.
        unsafe { assert!(ProgramStrings::default().have(core::ptr::null())) };
        // SAFETY: as above; the array goes on where nothing is.
        unsafe { assert!(!ProgramStrings::default().have(end.wrapping_sub(8).cast())) };
    }
}
