//! The store as a whole, on real directories.

use std::ffi::CString;
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::store::{Parent, c_path};
use super::{Launch, Store, id::VARIABLE};
use crate::sys::paths;

/// A launch of a test's own, whose directories go when it does.
pub struct Scratch(Launch);

impl Scratch {
    pub fn new() -> Scratch {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let own = u64::from(std::process::id()) << 32 | COUNT.fetch_add(1, Relaxed);
        // Another test's launcher leaves it alone while this process lives.
        Scratch(Launch { id: own | 1 << 63, first: std::process::id() as i32 })
    }

    pub fn store(&self) -> Store {
        Store::of(self.0)
    }

    /// Places in which the directory may be, the best first.
    fn directories(&self) -> Vec<PathBuf> {
        let path = |parent| {
            let path = self.store().directory(parent);
            PathBuf::from(std::ffi::OsStr::from_bytes(c_path(&path).unwrap().to_bytes()))
        };
        Parent::ALL.map(path).to_vec()
    }

    fn directory(&self) -> Option<PathBuf> {
        self.directories().into_iter().find(|path| path.exists())
    }

    /// Number of sockets that it knows of.
    pub fn entries(&self) -> usize {
        let names = fs::read_dir(self.directory().unwrap().join("entries")).unwrap().flatten();
        names.filter(|entry| entry.file_name().as_bytes().starts_with(b"s")).count()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        for path in self.directories() {
            let _ = fs::remove_dir_all(path);
        }
    }
}

#[test]
fn the_directory_is_the_users_alone() {
    let scratch = Scratch::new();
    scratch.store().make("n1", b"text").unwrap();
    let status = fs::metadata(scratch.directory().unwrap()).unwrap();
    assert_eq!(status.permissions().mode() & 0o7777, 0o700);
}

#[test]
fn a_directory_that_others_may_enter_is_not_used() {
    let scratch = Scratch::new();
    scratch.store().make("n1", b"text").unwrap();
    let directory = scratch.directory().unwrap();
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o701)).unwrap();
    assert_eq!(scratch.store().read("n1"), None);
    // Nor is a link to one that would do.
    let moved = directory.with_extension("moved");
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o700)).unwrap();
    fs::rename(&directory, &moved).unwrap();
    symlink(&moved, &directory).unwrap();
    assert_eq!(scratch.store().read("n1"), None);
    fs::remove_file(&directory).unwrap();
    fs::rename(&moved, &directory).unwrap();
    assert!(scratch.store().read("n1").is_some());
}

#[test]
fn another_users_directory_is_not_used() {
    let scratch = Scratch::new();
    scratch.store().make("n1", b"text").unwrap();
    let directory = scratch.directory().unwrap();
    let path = CString::new(directory.as_os_str().as_bytes()).unwrap();
    // SAFETY: a C string.
    if unsafe { libc::chown(path.as_ptr(), 65_534, 65_534) } != 0 {
        // Not root: nothing to show.
        return;
    }
    assert_eq!(paths::is_private_directory(&path), Ok(false));
    assert_eq!(scratch.store().read("n1"), None);
}

#[test]
fn a_process_that_executes_another_program_keeps_the_launch_meanwhile() {
    let scratch = Scratch::new();
    let store = scratch.store();
    store.make("n1", b"text").unwrap();
    let again = r#"exec sh -c "$0" "$0""#;
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("echo; {again}"), again]).env(VARIABLE, format!("{}", scratch.0));
    let mut shell = shell.stdout(Stdio::piped()).spawn().unwrap();
    // Until it runs, the kernel may show this process's environment for its.
    shell.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    let stays = (0..300).all(|_| {
        store.remove_if_over();
        store.read("n1").is_some()
    });
    shell.kill().unwrap();
    shell.wait().unwrap();
    assert!(stays);
}

#[test]
fn the_last_process_of_a_launch_removes_its_store() {
    let scratch = Scratch::new();
    let store = scratch.store();
    store.make("n1", b"text").unwrap();
    // One that has the launch in its environment keeps it.
    let value = format!("{}", scratch.0);
    let mut other = Command::new("cat").env(VARIABLE, value).stdin(Stdio::piped()).spawn().unwrap();
    store.remove_if_over();
    assert!(store.read("n1").is_some());
    other.kill().unwrap();
    other.wait().unwrap();
    // A child that another test forks meanwhile has the lock for a moment, and keeps the launch.
    let removed = || {
        store.remove_if_over();
        scratch.directory().is_none()
    };
    assert!((0..1_000).any(|_| removed()));
}
