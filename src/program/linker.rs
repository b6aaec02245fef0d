//! glibc's dynamic linker, told by what it defines and not by its name: a static program can have
//! any name, and any name as its SONAME.

use core::ffi::CStr;
use core::mem::size_of;

use libc::{Elf64_Ehdr, Elf64_Phdr};

use super::ReadAt;
use super::elf::MAGIC;
use super::head::Head;
use super::plain::{entry, read};
use crate::sys::{Errno, File};

/// More segments than this no linker has.
const MOST_SEGMENTS: u16 = 64;
/// Number of bytes of the dynamic section that are read.
const MOST_DYNAMIC: usize = 1024;
/// Number of bytes of the dynamic symbols' names that are read; the linker has some 700.
const MOST_NAMES: usize = 2048;

/// Symbols that the linker defines for libc alone. A static program has none of these among its
/// dynamic symbols, a library not the SONAME.
const SYMBOLS: [&[u8]; 3] = [b"\0_rtld_global\0", b"\0_r_debug\0", b"\0GLIBC_PRIVATE\0"];
/// Start of the SONAMEs of glibc's linkers.
const SONAME: &[u8] = b"ld-linux";

/// Tags of the dynamic section (elf(5)).
const DT_NULL: u64 = 0;
const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;
const DT_STRSZ: u64 = 10;
const DT_SONAME: u64 = 14;

/// Tells whether the file at `path` (relative to `directory`, or [`libc::AT_FDCWD`]) is glibc's
/// dynamic linker. Errors: those of openat(2) and pread(2). Async-signal-safe.
pub fn is_glibc_at(directory: i32, path: &CStr) -> Result<bool, Errno> {
    let file = File::open_at(directory, path)?;
    Ok(file.mode()? & libc::S_IFMT == libc::S_IFREG && is_glibc(&file)?)
}

/// Tells whether `file` is glibc's dynamic linker. Async-signal-safe.
pub fn is_glibc(file: &(impl ReadAt + ?Sized)) -> Result<bool, Errno> {
    let head = Head::of(file)?;
    let Some((names, soname)) = names(&head)? else { return Ok(false) };
    let mut bytes = [0; MOST_NAMES];
    let length = usize::try_from(names.size).map_or(MOST_NAMES, |size| size.min(MOST_NAMES));
    let count = file.read_at(bytes.get_mut(..length).unwrap_or_default(), names.start)?;
    let bytes = bytes.get(..count).unwrap_or_default();
    let soname = usize::try_from(soname).ok().and_then(|start| bytes.get(start..));
    let defines = |symbol: &&[u8]| bytes.windows(symbol.len()).any(|window| window == *symbol);
    Ok(soname.is_some_and(|name| name.starts_with(SONAME)) && SYMBOLS.iter().all(defines))
}

/// The names of the dynamic symbols, as a part of the file.
struct Names {
    start: u64,
    size: u64,
}

/// The names, and where the SONAME begins among them; `None` for what needs another object, or a
/// linker itself.
fn names<F: ReadAt + ?Sized>(head: &Head<'_, F>) -> Result<Option<(Names, u64)>, Errno> {
    let Some(header) = read::<Elf64_Ehdr>(head, 0)? else { return Ok(None) };
    let sized = usize::from(header.e_phentsize) == size_of::<Elf64_Phdr>();
    let library = header.e_ident.starts_with(MAGIC) && header.e_type == libc::ET_DYN;
    if !library || !sized || header.e_phnum > MOST_SEGMENTS {
        return Ok(None);
    }
    let mut section = None;
    for index in 0..u64::from(header.e_phnum) {
        match entry::<Elf64_Phdr>(head, header.e_phoff, index)? {
            Some(segment) if segment.p_type == libc::PT_DYNAMIC => section = Some(segment.p_offset),
            Some(segment) if segment.p_type != libc::PT_INTERP => {}
            _ => return Ok(None),
        }
    }
    let mut bytes = [0; MOST_DYNAMIC];
    let Some(section) = section else { return Ok(None) };
    let count = head.read_at(&mut bytes, section)?;
    let (mut table, mut size, mut soname) = (None, 0, None);
    let (entries, _) = bytes.get(..count).unwrap_or_default().as_chunks::<16>();
    for entry in entries {
        let [tag, value] = [0, 8].map(|start| word(entry, start));
        match tag {
            DT_NULL => break,
            DT_NEEDED => return Ok(None),
            DT_STRTAB => table = Some(value),
            DT_STRSZ => size = value,
            DT_SONAME => soname = Some(value),
            _ => {}
        }
    }
    let (Some(table), Some(soname)) = (table, soname) else { return Ok(None) };
    Ok(place(head, &header, table)?.map(|start| (Names { start, size }, soname)))
}

