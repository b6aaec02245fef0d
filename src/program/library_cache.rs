//! The dynamic linker's cache, /etc/ld.so.cache: the libraries in the directories of /etc/ld.so.conf, as
//! ldconfig(8) has found them. A header, a table of entries, then their names and paths.

use core::ffi::CStr;
use core::mem::size_of;

use super::ReadAt;
use super::plain::read;
use crate::bytes::{Bytes, Plain};
use crate::sys::{Errno, File};

const PATH: &CStr = c"/etc/ld.so.cache";
const MAGIC: [u8; 20] = *b"glibc-ld.so.cache1.1";
/// Flags of a library of glibc for this processor: its kind, and in the second byte its class.
const NATIVE: u32 = if cfg!(target_arch = "aarch64") { 0x0a03 } else { 0x0303 };

#[derive(Clone, Copy)]
#[repr(C)]
struct Header {
    magic: [u8; 20],
    entries: u32,
    text: u32,
    unused: [u32; 5],
}

/// Flags, the places of a name and of a path, and what the library asks of the system.
type Entry = [u32; 6];

// SAFETY: integers, C layout.
unsafe impl Plain for Header {}

/// Number of bytes that is read at once.
const BLOCK: usize = 4096;
/// Number of places at which a name is looked for: ldconfig writes a name once, at the end of a path.
const MOST_PLACES: usize = 16;

/// Opens the cache. Errors: those of openat(2).
pub fn open() -> Result<File, Errno> {
    File::open_at(libc::AT_FDCWD, PATH)
}

/// Tells whether `is_expected` all paths in the cache. Errors: those of pread(2).
pub fn has_only(
    cache: &(impl ReadAt + ?Sized),
    is_expected: impl Fn(&[u8]) -> bool,
) -> Result<bool, Errno> {
    let Some((_, mut at, end)) = parts(cache)? else { return Ok(true) };
    let mut block = [0; BLOCK];
    while at < end {
        let count = cache.read_at(&mut block, at)?;
        let read = block.get(..count).unwrap_or_default();
        // The last text may go on.
        let Some(last) = read.iter().rposition(|byte| *byte == 0) else { break };
        let mut texts = read.get(..last).unwrap_or_default().split(|byte| *byte == 0);
        if texts.any(|text| text.starts_with(b"/") && !is_expected(text)) {
            return Ok(false);
        }
        at += last as u64 + 1;
    }
    Ok(true)
}

/// Offsets of the entries, of the texts, and of the end of these; `None` for a file that is no cache.
fn parts(cache: &(impl ReadAt + ?Sized)) -> Result<Option<(u64, u64, u64)>, Errno> {
    let header = read::<Header>(cache, 0)?.filter(|header| header.magic == MAGIC);
    Ok(header.map(|header| {
        let table = size_of::<Header>() as u64;
        let text = table + u64::from(header.entries) * size_of::<Entry>() as u64;
        (table, text, text + u64::from(header.text))
    }))
}

/// The path that `cache` has for the library `name`, with its NUL, if `accepts` it; the first of several.
/// Errors: those of pread(2).
pub fn path_of<const N: usize>(
    cache: &(impl ReadAt + ?Sized),
    name: &CStr,
    accepts: impl Fn(&CStr) -> bool,
) -> Result<Option<Bytes<N>>, Errno> {
    let Some((table, text, end)) = parts(cache)? else { return Ok(None) };
    let places = places(cache, text, end, name.to_bytes_with_nul())?;
    let mut block = [0; 80 * size_of::<Entry>()];
    let mut at = table;
    while at < text {
        let count = cache.read_at(&mut block, at)?;
        let (entries, _) = block.get(..count).unwrap_or_default().as_chunks();
        for entry in entries {
            let [flags, key, value] = fields(entry);
            if flags == NATIVE && at < text && places.contains(&u64::from(key)) {
                let path: [u8; N] = read_text(cache, value)?;
                let path = CStr::from_bytes_until_nul(&path).ok().filter(|path| accepts(path));
                if let Some(path) = path.and_then(|path| Bytes::new(path.to_bytes_with_nul())) {
                    return Ok(Some(path));
                }
            }
            at += size_of::<Entry>() as u64;
        }
        if entries.is_empty() {
            break;
        }
    }
    Ok(None)
}

fn fields(entry: &[u8; size_of::<Entry>()]) -> [u32; 3] {
    let [a, b, c, d, e, f, g, h, i, j, k, l, ..] = *entry;
    [[a, b, c, d], [e, f, g, h], [i, j, k, l]].map(u32::from_ne_bytes)
}

