//! The test run that this process belongs to.
//!
//! `cargo test` starts a process for each test binary, `cargo nextest` one for each test. What they
//! share is their parent, the runner.

use std::fs::{self, File};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::os::unix::process::parent_id;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A name for this process's run.
pub fn identity() -> String {
    identity_of(parent_id())
}

/// A name for a run: the runner's process id and start time, so that it never comes again.
fn identity_of(runner: u32) -> String {
    let stat = fs::read_to_string(format!("/proc/{runner}/stat")).unwrap_or_default();
    // proc(5): field 22 is the start time; the command in field 2 may contain anything.
    let start = stat.rsplit(')').next().and_then(|fields| fields.split_whitespace().nth(19));
    format!("{runner}.{}", start.unwrap_or("0"))
}

/// A directory of the run, private and with a path short enough for sockets, and the lock on it.
pub fn directory() -> (PathBuf, File) {
    loop {
        let path = create_directory();
        let name = path.join("lock");
        let lock = lock(&name);
        // The process that held the lock may have removed the directory before letting go.
        let inode = |metadata: fs::Metadata| metadata.ino();
        if fs::metadata(&name).map(inode).ok() == lock.metadata().map(inode).ok() {
            return (path, lock);
        }
    }
}

/// Directory of a runner's run while it has one.
pub fn directory_of(runner: u32) -> PathBuf {
    std::env::temp_dir().join(format!("epochsocks.{}", identity_of(runner)))
}

fn create_directory() -> PathBuf {
    let path = directory_of(parent_id());
    match fs::DirBuilder::new().mode(0o700).create(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            panic!("cannot create {}: {error}", path.display())
        }
        _ => {}
    }
    let owner = fs::metadata(&path).expect("the run's directory is there").uid();
    // SAFETY: getuid has no preconditions.
    assert_eq!(owner, unsafe { libc::getuid() }, "{} belongs to another user", path.display());
    path
}

/// A descriptor that becomes readable when the process ends.
pub fn process(pid: u32) -> OwnedFd {
    // SAFETY: the call takes two integers and returns a new descriptor or -1.
    unsafe {
        let descriptor = libc::syscall(libc::SYS_pidfd_open, pid, 0);
        assert!(descriptor >= 0, "pidfd_open: {}", std::io::Error::last_os_error());
        OwnedFd::from_raw_fd(i32::try_from(descriptor).expect("a descriptor is an int"))
    }
}

/// Tells whether the process of this descriptor ends within `limit`.
pub fn ends(process: &OwnedFd, limit: Duration) -> bool {
    let mut poll = libc::pollfd { fd: process.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let limit = i32::try_from(limit.as_millis()).expect("a limit of less than a month");
    // SAFETY: one pollfd, which lives through the call.
    unsafe { libc::poll(&raw mut poll, 1, limit) == 1 }
}

/// Holds the lock file at `path` until the result is dropped.
pub fn lock(path: &Path) -> File {
    let file = File::create(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    // SAFETY: two integers.
    while unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX) } < 0 {
        let error = std::io::Error::last_os_error();
        assert_eq!(error.kind(), std::io::ErrorKind::Interrupted, "{}: {error}", path.display());
    }
    file
}
