//! The directory of a launch and its entries: symbolic links that lead nowhere and say something.
//!
//! symlink(2) makes an entry whole or not at all, and one of two that make the same entry gets
//! `EEXIST`: no lock, no half-written record, no descriptor that a program could close, and nothing
//! that a process which was stopped could hold. Each call is async-signal-safe.

use core::ffi::CStr;
use core::fmt::Write;

use super::Launch;
use crate::bytes::Bytes;
use crate::sys::{self, Errno, paths};

/// The longest path of an entry, with its NUL.
const LONGEST_PATH: usize = 96;
/// The longest text of an entry.
pub const LONGEST_TEXT: usize = 511;

/// A path, ending with a NUL.
pub(super) type Path = Bytes<LONGEST_PATH>;

/// Directories in which a launch may have its own, the best first. Each is in memory on nearly every
/// machine, or at least emptied when it starts; /run/user/UID is the user's alone.
#[derive(Clone, Copy, Debug)]
pub(super) enum Parent {
    Runtime,
    Memory,
    Temporary,
}

impl Parent {
    pub(super) const ALL: [Parent; 3] = [Parent::Runtime, Parent::Memory, Parent::Temporary];

    pub(super) fn path(self) -> Path {
        let mut path = Path::EMPTY;
        // Each is much shorter than the room.
        let _ = match self {
            Parent::Runtime => write!(path, "/run/user/{}", sys::effective_user()),
            Parent::Memory => path.write_str("/dev/shm"),
            Parent::Temporary => path.write_str("/tmp"),
        };
        path
    }
}

/// Start of the name of a launch's directory; its number follows.
pub(super) const PREFIX: &str = "/epochsocks-";

/// Place of the entries, in the launch's directory: others can see how much is in a directory, and
/// when it has changed, if they may enter the one around it.
pub(super) const ENTRIES: &str = "entries";

/// The file that says which process the launch began with.
pub(super) const FIRST: &str = "first";

/// The text of an entry.
pub type Text = Bytes<LONGEST_TEXT>;

/// Directory that the processes of a launch, and of one user, share. The kernel admits no other
/// user: each call is made with the ids that the process has at that moment, and nothing is kept
/// open or mapped from one call to the next.
#[derive(Clone, Copy, Debug)]
pub struct Store {
    pub(super) launch: Launch,
}

impl Store {
    /// The store of `launch`, which is looked for at each call and made by the first entry.
    pub const fn of(launch: Launch) -> Store {
        Store { launch }
    }

    /// Reads the entry `name`, if it exists.
    pub fn read(self, name: &str) -> Option<Text> {
        read(&entry(self.find()?, name)?)
    }

    /// Makes the entry `name` say `text`, unless it says something already: that. Errors: `EINVAL` for a
    /// text that is empty, too long or has a NUL; `EACCES` where no directory can be made or entered;
    /// those of symlink(2).
    pub fn make(self, name: &str, text: &[u8]) -> Result<Option<Text>, Errno> {
        let text = c_text(text)?;
        let directory = self.find_or_make()?;
        let path = entry(directory, name).ok_or(Errno(libc::ENAMETOOLONG))?;
        match paths::make_link(c_path(&path)?, c_str(&text)?) {
            Ok(()) => Ok(None),
            // It is never removed while the launch lives.
            Err(Errno(libc::EEXIST)) => read(&path).map(Some).ok_or(Errno(libc::EIO)),
            Err(errno) => Err(errno),
        }
    }

    /// Makes the entry `name` say `text`, whatever it says now. Errors: as for [`Store::make`].
    pub fn replace(self, name: &str, text: &[u8]) -> Result<(), Errno> {
        let text = c_text(text)?;
        let directory = self.find_or_make()?;
        let path = entry(directory, name).ok_or(Errno(libc::ENAMETOOLONG))?;
        // A name of this thread's own for the moment.
        let mut own = Bytes::<16>::EMPTY;
        let written = write!(own, "t{:x}", crate::sys::gettid());
        let own = core::str::from_utf8(own.as_slice()).ok().filter(|_| written.is_ok());
        let fresh = own.and_then(|own| entry(directory, own)).ok_or(Errno(libc::ENAMETOOLONG))?;
        let fresh = c_path(&fresh)?;
        // One that is there is a killed thread's, or that of a call which this one has interrupted.
        let _ = paths::remove(fresh);
        paths::make_link(fresh, c_str(&text)?)?;
        paths::rename(fresh, c_path(&path)?)
    }

    /// Calls `look` with the text of the entry `name`, without a copy: some stacks are small. `None` if
    /// there is none.
    pub fn look_at<T>(self, name: &str, look: impl FnOnce(&[u8]) -> T) -> Option<T> {
        let path = entry(self.find()?, name)?;
        let mut text = [0; LONGEST_TEXT];
        Some(look(paths::read_link(c_path(&path).ok()?, &mut text).ok()?))
    }