/// The places of `name`, with its NUL, in a part of the file; 0 for none.
fn places(
    cache: &(impl ReadAt + ?Sized),
    start: u64,
    end: u64,
    name: &[u8],
) -> Result<[u64; MOST_PLACES], Errno> {
    let mut places = [0; MOST_PLACES];
    let mut free = places.iter_mut();
    let (mut block, mut at) = ([0; BLOCK], start);
    while at < end && name.len() < BLOCK {
        let count = cache.read_at(&mut block, at)?;
        let read = block.get(..count).unwrap_or_default();
        // Each text ends with the only NUL in it, so that few places are compared.
        let ends = read.iter().enumerate().filter(|(_, byte)| **byte == 0).map(|(end, _)| end + 1);
        let found = ends.filter(|end| read.get(..*end).is_some_and(|text| text.ends_with(name)));
        for end in found {
            match free.next() {
                Some(slot) => *slot = at + (end - name.len()) as u64,
                None => return Ok(places),
            }
        }
        if count < BLOCK {
            break;
        }
        // The last bytes may be a name's first.
        at += (BLOCK + 1 - name.len()) as u64;
    }
    Ok(places)
}

/// The start of the text at `place`, filled up with NULs.
fn read_text<const N: usize>(cache: &(impl ReadAt + ?Sized), place: u32) -> Result<[u8; N], Errno> {
    let mut text = [0; N];
    cache.read_at(&mut text, u64::from(place)).map(|_| text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As ldconfig writes it: one text ends with the other.
    fn cache(libraries: &[(u32, &str, &str)]) -> Vec<u8> {
        let text_at = size_of::<Header>() + libraries.len() * size_of::<Entry>();
        let (mut entries, mut text) = (Vec::new(), Vec::new());
        for (flags, name, path) in libraries {
            let value = (text_at + text.len()) as u32;
            let key = value + path.strip_suffix(name).unwrap().len() as u32;
            for field in [*flags, key, value, 0, 0, 0] {
                entries.extend(field.to_ne_bytes());
            }
            text.extend(path.bytes().chain([0]));
        }
        let mut file = MAGIC.to_vec();
        file.extend((libraries.len() as u32).to_ne_bytes());
        file.extend((text.len() as u32).to_ne_bytes());
        file.extend([0; 20]);
        file.extend(entries);
        file.extend(text);
        file
    }

    fn found(cache: &[u8], name: &CStr) -> Option<String> {
        let path: Option<Bytes<512>> =
            path_of(cache, name, |path| !path.to_bytes().starts_with(b"/lib/")).unwrap();
        path.map(|path| {
            CStr::from_bytes_with_nul(path.as_slice()).unwrap().to_str().unwrap().into()
        })
    }

    #[test]
    fn a_library_is_found_by_its_whole_name_among_many() {
        let many: Vec<_> = (0..900).map(|index| format!("libmany{index}.so.1")).collect();
        let paths: Vec<_> = many.iter().map(|name| format!("/usr/local/lib/{name}")).collect();
        let listed = many.iter().zip(&paths);
        let cache =
            cache(&listed.map(|(name, path)| (NATIVE, &**name, &**path)).collect::<Vec<_>>());
        for index in [0, 5, 450, 899] {
            let name = std::ffi::CString::new(&*many[index]).unwrap();
            assert_eq!(found(&cache, &name), Some(paths[index].clone()));
        }
        assert_eq!(found(&cache, c"many5.so.1"), None);
        assert_eq!(found(&cache, c"libmany5.so"), None);
    }

    #[test]
    fn foreign_and_unwanted_libraries_are_passed_over() {
        let libraries = [
            (0x0003, "liba.so", "/opt/32/liba.so"),
            (NATIVE, "liba.so", "/lib/liba.so"),
            (NATIVE, "liba.so", "/opt/liba.so"),
        ];
        assert_eq!(found(&cache(&libraries), c"liba.so"), Some("/opt/liba.so".into()));
        assert_eq!(found(&cache(&libraries[..2]), c"liba.so"), None);
    }

    #[test]
    fn a_cache_of_expected_libraries_is_told_from_another() {
        let is_systems = |path: &[u8]| path.starts_with(b"/lib/");
        let many: Vec<_> = (0..900).map(|index| format!("/lib/libmany{index}.so")).collect();
        let mut libraries: Vec<_> =
            many.iter().map(|path| (NATIVE, path.rsplit('/').next().unwrap(), &**path)).collect();
        assert_eq!(has_only(&cache(&libraries)[..], is_systems), Ok(true));
        for index in [0, 450, 900] {
            libraries.insert(index, (NATIVE, "liba.so", "/opt/liba.so"));
            assert_eq!(has_only(&cache(&libraries)[..], is_systems), Ok(false), "{index}");
            libraries.remove(index);
        }
    }

    #[test]
    fn a_damaged_cache_gives_nothing_or_fewer() {
        let whole = cache(&[(NATIVE, "liba.so", "/opt/liba.so")]);
        for length in 0..whole.len() - 1 {
            assert_eq!(found(&whole[..length], c"liba.so"), None, "{length}");
        }
        assert_eq!(found(b"ld.so-1.7.0", c"liba.so"), None);
    }

    /// Reads the machine's own, if there is one.
    #[test]
    fn the_machines_cache_leads_to_its_libc() {
        if let Ok(cache) = open() {
            let path = path_of::<512>(&cache, c"libc.so.6", |_| true).unwrap();
            assert!(path.is_some_and(|path| path.as_slice().ends_with(b"/libc.so.6\0")));
        }
    }
}
