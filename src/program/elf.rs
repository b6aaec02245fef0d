//! ELF programs: their class and machine, the interpreter that they ask for, and Go's traces.

use core::ffi::CStr;
use core::fmt;
use core::mem::size_of;

use libc::{Elf64_Ehdr, Elf64_Phdr, Elf64_Shdr};

use super::ReadAt;
use super::direct_calls::{self, Code, DirectCalls, Origin};
use super::dynamic::Dynamic;
use super::head::Head;
use super::note::{self, Findings, Identity, Version};
use super::plain::{entry, read};
use crate::sys::{Errno, File};

/// First bytes of an ELF file.
pub const MAGIC: &[u8] = b"\x7fELF";

/// The class of ELF file that this build can preload into.
pub const NATIVE_CLASS: u8 = libc::ELFCLASS64;

/// The machine that this build can preload into.
#[cfg(target_arch = "x86_64")]
pub const NATIVE_MACHINE: u16 = libc::EM_X86_64;
/// The machine that this build can preload into.
#[cfg(target_arch = "aarch64")]
pub const NATIVE_MACHINE: u16 = libc::EM_AARCH64;

/// More program headers than this (64 KiB of them) the kernel does not load.
const MOST_SEGMENTS: u16 = (65536 / size_of::<Elf64_Phdr>()) as u16;
/// Number of bytes of the section names that are searched.
const MOST_TEXT: u64 = 64 * 1024;
/// The section that every Go linker writes, stripped or not.
const GO_SECTION: &[u8] = b"\0.go.buildinfo\0";
/// The vendor of the note that holds Go's build id.
const GO_VENDOR: &[u8; 12] = b"Go\0\0\0\0\0\0\0\0\0\0";

/// Facts about an ELF program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elf {
    /// `ELFCLASS32` (1) or `ELFCLASS64` (2).
    pub class: u8,
    /// `e_machine`.
    pub machine: u16,
    /// The dynamic linker that it asks for (`PT_INTERP`); `None` for a static program, static PIE
    /// included. Not looked for in a program of another class or machine.
    pub interpreter: Option<Interpreter>,
    /// Made by Go's linker, at least in part. Not looked for in a foreign program.
    pub go: bool,
    /// Go's, and linked to the C library's resolver: `GODEBUG` chooses that or Go's own.
    pub asks_c_library: bool,
    /// The preload library of this very version. Not looked for in a foreign library.
    pub ours: bool,
    /// Has the dynamic linker load an audit library (rtld-audit(7)). Not looked for in a foreign
    /// program.
    pub audits: bool,
    /// Needs a library. Not looked for in a foreign program.
    pub needs: bool,
}

/// The path of an ELF interpreter: the kernel loads that file in place of a static program's own
/// start. [`linker`](super::linker) tells whether it is glibc's.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Interpreter([u8; Interpreter::LONGEST]);

impl Interpreter {
    /// With its NUL.
    pub const LONGEST: usize = 256;

    /// `path` up to its NUL; empty if it is longer than any that is known.
    pub fn new(path: &[u8]) -> Interpreter {
        let mut bytes = [0; Interpreter::LONGEST];
        let path = path.split(|&byte| byte == 0).next().unwrap_or_default();
        match bytes.get_mut(..path.len()) {
            Some(place) if path.len() < Interpreter::LONGEST => place.copy_from_slice(path),
            _ => {}
        }
        Interpreter(bytes)
    }

    /// The path, relative to the working directory if it is not absolute; empty if it is too long.
    pub fn path(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.0).unwrap_or(c"")
    }

    /// Tells whether its file name is one of glibc's linkers, which is not a proof that the file is
    /// one.
    pub fn is_named_as_glibcs(&self) -> bool {
        let name = self.path().to_bytes().rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        name.starts_with(b"ld-linux") || name.starts_with(b"ld-lsb")
    }

    /// The path, padded with NULs.
    pub(crate) fn bytes(&self) -> &[u8; Interpreter::LONGEST] {
        &self.0
    }
}

impl fmt::Debug for Interpreter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path().fmt(f)
    }
}

impl Elf {
    /// Tells whether class and machine are those of this build's preload library.
    pub fn is_native(&self) -> bool {
        self.class == NATIVE_CLASS && self.machine == NATIVE_MACHINE
    }
}

