//! The end of a launch: its last process removes what was written down, and the next launch what a
//! killed one has left.

use core::ffi::CStr;
use core::fmt::Write;
use core::ptr::{NonNull, null_mut};
use core::sync::atomic::{AtomicPtr, Ordering::Relaxed};
use core::time::Duration;

use super::id::VARIABLE;
use super::store::{self, ENTRIES, FIRST, Path, Store, c_path, inside};
use crate::bytes::Bytes;
use crate::sys::{self, Errno, File, paths, time};

/// An empty file that each process which uses the store has locked.
const LOCK: &str = "lock";

/// A page of that file. It can't be read, and holds the lock: a lock by flock(2) goes with the last
/// reference to the open file, and the mapping is one. It needs no descriptor, forked children have
/// it too, and the kernel drops it with the process, however that ends. Its value guards nothing
/// else: Relaxed.
static HELD: AtomicPtr<u8> = AtomicPtr::new(null_mut());

/// Length of a mapping.
const PAGE: usize = 4_096;

impl Store {
    /// Lets the entries stay while this process lives. Does nothing if that is so already, or if
    /// there is no entry yet. Async-signal-safe.
    pub fn hold(self) {
        if !HELD.load(Relaxed).is_null() {
            return;
        }
        let lock = || {
            let path = inside(self.find()?, LOCK)?;
            let file = File::lock_file(c_path(&path).ok()?).ok()?;
            // Another process may have it for a moment, to see whether it gets it: then the next call does.
            file.lock_shared().ok()?;
            file.map_nothing(PAGE).ok()
        };
        let Some(page) = lock() else { return };
        if HELD.compare_exchange(null_mut(), page.as_ptr(), Relaxed, Relaxed).is_err() {
            // SAFETY: no other thread has seen this one.
            unsafe { sys::unmap(page, PAGE) };
        }
    }

    /// Tells whether the launch has a directory.
    pub fn exists(self) -> bool {
        self.find().is_some()
    }

    /// The calling process is about to end, and its environment names the launch no more: removes
    /// the store if it is the launch's last. Of several that end at once the one that looks last
    /// finds none of the others. Async-signal-safe.
    pub fn leave(self) {
        if let Some(page) = NonNull::new(HELD.swap(null_mut(), Relaxed)) {
            // SAFETY: no other thread has it any more.
            unsafe { sys::unmap(page, PAGE) };
        }
        if self.launch.first == sys::getpid()
            && let Some(path) = self.find().and_then(|directory| inside(directory, FIRST))
            && let Ok(path) = c_path(&path)
        {
            let _ = paths::remove(path);
        }
        self.remove_if_over();
    }

    /// Removes the store if no process of the launch is left but the calling one.
    pub fn remove_if_over(self) {
        while let Some(directory) = self.find() {
            if remove(&directory, self).is_none() {
                return;
            }
        }
    }
}

/// Removes the stores of the launches that are over, of this user: those whose last process was
/// killed.
pub fn sweep() {
    store::each(|store| store.remove_if_over());
}

/// Removes `directory` and all that is in it, unless the launch goes on.
fn remove(directory: &Path, store: Store) -> Option<()> {
    let lock = inside(*directory, LOCK)?;
    match File::open_at(libc::AT_FDCWD, c_path(&lock).ok()?) {
        // Given up again at once: another that looks meanwhile must not be turned away.
        Ok(file) => file.lock_alone().ok()?,
        Err(Errno(libc::ENOENT)) => {}
        Err(_) => return None,
    }
    if goes_on(store, directory) {
        return None;
    }
    if let Some(entries) = inside(*directory, ENTRIES) {
        empty(&entries);
    }
    empty(directory);
    let is_gone = paths::is_private_directory(c_path(directory).ok()?) == Err(Errno(libc::ENOENT));
    is_gone.then_some(())
}

/// Removes a directory and the files in it.
fn empty(directory: &Path) {
    let Ok(path) = c_path(directory) else { return };
    let mut progress = true;
    // A directory that changes while it is read may be told of in parts.
    while progress && paths::remove_directory(path) == Err(Errno(libc::ENOTEMPTY)) {
        progress = false;
        let _ = paths::each_entry(path, |name| {
            if let Some(path) = name.to_str().ok().and_then(|name| inside(*directory, name)) {
                progress |= c_path(&path).is_ok_and(|path| paths::remove(path).is_ok());
            }
            true
        });
    }
}

