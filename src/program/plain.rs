//! Plain values at a place of a file.

use core::mem::{MaybeUninit, size_of};

use libc::{Elf64_Ehdr, Elf64_Phdr, Elf64_Shdr};

use super::ReadAt;
use crate::bytes::Plain;
use crate::sys::Errno;

// SAFETY: integers and arrays of integers, C layout.
unsafe impl Plain for Elf64_Ehdr {}
// SAFETY: as above.
unsafe impl Plain for Elf64_Phdr {}
// SAFETY: as above.
unsafe impl Plain for Elf64_Shdr {}
// SAFETY: as above.
unsafe impl Plain for u32 {}
// SAFETY: as above.
unsafe impl Plain for [u32; 3] {}

/// Reads entry `index` of a table of `T` that starts at `table`; `None` if it is not there.
pub(super) fn entry<T: Plain>(
    file: &(impl ReadAt + ?Sized),
    table: u64,
    index: u64,
) -> Result<Option<T>, Errno> {
    match table.checked_add(index * size_of::<T>() as u64) {
        Some(offset) => read(file, offset),
        None => Ok(None),
    }
}

/// Reads a `T` at `offset`; `None` if the file ends before. An offset that the kernel calls
/// invalid (beyond the largest file) is past the end as well.
pub(super) fn read<T: Plain>(
    file: &(impl ReadAt + ?Sized),
    offset: u64,
) -> Result<Option<T>, Errno> {
    let mut value = MaybeUninit::<T>::zeroed();
    // SAFETY: `value` owns size_of::<T>() initialised bytes, borrowed for this statement alone.
    let bytes =
        unsafe { core::slice::from_raw_parts_mut(value.as_mut_ptr().cast::<u8>(), size_of::<T>()) };
    match file.read_at(bytes, offset) {
        // SAFETY: T is Plain: whatever was read is a value of it.
        Ok(count) if count == size_of::<T>() => Ok(Some(unsafe { value.assume_init() })),
        Ok(_) | Err(Errno(libc::EINVAL)) => Ok(None),
        Err(errno) => Err(errno),
    }
}