/// Inspects an ELF file; `None` if its headers are damaged or not of a program.
pub fn inspect(file: &(impl ReadAt + ?Sized)) -> Result<Option<Elf>, Errno> {
    // The fields up to `e_machine` are the same in both classes.
    let Some(header) = read::<Elf64_Ehdr>(file, 0)? else { return Ok(None) };
    let [_, _, _, _, class, ..] = header.e_ident;
    let machine = header.e_machine;
    let mut elf = Elf {
        class,
        machine,
        interpreter: None,
        go: false,
        asks_c_library: false,
        ours: false,
        audits: false,
        needs: false,
    };
    let mut section = None;
    if !elf.is_native() {
        return Ok(Some(elf));
    }
    if !has_segments(&header) {
        return Ok(None);
    }
    for segment in segments(file, header) {
        let Some(segment) = segment? else { return Ok(None) };
        match segment.p_type {
            libc::PT_DYNAMIC => {
                let dynamic = dynamic_at(file, header, &segment)?;
                elf.audits |= dynamic.audits;
                elf.needs |= dynamic.needs;
                section = Some(dynamic);
            }
            libc::PT_INTERP if elf.interpreter.is_none() => {
                elf.interpreter = interpreter(file, &segment)?;
            }
            libc::PT_NOTE => note::for_each(file, segment.p_offset, segment.p_filesz, |note| {
                elf.go |= note.name == *GO_VENDOR;
                elf.ours |= Identity::is_ours(note);
            })?,
            _ => {}
        }
    }
    elf.go = elf.go || has_go_section(file, &header)?;
    if let Some(dynamic) = section.filter(|_| elf.go) {
        elf.asks_c_library = dynamic.imports(file, c"getaddrinfo")?;
    }
    Ok(Some(elf))
}

/// A file that is loaded somewhere in a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loaded {
    /// The preload library of this very version, and where the block of [`crate::view`] is loaded.
    Ours(u64),
    /// That of another version.
    OtherVersion(Version),
    /// Anything else.
    Other,
}

/// Looks at the ELF file that is loaded at `base` of a memory in which an address is an offset.
pub fn loaded(memory: &(impl ReadAt + ?Sized), base: u64) -> Result<Loaded, Errno> {
    let Some(header) = read::<Elf64_Ehdr>(memory, base)?.filter(has_segments) else {
        return Ok(Loaded::Other);
    };
    let Some(table) = base.checked_add(header.e_phoff) else { return Ok(Loaded::Other) };
    let mut found = Findings::default();
    for index in 0..u64::from(header.e_phnum) {
        let Some(segment) = entry::<Elf64_Phdr>(memory, table, index)? else { break };
        if segment.p_type == libc::PT_NOTE
            && let Some(start) = base.checked_add(segment.p_vaddr)
        {
            note::for_each(memory, start, segment.p_memsz, |note| found.add(note))?;
        }
    }
    Ok(match (found.version, found.view) {
        (Some(version), Some(view)) if version == Identity::OURS.version() => Loaded::Ours(view),
        (Some(version), _) => Loaded::OtherVersion(version),
        (None, _) => Loaded::Other,
    })
}

/// The direct system calls in the code of an ELF file that [`inspect`] calls native, none in another.
pub fn direct_calls(file: &File) -> Result<DirectCalls, Errno> {
    match read::<Elf64_Ehdr>(file, 0)?.filter(has_segments) {
        Some(header) => DirectCalls::of(file, code(file, header), &Segments { file, header }),
        None => Ok(DirectCalls::default()),
    }
}

/// Tells whether the code of a program, [`inspect`]ed to be native, waits for epoll events by
/// direct system calls. Errors: those of fstat(2) and pread(2).
pub fn waits_directly(file: &File) -> Result<bool, Errno> {
    match read::<Elf64_Ehdr>(file, 0)?.filter(has_segments) {
        Some(header) => direct_calls::waits(file, code(file, header)),
        None => Ok(false),
    }
}

/// Kind of an ELF file that is a library and that [`inspect`] calls native.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Library {
    /// A C library or its dynamic linker.
    pub c_library: bool,
    /// Another one whose functions that reach the network have hooks: a part of glibc, liburing.
    pub hooked: bool,
}

