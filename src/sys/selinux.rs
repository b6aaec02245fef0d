//! The SELinux contexts of threads and files, and the kernel's own answers about the policy (selinuxfs). Raw
//! system calls; every function is async-signal-safe.

use core::ffi::CStr;
use core::fmt::Write;

use super::{Errno, File, write};
use crate::bytes::Bytes;

/// The security context of a thread or a file, without a NUL.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Context(Bytes<{ Context::CAPACITY }>);

impl Context {
    /// Bytes of the longest context that is understood, with its NUL.
    pub const CAPACITY: usize = 512;

    /// The context that the kernel has written, with or without a NUL. Errors: `ENAMETOOLONG`.
    pub fn read(text: &[u8]) -> Result<Context, Errno> {
        let end = text.iter().position(|byte| matches!(byte, 0 | b'\n')).unwrap_or(text.len());
        let text = text.get(..end).filter(|_| text.len() < Context::CAPACITY);
        text.and_then(Bytes::new).map(Context).ok_or(Errno(libc::ENAMETOOLONG))
    }

    /// Its bytes.
    pub fn as_slice(&self) -> &[u8] {
        self.0.as_slice()
    }
}

/// Those that decide on the security domain of the program that a thread executes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeftTo {
    /// The thread, which has named an AppArmor profile or an SELinux context.
    Thread,
    /// The policy of SELinux.
    Policy,
    /// Nothing that can be known here.
    Unknown,
}

/// Tells what decides on the domain of the next exec. One file is read: where SELinux is in force it is empty,
/// and without SELinux there is no answer (`EINVAL`).
pub fn exec_domain() -> LeftTo {
    let mut byte = [0];
    let count = File::open_at(libc::AT_FDCWD, c"/proc/thread-self/attr/exec")
        .and_then(|file| file.read(&mut byte));
    match count {
        Ok(0) => LeftTo::Policy,
        Ok(_) => LeftTo::Thread,
        Err(_) => LeftTo::Unknown,
    }
}

/// The context of the calling thread. Errors: those of openat(2) and read(2); `ENAMETOOLONG`.
pub fn own_context() -> Result<Context, Errno> {
    let mut text = [0; Context::CAPACITY];
    let file = File::open_at(libc::AT_FDCWD, c"/proc/thread-self/attr/current")?;
    let length = file.read(&mut text)?;
    Context::read(text.get(..length).unwrap_or_default())
}

/// Writes `question` to the file `name` of selinuxfs, unless it is empty, and reads the answer. Errors:
/// `ENOENT` without such a file; those of openat(2), write(2) and read(2).
pub fn ask(name: &str, question: &[u8], answer: &mut [u8]) -> Result<usize, Errno> {
    let mut path = Bytes::<128>::EMPTY;
    let written = write!(path, "/sys/fs/selinux/{name}\0").is_ok();
    let path = CStr::from_bytes_until_nul(path.as_slice()).ok().filter(|_| written);
    let path = path.ok_or(Errno(libc::ENAMETOOLONG))?;
    if question.is_empty() {
        return File::open_at(libc::AT_FDCWD, path)?.read(answer);
    }
    let file = File::open_for_both_at(libc::AT_FDCWD, path)?;
    write(file.fd(), question)?;
    file.read(answer)
}
