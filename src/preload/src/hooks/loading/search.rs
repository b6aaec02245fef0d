//! The search of the dynamic linker for a library by its name, before the system's own directories: there a
//! program may have any, and in the system's no library connects by itself. What it searches for a name is
//! LD_LIBRARY_PATH, the directories that the asking object names, and its cache (ld.so(8)).

use core::ffi::CStr;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use epochsocks::bytes::Bytes;
use epochsocks::program::c_library::is_name_of_whole;
use epochsocks::program::library_cache;
use epochsocks::sys::{self, File};

use crate::environment;

/// The longest path that is looked at, with its NUL.
const LONGEST: usize = 512;

/// The path of a library, with its NUL.
pub type Path = Bytes<LONGEST>;

/// Directories of the system's, in which its administrator alone puts libraries.
const SYSTEM: [&[u8]; 7] = [
    b"/lib/",
    b"/lib64/",
    b"/usr/lib/",
    b"/usr/lib64/",
    b"/usr/libexec/",
    b"/nix/store/",
    b"/gnu/store/",
];

/// Object that asks for a library.
#[derive(Clone, Copy)]
pub struct Asker<'a> {
    /// The directories that it names, between colons.
    pub directories: &'a [u8],
    /// Its own path, whose directory is `$ORIGIN`.
    pub path: &'a [u8],
}

/// Tells whether the library at `path` is the system's own.
pub fn is_systems(path: &CStr) -> bool {
    let path = path.to_bytes();
    // The kernel's object in memory has no path at all.
    !path.contains(&b'/') || is_in_system(path)
}

fn is_in_system(path: &[u8]) -> bool {
    let climbs = path.windows(4).any(|part| part == b"/../");
    !climbs && SYSTEM.iter().any(|start| path.starts_with(start))
}

/// The library that `asker` gets for `name`, a name without a slash, and its path; `None` where it is the
/// system's, or there is none.
pub fn find(name: &CStr, asker: Asker<'_>) -> Option<(File, Path)> {
    let of_environment = environment::at_start("LD_LIBRARY_PATH").unwrap_or_default();
    let separated = |list: &'static [u8]| list.split(|byte| matches!(byte, b':' | b';'));
    let own = asker.directories.split(|byte| *byte == b':').filter(|entry| !entry.is_empty());
    let listed = if of_environment.is_empty() { None } else { Some(separated(of_environment)) };
    let mut directories = listed.into_iter().flatten().chain(own);
    directories.find_map(|entry| {
        // The library may be there once more for newer processors.
        let variants = [
            b"/glibc-hwcaps/x86-64-v4".as_slice(),
            b"/glibc-hwcaps/x86-64-v3",
            b"/glibc-hwcaps/x86-64-v2",
            b"",
        ];
        variants.into_iter().find_map(|variant| {
            let mut path = expanded(entry, asker.path)?;
            let fits =
                path.extend(variant) && path.extend(b"/") && path.extend(name.to_bytes_with_nul());
            if !fits || is_in_system(path.as_slice()) {
                return None;
            }
            let text = CStr::from_bytes_with_nul(path.as_slice()).ok()?;
            File::open_at(libc::AT_FDCWD, text).ok().map(|file| (file, path))
        })
    })
}

/// The inode of a cache that was found to name the system's libraries alone, as most do. It guards no other memory:
/// Relaxed is enough.
static SYSTEMS_ALONE: AtomicU64 = AtomicU64::new(0);

/// The library that the linker's cache has for `name`, and its path; `None` where it is the system's, or there is
/// none. A C library's name, which nearly all others need, is not looked for.
#[inline(never)]
pub fn find_in_cache(name: &CStr) -> Option<(File, Path)> {
    if is_name_of_whole(name.to_bytes()) {
        return None;
    }
    let cache = library_cache::open().ok()?;
    // Another cache is another file.
    let (_, inode) = sys::identity(cache.fd()).ok()?;
    if SYSTEMS_ALONE.load(Relaxed) == inode {
        return None;
    }
    if library_cache::has_only(&cache, is_in_system) == Ok(true) {
        SYSTEMS_ALONE.store(inode, Relaxed);
        return None;
    }
    let is_others = |path: &CStr| !is_in_system(path.to_bytes());
    let path: Path = library_cache::path_of(&cache, name, is_others).ok().flatten()?;
    let file = File::open_at(libc::AT_FDCWD, CStr::from_bytes_with_nul(path.as_slice()).ok()?);
    file.ok().map(|file| (file, path))
}

/// A directory with its `$ORIGIN`; an empty one is the working directory. `None` for one that does not
/// fit, or that has another variable.
fn expanded(entry: &[u8], asker: &[u8]) -> Option<Path> {
    let mut path = Path::EMPTY;
    let rest =
        [b"$ORIGIN".as_slice(), b"${ORIGIN}"].iter().find_map(|name| entry.strip_prefix(*name));
    let rest = match rest {
        Some(rest) => {
            let length = asker.iter().rposition(|byte| *byte == b'/')?;
            path.extend(asker.get(..length)?).then_some(rest)?
        }
        None if entry.is_empty() => b".",
        None => entry,
    };
    (!rest.contains(&b'$') && path.extend(rest)).then_some(path)
}