impl Library {
    /// Reads the names that the file gives itself and exports.
    pub fn of(file: &(impl ReadAt + ?Sized)) -> Result<Library, Errno> {
        let header = read::<Elf64_Ehdr>(file, 0)?.filter(has_segments);
        match header.map(|header| dynamic(file, header)).transpose()?.flatten() {
            Some(dynamic) => Ok(Library {
                c_library: dynamic.is_c_library(file)?,
                hooked: dynamic.is_hooked(file)?,
            }),
            None => Ok(Library::default()),
        }
    }
}

/// The directories in which the dynamic linker looks for what an ELF file needs, between colons and with
/// NULs behind them.
pub type Directories = [u8; 512];

/// Reads the directories that a file, [`inspect`]ed to be native, names for what it needs
/// (`DT_RUNPATH`, or else `DT_RPATH`), and calls `visit` with the name of each library that it needs.
/// Errors: those of pread(2).
pub fn needed(
    file: &(impl ReadAt + ?Sized),
    visit: impl FnMut(&CStr),
) -> Result<Directories, Errno> {
    let header = read::<Elf64_Ehdr>(file, 0)?.filter(has_segments);
    match header.map(|header| dynamic(file, header)).transpose()?.flatten() {
        Some(dynamic) => {
            let directories = dynamic.directories(file)?;
            dynamic.each_needed(file, visit)?;
            Ok(directories)
        }
        None => Ok([0; 512]),
    }
}

/// A file and where its segments are.
struct Segments<'f> {
    file: &'f File,
    header: Elf64_Ehdr,
}

