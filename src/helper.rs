//! A program that may run although the library can't protect it: the file system's half of
//! [`policy::unprotected`](crate::policy::unprotected).

use core::ffi::CStr;
use core::fmt;

use crate::bytes::Bytes;
use crate::config::Settings;
use crate::policy::unprotected::{Candidate, is_listed, starts_another};
use crate::sys::{Errno, File, effective_user};

/// Message about a program that the list lets run, behind its name.
pub const UNPROTECTED: &str = "runs unprotected, as UnprotectedHelpers says";

/// A path with its NUL: longer ones are not on any list.
type Path = Bytes<1024>;

/// Tells whether the file at `path` (relative to `directory`, or [`libc::AT_FDCWD`]) is on the list
/// of `settings`. It need not be readable. Async-signal-safe.
pub fn is_helper_at(directory: i32, path: &CStr, settings: &Settings) -> Option<Helper> {
    Helper::of(&File::name_at(directory, path).ok()?, settings)
}

/// The same for the file behind a descriptor.
pub fn is_helper(fd: i32, settings: &Settings) -> Option<Helper> {
    Helper::of(&File::duplicate(fd).ok()?, settings)
}

/// A program on the list.
#[derive(Debug)]
pub struct Helper {
    path: Path,
    mode: u32,
}

impl Helper {
    fn of(file: &File, settings: &Settings) -> Option<Helper> {
        let mut path = file.path::<1023>().ok().and_then(|path| Path::new(path.as_slice()))?;
        path.extend(b"\0").then_some(())?;
        let (owner, mode) = file.owner_and_mode().ok()?;
        let helper = Helper { path, mode };
        let candidate = Candidate {
            path: helper.path(),
            owner,
            mode,
            in_system_directory: helper.is_in_system_directory(),
            user: effective_user(),
        };
        let default = Settings::HELPERS.as_bytes();
        let list = settings.unprotected_helpers.as_ref().map_or(default, Bytes::as_slice);
        is_listed(list, default, candidate).then_some(helper)
    }

    fn path(&self) -> &[u8] {
        self.path.as_slice().strip_suffix(b"\0").unwrap_or_default()
    }

    /// Tells whether each directory above is root's and no other user may write to it.
    fn is_in_system_directory(&self) -> bool {
        let path = self.path();
        let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        // The root directory's name is its slash.
        path.starts_with(b"/") && ends.map(|(end, _)| end.max(1)).all(|end| self.is_roots(end))
    }

    fn is_roots(&self, end: usize) -> bool {
        let directory = self.path().get(..end).and_then(Path::new);
        let status = directory.ok_or(Errno(libc::ENAMETOOLONG)).and_then(|mut directory| {
            directory.extend(b"\0");
            let name = CStr::from_bytes_until_nul(directory.as_slice());
            let name = name.map_err(|_| Errno(libc::ENOENT))?;
            File::name_at(libc::AT_FDCWD, name)?.owner_and_mode()
        });
        let others_write = libc::S_IWGRP | libc::S_IWOTH;
        status.is_ok_and(|(owner, mode)| owner == 0 && mode & others_write == 0)
    }

    /// Tells what is lost where no exec gives privileges.
    pub fn without_privileges(&self) -> Option<Unprivileged> {
        match self.mode & (libc::S_ISUID | libc::S_ISGID) {
            0 => None,
            mode => Some(Unprivileged { fails: mode & libc::S_ISUID != 0 }),
        }
    }

    /// Tells whether it would start another program with `arguments`, the first of which is its own
    /// name.
    pub fn starts_another<'a>(&self, arguments: impl Iterator<Item = &'a [u8]>) -> bool {
        starts_another(self.path(), arguments.skip(1))
    }
}

/// A program that does not get the privileges of its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unprivileged {
    /// True where it is of no use so: those that are setgid mostly do without.
    pub fails: bool,
}

/// Message about such a program, behind [`UNPROTECTED`].
impl fmt::Display for Unprivileged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "without the privileges of its file, which no exec gives under a backstop: --no-backstop \
             gives them, and leaves what no hook sees unprotected",
        )
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn settings(list: &str) -> Settings {
        Settings { unprotected_helpers: Bytes::new(list.as_bytes()), ..Settings::DEFAULT }
    }

    fn is_listed(path: &str, list: &str) -> bool {
        let path = CString::new(path).unwrap();
        is_helper_at(libc::AT_FDCWD, &path, &settings(list)).is_some()
    }

    #[test]
    fn a_system_program_is_found_by_its_name_through_links() {
        let shell = std::fs::canonicalize("/bin/sh").unwrap();
        let name = shell.file_name().unwrap().to_str().unwrap();
        assert!(is_listed("/bin/sh", name) && is_listed("/bin/sh", shell.to_str().unwrap()));
        assert!(!is_listed("/bin/sh", "other") && !is_listed("/nonexistent", "nonexistent"));
    }

    #[test]
    fn a_file_in_a_directory_of_others_is_none_by_its_name() {
        let directory = std::env::temp_dir().join(format!("helper-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let file = directory.join("tool");
        std::fs::write(&file, "").unwrap();
        let path = file.to_str().unwrap();
        assert!(!is_listed(path, "tool"), "all users may write to /tmp");
        assert!(is_listed(path, path), "the user's own file by its path");
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o666)).unwrap();
        assert!(!is_listed(path, path), "all users may write to the file");
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
