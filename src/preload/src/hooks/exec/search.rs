//! The files that a bare name stands for, as execvp(3) tries them. Async-signal-safe.

use core::ffi::CStr;

use epochsocks::bytes::Bytes;
use epochsocks::sys::Errno;

use crate::environment::current;

/// Directories in which libc looks when there is no PATH (`confstr(_CS_PATH)`).
const DEFAULT_PATH: &[u8] = b"/bin:/usr/bin";
/// The longest path that the kernel takes, with its NUL.
const LONGEST: usize = 4_096;
/// The longest name of a file.
const LONGEST_NAME: usize = 255;

/// Calls `execute` with `file` itself if it has a slash, or with the file of that name in each
/// directory of PATH, until one answers what is not for the next to mend. `execute` comes back only
/// with an errno: of these libc goes on behind `ENOENT`, `ESTALE`, `ENOTDIR`, `ENODEV`, `ETIMEDOUT` and
/// `EACCES`, of which the last is told in the end.
pub fn each_candidate(file: &CStr, mut execute: impl FnMut(&CStr) -> Errno) -> Errno {
    let name = file.to_bytes();
    if name.contains(&b'/') {
        return execute(file);
    }
    if name.is_empty() {
        return Errno(libc::ENOENT);
    }
    if name.len() > LONGEST_NAME {
        return Errno(libc::ENAMETOOLONG);
    }
    let (mut last, mut is_forbidden) = (Errno(libc::ENOENT), false);
    for directory in current().get("PATH").unwrap_or(DEFAULT_PATH).split(|byte| *byte == b':') {
        let mut path = Bytes::<LONGEST>::EMPTY;
        let separator: &[u8] = if directory.is_empty() { b"" } else { b"/" };
        let fits = [directory, separator, name, b"\0"].iter().all(|part| path.extend(part));
        last = match CStr::from_bytes_until_nul(path.as_slice()) {
            Ok(path) if fits => execute(path),
            // libc passes over such a directory, too.
            _ if directory.len() >= LONGEST => continue,
            _ => Errno(libc::ENAMETOOLONG),
        };
        match last.0 {
            libc::EACCES => is_forbidden = true,
            libc::ENOENT | libc::ESTALE | libc::ENOTDIR | libc::ENODEV | libc::ETIMEDOUT => {}
            _ => return last,
        }
    }
    if is_forbidden { Errno(libc::EACCES) } else { last }
}