impl Origin for Segments<'_> {
    fn imports(&self, name: &CStr) -> Result<bool, Errno> {
        match dynamic(self.file, self.header)? {
            Some(dynamic) => dynamic.imports(self.file, name),
            None => Ok(false),
        }
    }

    fn is_rust(&self) -> Result<bool, Errno> {
        // The paths of its sources, which messages of panics name.
        const SOURCES: &[u8] = b"/rustc/";
        for segment in segments(self.file, self.header) {
            let Some(it) = segment? else { break };
            let range = Code { offset: it.p_offset, length: it.p_filesz };
            if it.p_type == libc::PT_LOAD
                && it.p_flags & (libc::PF_W | libc::PF_X) == 0
                && direct_calls::contains(self.file, range, SOURCES)?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The ranges of the file that are loaded as code.
fn code(
    file: &(impl ReadAt + ?Sized),
    header: Elf64_Ehdr,
) -> impl Iterator<Item = Result<Code, Errno>> + Clone {
    segments(file, header).filter_map(|segment| match segment {
        Ok(Some(it)) if it.p_type == libc::PT_LOAD && it.p_flags & libc::PF_X != 0 => {
            Some(Ok(Code { offset: it.p_offset, length: it.p_filesz }))
        }
        Ok(_) => None,
        Err(errno) => Some(Err(errno)),
    })
}

/// Tells whether the kernel would load the file by its segments.
fn has_segments(header: &Elf64_Ehdr) -> bool {
    let sized = usize::from(header.e_phentsize) == size_of::<Elf64_Phdr>();
    let program = header.e_type == libc::ET_EXEC || header.e_type == libc::ET_DYN;
    sized && program && header.e_phnum != 0 && header.e_phnum <= MOST_SEGMENTS
}

/// The program headers; `None` for one that is not there.
fn segments(
    file: &(impl ReadAt + ?Sized),
    header: Elf64_Ehdr,
) -> impl Iterator<Item = Result<Option<Elf64_Phdr>, Errno>> + Clone {
    (0..u64::from(header.e_phnum)).map(move |index| entry(file, header.e_phoff, index))
}

/// The dynamic section of a file.
fn dynamic(file: &(impl ReadAt + ?Sized), header: Elf64_Ehdr) -> Result<Option<Dynamic>, Errno> {
    for segment in segments(file, header) {
        let Some(it) = segment? else { break };
        if it.p_type == libc::PT_DYNAMIC {
            return dynamic_at(file, header, &it).map(Some);
        }
    }
    Ok(None)
}

fn dynamic_at(
    file: &(impl ReadAt + ?Sized),
    header: Elf64_Ehdr,
    segment: &Elf64_Phdr,
) -> Result<Dynamic, Errno> {
    // Where it is loaded, which is what the dynamic linker reads.
    Dynamic::read(file, segment.p_vaddr, |address| offset_of(file, header, address))
}

/// The place in the file of what is loaded at `address`.
fn offset_of(
    file: &(impl ReadAt + ?Sized),
    header: Elf64_Ehdr,
    address: u64,
) -> Result<Option<u64>, Errno> {
    for segment in segments(file, header) {
        let Some(it) = segment? else { break };
        if let Some(distance) = address.checked_sub(it.p_vaddr)
            && it.p_type == libc::PT_LOAD
            && distance < it.p_filesz
        {
            return Ok(it.p_offset.checked_add(distance));
        }
    }
    Ok(None)
}

/// The length that the preload library of this very version has at least, so that all of it can be
/// loaded; `None` if `file` is another file. It reads less than [`inspect`].
pub fn length_of_our_library(file: &(impl ReadAt + ?Sized)) -> Result<Option<u64>, Errno> {
    let head = Head::of(file)?;
    let Some(header) = read::<Elf64_Ehdr>(&head, 0)?.filter(has_segments) else { return Ok(None) };
    let (mut ours, mut length) = (false, 0);
    for segment in segments(&head, header) {
        let Some(segment) = segment? else { return Ok(None) };
        match segment.p_type {
            libc::PT_NOTE => note::for_each(&head, segment.p_offset, segment.p_filesz, |note| {
                ours |= Identity::is_ours(note);
            })?,
            libc::PT_LOAD => {
                length = length.max(segment.p_offset.saturating_add(segment.p_filesz));
            }
            _ => {}
        }
    }
    let native = header.e_ident.starts_with(MAGIC) && header.e_machine == NATIVE_MACHINE;
    Ok((ours && native).then_some(length))
}

/// Reads an interpreter's path; `None` if there is no path to read.
fn interpreter(
    file: &(impl ReadAt + ?Sized),
    segment: &Elf64_Phdr,
) -> Result<Option<Interpreter>, Errno> {
    let mut buffer = [0; Interpreter::LONGEST];
    let length = segment.p_filesz.min(libc::PATH_MAX as u64) as usize;
    let wanted = buffer.get_mut(..length.min(Interpreter::LONGEST)).unwrap_or_default();
    let count = file.read_at(wanted, segment.p_offset)?;
    let path = wanted.get(..count).unwrap_or_default();
    Ok((path.first().is_some_and(|&byte| byte != 0)).then(|| Interpreter::new(path)))
}

/// Tells whether the section names hold `.go.buildinfo`.
fn has_go_section(file: &(impl ReadAt + ?Sized), header: &Elf64_Ehdr) -> Result<bool, Errno> {
    let sized = usize::from(header.e_shentsize) == size_of::<Elf64_Shdr>();
    if !sized || header.e_shstrndx >= header.e_shnum {
        return Ok(false);
    }
    let names = entry::<Elf64_Shdr>(file, header.e_shoff, u64::from(header.e_shstrndx))?;
    match names {
        Some(names) => contains(file, names.sh_offset, names.sh_size.min(MOST_TEXT), GO_SECTION),
        None => Ok(false),
    }
}

/// Searches `length` bytes from `start` on for `needle`, in pieces that overlap by its length.
fn contains(
    file: &(impl ReadAt + ?Sized),
    start: u64,
    length: u64,
    needle: &[u8],
) -> Result<bool, Errno> {
    let mut buffer = [0; 512];
    let overlap = needle.len() as u64;
    let mut position = 0;
    while position < length {
        let Some(offset) = start.checked_add(position) else { return Ok(false) };
        let wanted = (length - position).min(buffer.len() as u64) as usize;
        let count = file.read_at(buffer.get_mut(..wanted).unwrap_or_default(), offset)?;
        let piece = buffer.get(..count).unwrap_or_default();
        if piece.windows(needle.len()).any(|window| window == needle) {
            return Ok(true);
        }
        if count as u64 <= overlap {
            return Ok(false);
        }
        position += count as u64 - overlap;
    }
    Ok(false)
}

#[cfg(test)]
#[path = "elf_tests.rs"]
mod tests;
