//! An exec: its file, its arguments and the process that makes it. Async-signal-safe.
#![allow(clippy::result_large_err)] // The reason names a path, and there is no allocator.

use core::ffi::CStr;
use core::fmt;

use epochsocks::config::Environment;
use epochsocks::helper::{Helper, is_helper, is_helper_at};
use epochsocks::policy::exec::chain;
use epochsocks::program::Facts;
use epochsocks::sys::{self, Errno, File};

use super::note::Note;
use crate::runtime;

/// The arguments and the environment of an exec.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    /// The arguments, in the form of an environment block.
    pub arguments: Environment<'a>,
    /// The environment with what protects the program.
    pub environment: Environment<'a>,
    /// The process that executes it.
    pub by: By<'a>,
}

/// The process that executes a program.
#[derive(Clone, Copy)]
pub enum By<'a> {
    /// The process that calls: its threads share its table of descriptors.
    Caller,
    /// A child of ours, in whose own table half-connected sockets are withheld already. What the user is
    /// to know is noted, for the parent to tell: the child's standard error may be another file.
    Child(&'a Note),
}

/// The file that is to be executed.
#[derive(Clone, Copy)]
pub enum Target<'a> {
    /// The file at a path, relative to a directory or [`libc::AT_FDCWD`].
    Path(i32, &'a CStr),
    /// The file behind a descriptor.
    Descriptor(i32),
}

impl Target<'_> {
    /// Opens the file for reading.
    pub fn open(self) -> Result<File, Errno> {
        match self {
            Target::Path(directory, path) => File::open_at(directory, path),
            Target::Descriptor(fd) => File::reopen(fd),
        }
    }

    /// Inspects the file.
    pub fn inspect(self) -> Result<Facts, Errno> {
        match self {
            Target::Path(directory, path) => chain::inspect(directory, path),
            Target::Descriptor(fd) => Facts::of_descriptor(fd),
        }
    }

    /// The helper that the settings let run unprotected, if it is one.
    pub fn helper(self) -> Option<Helper> {
        let settings = runtime::loaded();
        match self {
            Target::Path(directory, path) => is_helper_at(directory, path, settings),
            Target::Descriptor(fd) => is_helper(fd, settings),
        }
    }

    /// Tells whether the kernel would execute it, as far as its mode says.
    pub fn may_execute(self) -> bool {
        matches!(self, Target::Path(directory, path) if sys::may_execute(directory, path).is_ok())
    }

    /// The last part of its path.
    pub fn name(&self) -> &[u8] {
        let path = match self {
            Target::Path(_, path) => path.to_bytes(),
            Target::Descriptor(_) => b"",
        };
        path.rsplit(|&byte| byte == b'/').next().unwrap_or_default()
    }
}

impl fmt::Display for Target<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Path(_, path) => Text(path).fmt(f),
            Target::Descriptor(fd) => write!(f, "the file behind descriptor {fd}"),
        }
    }
}

/// A path as text, whatever its bytes.
pub struct Text<'a>(pub &'a CStr);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.to_bytes().escape_ascii().fmt(f)
    }
}
