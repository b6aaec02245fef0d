//! The program that a bare name stands for, as execvp(3) finds it. Async-signal-safe.

use core::ffi::CStr;

use epochsocks::bytes::Bytes;
use epochsocks::sys::Errno;

use crate::environment::current;

/// Where libc looks when there is no PATH (`confstr(_CS_PATH)`).
const DEFAULT_PATH: &[u8] = b"/bin:/usr/bin";
/// The longest path that the kernel takes, with its NUL.
const LONGEST: usize = 4_096;

/// Judges the first candidate that exists and may be executed, relative to `start`: `file` itself if
/// it has a slash, or the file of that name in each directory of PATH. Errors: `judge`'s, and execvp's `ENOENT`,
/// `EACCES`, `ENAMETOOLONG`.
pub fn search(
    start: i32,
    file: &CStr,
    mut judge: impl FnMut(&CStr) -> Result<(), Errno>,
) -> Result<(), Errno> {
    let name = file.to_bytes();
    if name.contains(&b'/') {
        return judge(file);
    }
    if name.is_empty() {
        return Err(Errno(libc::ENOENT));
    }
    let mut failure = Errno(libc::ENOENT);
    for directory in current().get("PATH").unwrap_or(DEFAULT_PATH).split(|byte| *byte == b':') {
        match candidate(start, directory, name, &mut judge) {
            // libc goes on behind these.
            Err(Errno(libc::ENOENT | libc::ENOTDIR | libc::ESTALE | libc::ENODEV)) => {}
            Err(Errno(libc::EACCES)) => failure = Errno(libc::EACCES),
            decided => return decided,
        }
    }
    Err(failure)
}

fn candidate(
    start: i32,
    directory: &[u8],
    name: &[u8],
    judge: &mut impl FnMut(&CStr) -> Result<(), Errno>,
) -> Result<(), Errno> {
    let mut path = Bytes::<LONGEST>::EMPTY;
    let separator: &[u8] = if directory.is_empty() { b"" } else { b"/" };
    let fits = [directory, separator, name, b"\0"].iter().all(|part| path.extend(part));
    match CStr::from_bytes_until_nul(path.as_slice()) {
        Ok(path) if fits => {
            epochsocks::sys::may_execute(start, path)?;
            judge(path)
        }
        _ => Err(Errno(libc::ENAMETOOLONG)),
    }
}
