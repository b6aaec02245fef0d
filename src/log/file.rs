//! The log file: what a program reaches stands in it, so no other user may have chosen it or read it.

use core::ffi::CStr;
use core::fmt;

use crate::sys::{self, Errno, File};

/// The `LogFile` that stands for systemd's journal.
pub const JOURNAL: &[u8] = b"journal";

/// Reason that a file can't be the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// It can't be opened for writing.
    Closed(Errno),
    /// It is another user's.
    NotOurs,
    /// A symbolic link that another user has made leads to it.
    Link,
    /// Other users may read or write it.
    Open,
    /// It is neither a regular file nor a pipe nor a character device.
    Kind,
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unfit::Closed(errno) => write!(f, "{errno}; name another"),
            Unfit::NotOurs => f.write_str("it is another user's file; name another"),
            Unfit::Link => f.write_str("another user has made this symbolic link; name another"),
            Unfit::Open => f.write_str("other users may read or write it; chmod 600 it"),
            Unfit::Kind => f.write_str("it is no regular file; name another"),
        }
    }
}

/// Opens the log file at `path` for appending, made with mode 0600 if it is not there. A symbolic
/// link is followed if it is root's or the user's own. Async-signal-safe.
pub fn open(path: &CStr) -> Result<File, Unfit> {
    let user = sys::effective_user();
    let file = match File::append_to(path) {
        Err(Errno(libc::ELOOP)) => {
            let (owner, _) = sys::owner_and_mode_of_link(path).map_err(Unfit::Closed)?;
            if owner != user && owner != 0 {
                return Err(Unfit::Link);
            }
            File::append_through_link(path)
        }
        opened => opened,
    };
    let file = file.map_err(Unfit::Closed)?;
    let (owner, mode) = file.owner_and_mode().map_err(Unfit::Closed)?;
    match mode & libc::S_IFMT {
        libc::S_IFCHR => Ok(file),
        libc::S_IFREG | libc::S_IFIFO if owner != user => Err(Unfit::NotOurs),
        libc::S_IFREG if mode & 0o077 != 0 => Err(Unfit::Open),
        libc::S_IFREG | libc::S_IFIFO => Ok(file),
        _ => Err(Unfit::Kind),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CString;
    use std::fs;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
    use std::path::{Path, PathBuf};

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let path = std::env::temp_dir().join(format!("log-{name}-{}", std::process::id()));
            fs::create_dir(&path).unwrap();
            Folder(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn open_at(path: &Path) -> Result<(), Unfit> {
        open(&CString::new(path.as_os_str().as_bytes()).unwrap()).map(drop)
    }

    /// Gives `path` itself to another user, if this process may.
    fn given_away(path: &Path) -> bool {
        let name = CString::new(path.as_os_str().as_bytes()).unwrap();
        // SAFETY: a C string.
        unsafe { libc::lchown(name.as_ptr(), 65_534, 65_534) == 0 }
    }

    #[test]
    fn a_new_file_is_the_users_alone_and_an_open_one_is_refused() {
        let folder = Folder::new("new");
        let path = folder.0.join("log");
        assert_eq!(open_at(&path), Ok(()));
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(open_at(&path), Err(Unfit::Open));
        assert_eq!(open_at(Path::new("/dev/null")), Ok(()));
        assert_eq!(open_at(&folder.0), Err(Unfit::Closed(Errno(libc::EISDIR))));
    }

    #[test]
    fn ones_own_link_is_followed_and_somebody_elses_is_not() {
        let folder = Folder::new("link");
        let (link, target) = (folder.0.join("link"), folder.0.join("target"));
        symlink(&target, &link).unwrap();
        assert_eq!(open_at(&link), Ok(()));
        assert!(target.exists());
        if given_away(&link) {
            assert_eq!(open_at(&link), Err(Unfit::Link));
        }
    }

    #[test]
    fn another_users_file_is_refused() {
        let folder = Folder::new("other");
        let path = folder.0.join("log");
        assert_eq!(open_at(&path), Ok(()));
        if given_away(&path) {
            assert_eq!(open_at(&path), Err(Unfit::NotOurs));
        }
    }
}
