//! The preload library: where it is, and whether ld.so would load it.

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use epochsocks::program::{Facts, Kind};
use epochsocks::sys::{Errno, File, as_after_exec};

use crate::failure::{Failure, Status, describe};
use crate::registry::Registry;

/// Names the library, or the directory that holds it.
pub const VARIABLE: &str = "EPOCHSOCKS_LIBRARY";

/// The library folders of a prefix: those of all systems, of Debian, and of Fedora and its like.
#[cfg(target_arch = "x86_64")]
const LIBRARIES: [&str; 3] = ["lib", "lib/x86_64-linux-gnu", "lib64"];
#[cfg(target_arch = "aarch64")]
const LIBRARIES: [&str; 3] = ["lib", "lib/aarch64-linux-gnu", "lib64"];

/// Finds the library of `registry` and checks it. `named` is the value of [`VARIABLE`].
pub fn locate(registry: Registry, named: Option<&OsStr>) -> Result<PathBuf, Failure> {
    let library = match named.filter(|value| !value.is_empty()) {
        Some(named) => beside_named(Path::new(named), registry)?,
        None => installed(registry)?,
    };
    check(&library, registry)?;
    Ok(library)
}

/// The library that the variable names. A file is taken as it is for the default registry; the libraries
/// of the others are looked for next to it.
fn beside_named(named: &Path, registry: Registry) -> Result<PathBuf, Failure> {
    // The program may change its directory before it executes another one.
    let named = std::path::absolute(named).map_err(|error| own(named, error))?;
    if named.is_dir() {
        return Ok(named.join(registry.library()));
    }
    if registry == Registry::default() {
        return Ok(named);
    }
    Ok(named.with_file_name(registry.library()))
}

/// Beside the launcher, or in the library directories of the prefix that it is installed in.
fn installed(registry: Registry) -> Result<PathBuf, Failure> {
    let launcher = std::env::current_exe().map_err(|error| own(Path::new("/proc"), error))?;
    let directory = launcher.parent().unwrap_or(Path::new("/"));
    let prefix = directory.parent().unwrap_or(Path::new("/"));
    let mut places = vec![directory.to_owned()];
    places.extend(LIBRARIES.iter().map(|place| prefix.join(place).join("epochsocks")));
    let file = registry.library();
    let found = places.iter().map(|place| place.join(&file)).find(|path| path.exists());
    found.ok_or_else(|| {
        let places: Vec<_> = places.iter().map(|place| place.display().to_string()).collect();
        let (places, recipe) = (places.join(", "), registry.recipe());
        let message = format!(
            "{file} is in none of {places}: build it with `{recipe}` and copy it to the first of \
             them, or set {VARIABLE}"
        );
        Failure::new(Status::Own, message)
    })
}

/// Refuses what ld.so would pass over with a warning, or read as something else.
fn check(library: &Path, registry: Registry) -> Result<(), Failure> {
    check_spelling(library)?;
    let path = CString::new(library.as_os_str().as_bytes())
        .map_err(|_| own(library, "there is a NUL in its path"))?;
    // As the program will open it, which may have fewer capabilities.
    let file = as_after_exec(|| File::open_at(libc::AT_FDCWD, &path))
        .map_err(|errno| own(library, unreadable(errno, registry)))?;
    let facts = Facts::of_descriptor(file.fd()).map_err(|errno| own(library, describe(errno)))?;
    let Kind::Elf(elf) = facts.kind else {
        return Err(own(library, "it is not an ELF library"));
    };
    if !elf.is_native() {
        return Err(own(library, "it is for another processor or word size"));
    }
    if !elf.ours {
        let version = env!("CARGO_PKG_VERSION");
        return Err(own(library, format!("it is not that of epochsocks {version}")));
    }
    file.map_as_code().map_err(|errno| match errno.0 {
        libc::EPERM => own(library, "its file system is mounted noexec"),
        _ => own(library, describe(errno)),
    })
}

/// ld.so splits LD_PRELOAD at spaces and colons and expands `$ORIGIN` and the like; there is no
/// way to quote them.
fn check_spelling(library: &Path) -> Result<(), Failure> {
    let bytes = library.as_os_str().as_bytes();
    let Some(bad) = bytes.iter().find(|byte| b" :$".contains(byte)) else { return Ok(()) };
    let name = match bad {
        b' ' => "a space",
        b':' => "a colon",
        _ => "a dollar sign",
    };
    let message = format!("its path has {name}, which LD_PRELOAD can't hold: move it");
    Err(own(library, message))
}

fn unreadable(errno: Errno, registry: Registry) -> String {
    match errno.0 {
        libc::ENOENT => format!("it is missing: build it with `{}`", registry.recipe()),
        _ => format!("it can't be read: {}", describe(errno)),
    }
}

fn own(library: &Path, reason: impl std::fmt::Display) -> Failure {
    Failure::new(
        Status::Own,
        format!("the preload library {} can't be used: {reason}", library.display()),
    )
}