    /// Removes the entry `name` if it is there and `is_meant` says so of its text.
    pub fn remove_if(self, name: &str, is_meant: impl FnOnce(&[u8]) -> bool) {
        let Some(path) = self.find().and_then(|directory| entry(directory, name)) else { return };
        if read(&path).is_some_and(|text| is_meant(text.as_slice()))
            && let Ok(path) = c_path(&path)
        {
            let _ = paths::remove(path);
        }
    }

    /// The launch's directory in `parent`, whether or not it is there, with its NUL.
    pub(super) fn directory(self, parent: Parent) -> Path {
        let mut path = parent.path();
        // As above.
        let _ = write!(path, "{PREFIX}{:016x}\0", self.launch.id);
        path
    }

    /// The launch's directory, if it is there and the user's own.
    pub(super) fn find(self) -> Option<Path> {
        for parent in Parent::ALL {
            let path = self.directory(parent);
            if is_ours(&path) == Ok(true) {
                return Some(path);
            }
        }
        None
    }

    /// The launch's directory, with one for the entries in it. A frame of its own, as above.
    #[inline(never)]
    fn find_or_make(self) -> Result<Path, Errno> {
        let make = || Parent::ALL.into_iter().find_map(|parent| self.make_directory(parent));
        let directory = self.find().or_else(make).ok_or(Errno(libc::EACCES))?;
        let entries = inside(directory, ENTRIES).ok_or(Errno(libc::ENAMETOOLONG))?;
        match paths::make_private_directory(c_path(&entries)?) {
            Ok(()) | Err(Errno(libc::EEXIST)) => Ok(directory),
            Err(errno) => Err(errno),
        }
    }

    /// In a frame of its own, as some stacks are small.
    #[inline(never)]
    fn make_directory(self, parent: Parent) -> Option<Path> {
        let path = self.directory(parent);
        match paths::make_private_directory(c_path(&path).ok()?) {
            Ok(()) => {
                // Of two processes that make it at once both say the same.
                let mut first = Bytes::<16>::EMPTY;
                write!(first, "{}", self.launch.first).ok()?;
                let said = c_text(first.as_slice()).ok()?;
                let _ = paths::make_link(c_path(&inside(path, FIRST)?).ok()?, c_str(&said).ok()?);
            }
            Err(Errno(libc::EEXIST)) => {}
            Err(_) => return None,
        }
        // Another user's is not taken.
        (is_ours(&path) == Ok(true)).then_some(path)
    }
}

/// Visits the store of each launch, also of those that are over or of another user: what is read from
/// those is nothing.
pub(super) fn each(mut visit: impl FnMut(Store)) {
    for parent in Parent::ALL {
        let mut path = parent.path();
        if !path.extend(b"\0") {
            continue;
        }
        let Ok(parent) = c_path(&path) else { continue };
        let _ = paths::each_entry(parent, |name| {
            let id = name.to_bytes().strip_prefix(PREFIX.trim_start_matches('/').as_bytes());
            let id = id.filter(|id| id.len() == 16).and_then(|id| core::str::from_utf8(id).ok());
            if let Some(id) = id.and_then(|id| u64::from_str_radix(id, 16).ok()) {
                // Whom it began with is said in it.
                visit(Store::of(Launch { id, first: 0 }));
            }
            true
        });
    }
}

fn is_ours(directory: &Path) -> Result<bool, Errno> {
    paths::is_private_directory(c_path(directory)?)
}

/// The path of the entry `name` of the launch whose directory is `directory`, with its NUL.
pub(super) fn entry(directory: Path, name: &str) -> Option<Path> {
    inside(inside(directory, ENTRIES)?, name)
}

/// The path of `name` in `directory`, with its NUL.
pub(super) fn inside(directory: Path, name: &str) -> Option<Path> {
    let parts: [&[u8]; 4] =
        [directory.as_slice().strip_suffix(b"\0")?, b"/", name.as_bytes(), b"\0"];
    let mut path = Path::EMPTY;
    parts.iter().all(|part| path.extend(part)).then_some(path)
}

fn read(path: &Path) -> Option<Text> {
    let mut text = [0; LONGEST_TEXT];
    let text = paths::read_link(c_path(path).ok()?, &mut text).ok()?;
    Text::new(text)
}

pub(super) fn c_path(path: &Path) -> Result<&CStr, Errno> {
    CStr::from_bytes_with_nul(path.as_slice()).map_err(|_| Errno(libc::ENAMETOOLONG))
}

type Terminated = Bytes<{ LONGEST_TEXT + 1 }>;

fn c_text(text: &[u8]) -> Result<Terminated, Errno> {
    let mut copy = Terminated::EMPTY;
    let fits = !text.is_empty() && copy.extend(text) && copy.extend(b"\0");
    if fits { Ok(copy) } else { Err(Errno(libc::EINVAL)) }
}

fn c_str(text: &Terminated) -> Result<&CStr, Errno> {
    CStr::from_bytes_with_nul(text.as_slice()).map_err(|_| Errno(libc::EINVAL))
}
