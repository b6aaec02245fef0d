//! System calls that take a path: entries of directories. Every function is async-signal-safe.

use core::ffi::CStr;
use core::mem::MaybeUninit;

use super::{Errno, File, effective_user, syscall6};

const HERE: usize = libc::AT_FDCWD as usize;

fn address(path: &CStr) -> usize {
    path.as_ptr() as usize
}

/// Makes the symbolic link `path` that says `text`, if nothing is there: `EEXIST` otherwise, and the
/// other errors of symlink(2).
pub fn make_link(path: &CStr, text: &CStr) -> Result<(), Errno> {
    // SAFETY: both end with a NUL and outlive the call.
    Errno::check(unsafe {
        syscall6(libc::SYS_symlinkat, address(text), HERE, address(path), 0, 0, 0)
    })
    .map(drop)
}

/// Reads the symbolic link `path`, as much as fits into `text`. Errors: those of readlink(2).
pub fn read_link<'t>(path: &CStr, text: &'t mut [u8]) -> Result<&'t [u8], Errno> {
    // SAFETY: the path ends with a NUL; the kernel writes at most `text.len()` bytes.
    let length = Errno::check(unsafe {
        let to = text.as_mut_ptr() as usize;
        syscall6(libc::SYS_readlinkat, HERE, address(path), to, text.len(), 0, 0)
    })?;
    Ok(text.get(..length).unwrap_or_default())
}

/// Puts `from` in the place of `to` at once. Errors: those of rename(2).
pub fn rename(from: &CStr, to: &CStr) -> Result<(), Errno> {
    let (from, to) = (address(from), address(to));
    // SAFETY: both end with a NUL and outlive the call.
    Errno::check(unsafe { syscall6(libc::SYS_renameat2, HERE, from, HERE, to, 0, 0) }).map(drop)
}

/// Removes a file or a link. Errors: those of unlink(2).
pub fn remove(path: &CStr) -> Result<(), Errno> {
    unlink(path, 0)
}

/// Removes an empty directory. Errors: those of rmdir(2).
pub fn remove_directory(path: &CStr) -> Result<(), Errno> {
    unlink(path, libc::AT_REMOVEDIR as usize)
}

fn unlink(path: &CStr, flags: usize) -> Result<(), Errno> {
    // SAFETY: the path ends with a NUL and outlives the call.
    Errno::check(unsafe { syscall6(libc::SYS_unlinkat, HERE, address(path), flags, 0, 0, 0) })
        .map(drop)
}

/// Makes a directory that only the user may enter. Errors: those of mkdir(2).
pub fn make_private_directory(path: &CStr) -> Result<(), Errno> {
    // SAFETY: the path ends with a NUL and outlives the call.
    Errno::check(unsafe { syscall6(libc::SYS_mkdirat, HERE, address(path), 0o700, 0, 0, 0) })
        .map(drop)
}

/// Tells whether `path` is a directory of the effective user that no other user may enter or
/// change. Errors: those of stat(2), mostly `ENOENT`.
pub fn is_private_directory(path: &CStr) -> Result<bool, Errno> {
    let status = status(path)?;
    let is_directory = status.st_mode & libc::S_IFMT == libc::S_IFDIR;
    Ok(is_directory && status.st_mode & 0o077 == 0 && status.st_uid == effective_user())
}

/// The user whose `path` is. Errors: those of stat(2).
pub fn owner(path: &CStr) -> Result<u32, Errno> {
    status(path).map(|status| status.st_uid)
}

/// Of a symbolic link its own.
fn status(path: &CStr) -> Result<libc::stat, Errno> {
    let mut status = MaybeUninit::<libc::stat>::uninit();
    let flags = libc::AT_SYMLINK_NOFOLLOW as usize;
    // SAFETY: the kernel fills the structure, whose layout libc declares as the kernel's own.
    unsafe {
        let to = status.as_mut_ptr() as usize;
        Errno::check(syscall6(libc::SYS_newfstatat, HERE, address(path), to, flags, 0, 0))?;
        Ok(status.assume_init())
    }
}

/// Calls `visit` with the name of each entry of the directory `path` until it answers `false`.
/// Errors: those of open(2) and getdents64(2).
pub fn each_entry(path: &CStr, mut visit: impl FnMut(&CStr) -> bool) -> Result<(), Errno> {
    /// Offsets of the name and of its length in a `linux_dirent64`.
    const NAME: usize = 19;
    const LENGTH: usize = 16;
    let directory = File::open_at(libc::AT_FDCWD, path)?;
    let mut entries = [0u8; 1_024];
    loop {
        // SAFETY: the kernel writes at most as many bytes as there is room for.
        let filled = Errno::check(unsafe {
            let to = entries.as_mut_ptr() as usize;
            let fd = directory.fd() as usize;
            syscall6(libc::SYS_getdents64, fd, to, entries.len(), 0, 0, 0)
        })?;
        let mut rest = entries.get(..filled).unwrap_or_default();
        if rest.is_empty() {
            return Ok(());
        }
        while let Some(length) = rest.get(LENGTH..).and_then(|rest| rest.first_chunk::<2>()) {
            let length = usize::from(u16::from_ne_bytes(*length)).max(NAME);
            let Some((entry, after)) = rest.split_at_checked(length) else { break };
            if let Ok(name) = CStr::from_bytes_until_nul(entry.get(NAME..).unwrap_or_default())
                && !visit(name)
            {
                return Ok(());
            }
            rest = after;
        }
    }
}
