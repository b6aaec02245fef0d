//! The program that a command name stands for.

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use epochsocks::sys::{Errno, may_execute};

use crate::failure::{Failure, Status, describe};

/// Directories in which `execvp` looks when PATH is not set.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// Finds the file that `execvp` would run for `command`, given PATH.
pub fn search(command: &OsStr, path: Option<&OsStr>) -> Result<PathBuf, Failure> {
    let name = command.to_string_lossy();
    if command.is_empty() {
        return Err(Failure::new(Status::NotFound, "the command is empty"));
    }
    if command.as_bytes().contains(&b'/') {
        let file = PathBuf::from(command);
        return match executable(&file) {
            Ok(()) => Ok(file),
            Err(errno) => Err(refuse(&name, errno)),
        };
    }
    let mut best = Errno(libc::ENOENT);
    for directory in std::env::split_paths(path.unwrap_or(OsStr::new(DEFAULT_PATH))) {
        // An empty part of PATH is the working directory.
        let is_here = directory.as_os_str().is_empty();
        let file = if is_here { Path::new(".") } else { &directory }.join(command);
        match executable(&file) {
            Ok(()) => return Ok(file),
            Err(Errno(libc::EACCES)) => best = Errno(libc::EACCES),
            Err(_) => {}
        }
    }
    Err(match best.0 {
        libc::ENOENT => Failure::new(Status::NotFound, format!("{name}: not found in PATH")),
        _ => refuse(&name, best),
    })
}

/// Tells whether `file` is a regular file that we may execute; `EACCES` for another kind of file,
/// as execve(2) has it.
fn executable(file: &Path) -> Result<(), Errno> {
    let Ok(path) = CString::new(file.as_os_str().as_bytes()) else {
        return Err(Errno(libc::ENOENT));
    };
    may_execute(libc::AT_FDCWD, &path)?;
    match std::fs::metadata(file) {
        Ok(metadata) if metadata.is_file() => Ok(()),
        Ok(_) => Err(Errno(libc::EACCES)),
        Err(error) => Err(Errno(error.raw_os_error().unwrap_or(libc::EIO))),
    }
}

fn refuse(name: &str, errno: Errno) -> Failure {
    let status = match errno.0 {
        libc::ENOENT | libc::ENOTDIR => Status::NotFound,
        _ => Status::NotRun,
    };
    let reason = match errno.0 {
        libc::EACCES => "is not an executable file".to_owned(),
        _ => format!("can't be run: {}", describe(errno)),
    };
    Failure::new(status, format!("{name} {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(command: &str, path: Option<&str>) -> Result<PathBuf, Status> {
        search(OsStr::new(command), path.map(OsStr::new)).map_err(|failure| failure.status)
    }

    #[test]
    fn the_first_executable_in_path_is_taken() {
        let path = Some("/nonexistent:/etc:/bin:/usr/bin");
        assert_eq!(found("sh", path), Ok(PathBuf::from("/bin/sh")));
        assert_eq!(found("sh", None), Ok(PathBuf::from("/bin/sh")));
    }

    #[test]
    fn a_name_with_a_slash_is_not_searched() {
        assert_eq!(found("/bin/sh", Some("")), Ok(PathBuf::from("/bin/sh")));
        assert_eq!(found("./sh", Some("/bin")), Err(Status::NotFound));
    }

    #[test]
    fn what_is_there_but_not_executable_is_told_from_what_is_not_there() {
        assert_eq!(found("passwd", Some("/etc")), Err(Status::NotRun));
        assert_eq!(found("/etc", None), Err(Status::NotRun));
        assert_eq!(found("/etc/passwd", None), Err(Status::NotRun));
        assert_eq!(found("nothing-of-that-name", Some("/etc:/bin")), Err(Status::NotFound));
        assert_eq!(found("/etc/passwd/x", None), Err(Status::NotFound));
        assert_eq!(found("", Some("/bin")), Err(Status::NotFound));
    }
}
