//! The descriptors that a process has open, by raw system calls. Async-signal-safe.

use core::ffi::CStr;
use core::mem::MaybeUninit;

use super::files::status;
use super::{Errno, File, syscall6};

/// Directory in which the kernel lists them.
const DIRECTORY: &CStr = c"/proc/self/fd";
/// Room for some eighty entries of the directory.
const ROOM: usize = 2_048;
/// The offsets of length and name in the kernel's `linux_dirent64`.
const LENGTH: usize = 16;
const NAME: usize = 19;
/// Number of descriptors that are tried without /proc.
const TRIED: i32 = 1_024;
/// Descriptors below this are tried before the directory is listed, which takes longer.
const LOW: i32 = 8;

/// Calls `visit`, which may close what it is given, with every open descriptor.
pub fn each_open_descriptor(mut visit: impl FnMut(i32)) {
    if let Some(last) = count().and_then(last_if_low) {
        return (0..=last).filter(|fd| status(*fd).is_ok()).for_each(visit);
    }
    match File::open_at(libc::AT_FDCWD, DIRECTORY) {
        Ok(directory) => list(&directory, &mut visit),
        Err(_) => (0..TRIED).filter(|fd| status(*fd).is_ok()).for_each(visit),
    }
}

/// The highest of the `count` open descriptors, if it is a low one.
fn last_if_low(count: usize) -> Option<i32> {
    (0..LOW).filter(|fd| status(*fd).is_ok()).nth(count - 1)
}

/// Number of open descriptors, which Linux tells since 6.2.
fn count() -> Option<usize> {
    let mut status = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: the kernel fills the structure, whose layout libc declares as the kernel's own.
    let size = unsafe {
        let (directory, path) = (libc::AT_FDCWD as usize, DIRECTORY.as_ptr() as usize);
        let address = status.as_mut_ptr() as usize;
        Errno::check(syscall6(libc::SYS_newfstatat, directory, path, address, 0, 0, 0)).ok()?;
        status.assume_init().st_size
    };
    usize::try_from(size).ok().filter(|size| *size > 0)
}

fn list(directory: &File, visit: &mut impl FnMut(i32)) {
    let mut room = [0u64; ROOM / 8];
    loop {
        // SAFETY: the kernel writes at most ROOM bytes.
        let read = Errno::check(unsafe {
            let (fd, start) = (directory.fd() as usize, room.as_mut_ptr() as usize);
            syscall6(libc::SYS_getdents64, fd, start, ROOM, 0, 0, 0)
        });
        let Ok(read @ 1..) = read else { return };
        // SAFETY: any bytes are bytes.
        let bytes: &[u8; ROOM] = unsafe { &*room.as_ptr().cast() };
        let mut rest = bytes.get(..read).unwrap_or_default();
        while let Some((entry, tail)) = first_entry(rest) {
            rest = tail;
            if let Some(fd) = number(entry).filter(|fd| *fd != directory.fd()) {
                visit(fd);
            }
        }
    }
}

/// The name of the first entry, and the entries behind it.
fn first_entry(entries: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = u16::from_ne_bytes(*entries.get(LENGTH..)?.first_chunk()?);
    let (entry, tail) = entries.split_at_checked(usize::from(length))?;
    let name = CStr::from_bytes_until_nul(entry.get(NAME..)?).ok()?;
    Some((name.to_bytes(), tail))
}

fn number(name: &[u8]) -> Option<i32> {
    core::str::from_utf8(name).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    #[test]
    fn every_open_descriptor_is_visited() {
        let files: Vec<_> = (0..200).map(|_| std::fs::File::open("/dev/null").unwrap()).collect();
        let mut seen = Vec::new();
        each_open_descriptor(|fd| seen.push(fd));
        assert!(files.iter().all(|file| seen.contains(&file.as_raw_fd())));
        let unique: std::collections::BTreeSet<_> = seen.iter().collect();
        assert_eq!(unique.len(), seen.len());
    }
}