fn word(entry: &[u8; 16], start: usize) -> u64 {
    let bytes = entry.get(start..).and_then(|rest| rest.first_chunk());
    bytes.map_or(0, |bytes| u64::from_ne_bytes(*bytes))
}

/// Offset in the file of what is loaded at `address`.
fn place<F: ReadAt + ?Sized>(
    head: &Head<'_, F>,
    header: &Elf64_Ehdr,
    address: u64,
) -> Result<Option<u64>, Errno> {
    for index in 0..u64::from(header.e_phnum) {
        let Some(segment) = entry::<Elf64_Phdr>(head, header.e_phoff, index)? else { break };
        let offset = address.checked_sub(segment.p_vaddr);
        if segment.p_type == libc::PT_LOAD
            && let Some(offset) = offset.filter(|offset| *offset < segment.p_filesz)
        {
            return Ok(segment.p_offset.checked_add(offset));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn is_linker(path: &str) -> bool {
        let path = std::ffi::CString::new(path).unwrap();
        is_glibc_at(libc::AT_FDCWD, &path).unwrap()
    }

    #[cfg(target_arch = "x86_64")]
    const LINKER: &str = "/lib64/ld-linux-x86-64.so.2";
    #[cfg(target_arch = "aarch64")]
    const LINKER: &str = "/lib/ld-linux-aarch64.so.1";

    #[test]
    fn the_dynamic_linker_of_this_machine_is_one() {
        assert!(is_linker(LINKER));
    }

    #[test]
    fn programs_libraries_and_other_files_are_none() {
        for path in ["/proc/self/exe", "/bin/sh", "/etc/passwd", "/dev/null", "/"] {
            assert!(!is_linker(path), "{path}");
        }
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let libc = maps
            .lines()
            .find_map(|line| Some(&line[line.find('/')?..]).filter(|path| path.contains("libc.so")))
            .unwrap();
        assert!(!is_linker(libc), "{libc}");
    }

    #[test]
    fn a_static_program_that_calls_itself_the_linker_is_none() {
        let scratch = std::env::temp_dir().join(format!("linker-{}", std::process::id()));
        std::fs::create_dir_all(&scratch).unwrap();
        let (source, program) = (scratch.join("p.c"), scratch.join("ld-linux-x86-64.so.2"));
        std::fs::write(&source, "int main(void) { return 0; }\n").unwrap();
        for form in ["-static", "-static-pie"] {
            let flags = [form, "-Wl,-soname,ld-linux-x86-64.so.2", "-o"];
            let made = Command::new("cc").args(flags).arg(&program).arg(&source).status().unwrap();
            assert!(made.success() && !is_linker(program.to_str().unwrap()), "{form}");
        }
        std::fs::remove_dir_all(&scratch).unwrap();
    }

    #[test]
    fn hostile_headers_are_none() {
        let linker = std::fs::read(LINKER).unwrap();
        for position in 0..0x400.min(linker.len()) {
            let mut file = linker.clone();
            file[position] = !file[position];
            let _ = is_glibc(&file[..]);
        }
        for length in [0, 3, 64, 100, 0x300] {
            assert_eq!(is_glibc(&linker[..length]), Ok(false));
        }
    }
}