/// Tells whether another process belongs to the launch: the first one, if it is the user's, or one
/// that has the launch in its environment.
fn goes_on(store: Store, directory: &Path) -> bool {
    let mut wanted = Bytes::<64>::EMPTY;
    if write!(wanted, "{VARIABLE}={:016x}.", store.launch.id).is_err() {
        return true;
    }
    let (me, parent) = (sys::getpid(), sys::parent());
    let is_other = |process: i32| process > 0 && process != me;
    let first = inside(*directory, FIRST).and_then(|path| {
        let mut text = [0; 16];
        let text = paths::read_link(c_path(&path).ok()?, &mut text).ok()?;
        core::str::from_utf8(text).ok()?.parse().ok()
    });
    if first.is_some_and(|first| is_other(first) && is_own_process(first))
        || is_other(parent) && has_in_environment(parent, wanted.as_slice())
    {
        return true;
    }
    let mut found = false;
    let looked = paths::each_entry(c"/proc", |name| {
        let process = name.to_str().ok().and_then(|name| name.parse().ok());
        found = process.is_some_and(|process| {
            is_other(process) && has_in_environment(process, wanted.as_slice())
        });
        !found
    });
    // Without /proc this can't be known.
    found || looked.is_err()
}

/// Tells whether `process` is the user's and has not ended. One that its parent has not waited for
/// yet has ended.
fn is_own_process(process: i32) -> bool {
    let mut line = [0; 64];
    let read = told_of(process, "stat", |path| {
        if paths::owner(path)? != sys::effective_user() {
            return Err(Errno(libc::EPERM));
        }
        File::open_at(libc::AT_FDCWD, path)?.read(&mut line)
    });
    let read = line.get(..read.unwrap_or(0)).unwrap_or_default();
    // `4711 (name) S …`; of the name there are 15 bytes at most.
    let state = read.iter().rposition(|byte| *byte == b')').and_then(|end| read.get(end + 2));
    state.is_some_and(|state| !b"ZX".contains(state))
}

/// Number of looks at a process that shows no environment.
const LOOKS: usize = 16;
/// The time between two looks at a process that executes a program.
const PAUSE: Duration = Duration::from_millis(1);

/// Tells whether the environment that `process` was started with contains `wanted`, or may soon: while the process
/// executes a program, the kernel shows neither environment nor arguments.
fn has_in_environment(process: i32, wanted: &[u8]) -> bool {
    let mut executes = false;
    for _ in 0..LOOKS {
        if let Some(contains) = environment_contains(process, wanted) {
            return contains;
        }
        let ask = |path: &CStr| paths::read_link(path, &mut [0; 1]).map(drop);
        if told_of(process, "exe", ask).is_err() {
            // It has ended, or is a thread of the kernel.
            return false;
        }
        let ask = |path: &CStr| File::open_at(libc::AT_FDCWD, path)?.read(&mut [0; 1]);
        executes = told_of(process, "cmdline", ask) == Ok(0);
        if executes {
            time::sleep(PAUSE);
        }
    }
    // One with arguments at the end was started without an environment. Of another the store is left to a later
    // look.
    executes
}

/// `None` of an environment that is empty, or that ended while it was read: the process has executed a program.
fn environment_contains(process: i32, wanted: &[u8]) -> Option<bool> {
    // The file shows the memory that was there when it was opened, and nothing once that is gone.
    let open = |path: &CStr| File::open_at(libc::AT_FDCWD, path);
    let Ok(file) = told_of(process, "environ", open) else { return Some(false) };
    let is_there = || file.rewind().and_then(|()| file.read(&mut [0; 1])) != Ok(0);
    // Before the search and behind it, or it may have ended at a memory that is not filled yet, or is gone.
    if !is_there() || file.rewind().is_err() {
        return None;
    }
    if file.contains(wanted) {
        return Some(true);
    }
    is_there().then_some(false)
}

/// Gives `ask` the path of /proc's file `name` about `process`.
fn told_of<T>(
    process: i32,
    name: &str,
    ask: impl FnOnce(&CStr) -> Result<T, Errno>,
) -> Result<T, Errno> {
    let mut path = Bytes::<32>::EMPTY;
    let written = write!(path, "/proc/{process}/{name}\0").is_ok();
    let path = CStr::from_bytes_with_nul(path.as_slice()).ok().filter(|_| written);
    ask(path.ok_or(Errno(libc::ENAMETOOLONG))?)
}
