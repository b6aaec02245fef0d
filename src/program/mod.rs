//! Facts about an executable file that decide whether a preload library can protect it.
//!
//! Read from the file by raw system calls, without allocation: async-signal-safe, so that the
//! `execve` hook can ask in a child after `fork`. A hostile file gives wrong facts at worst, never
//! a read out of bounds.
//!
//! - [`Facts`]: of one file
//! - [`elf`], [`script`]: the two formats that the kernel itself loads; `dynamic`: an ELF file's dynamic section
//! - `head`, `plain`: the start of a file, and plain values in it
//! - [`linker`]: glibc's dynamic linker, told from any other file
//! - [`library_cache`]: where that linker finds a library by its name
//! - [`note`]: notes in ELF files, among them the preload library's own
//! - [`c_library`]: what tells a C library, in a file or in memory
//! - [`direct_calls`]: code that enters the kernel without the C library

pub mod c_library;
pub mod direct_calls;
mod dynamic;
pub mod elf;
mod head;
pub mod library_cache;
pub mod linker;
pub mod note;
mod plain;
pub mod script;

use core::ffi::CStr;

use crate::sys::{Errno, File};
pub use direct_calls::DirectCalls;
pub use dynamic::symbol_hash;
pub use elf::Elf;
use head::Head;
pub use script::Script;

/// Something whose bytes can be read by position: a file, or a slice.
pub trait ReadAt {
    /// Reads at `offset` into `buffer`; fewer bytes than asked for only near the end, 0 at it.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, Errno>;
}

impl ReadAt for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, Errno> {
        File::read_at(self, buffer, offset)
    }
}

impl ReadAt for [u8] {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, Errno> {
        let rest = usize::try_from(offset).ok().and_then(|start| self.get(start..)).unwrap_or(&[]);
        let count = rest.len().min(buffer.len());
        for (target, byte) in buffer.iter_mut().zip(rest) {
            *target = *byte;
        }
        Ok(count)
    }
}

/// Facts about one file.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// A regular file; the kernel executes nothing else.
    pub regular: bool,
    /// The set-user-ID bit.
    pub setuid: bool,
    /// The set-group-ID bit together with group execution (without it the bit means locking).
    pub setgid: bool,
    /// Has file capabilities (capabilities(7)).
    pub capabilities: bool,
    /// Kind of file, by which the kernel would load it.
    pub kind: Kind,
    /// The system calls that its own code makes. Not looked for in a foreign program.
    pub direct_calls: DirectCalls,
}

/// Ways in which the kernel loads a file.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::large_enum_variant)] // There is no allocator to box with.
pub enum Kind {
    /// An ELF program.
    Elf(Elf),
    /// A `#!` script.
    Script(Script),
    /// Neither, but it has no NUL byte where a shell looks: `execvp` hands it to `/bin/sh`.
    Text,
    /// Anything else: damaged, or left to binfmt_misc.
    Other,
}

impl Facts {
    /// Inspects the file at `path`, relative to `directory` (or [`libc::AT_FDCWD`]). Errors: those
    /// of openat(2), fstat(2), pread(2); `EACCES` also for a file that may be executed but not
    /// read.
    pub fn of_path(directory: i32, path: &CStr) -> Result<Facts, Errno> {
        Facts::of_file(&File::open_at(directory, path)?)
    }

    /// Inspects the file behind `fd`, which stays open and where it is; one opened with `O_PATH` is
    /// opened again through /proc. Errors: `EBADF` (also for a write-only descriptor), `EMFILE`,
    /// those of fstat(2) and pread(2).
    pub fn of_descriptor(fd: i32) -> Result<Facts, Errno> {
        match Facts::of_file(&File::duplicate(fd)?) {
            Err(Errno(libc::EBADF)) => {
                let file = File::reopen(fd).map_err(|_| Errno(libc::EBADF))?;
                Facts::of_file(&file)
            }
            facts => facts,
        }
    }

    /// Tells whether it is a program of Go's that can look names up by the C library.
    pub fn asks_c_library(&self) -> bool {
        matches!(self.kind, Kind::Elf(Elf { asks_c_library: true, .. }))
    }

    /// Tells whether it is a program of Go's whose own resolver is the only one.
    pub fn asks_only_by_go(&self) -> bool {
        matches!(self.kind, Kind::Elf(Elf { go: true, asks_c_library: false, .. }))
    }

    fn of_file(file: &File) -> Result<Facts, Errno> {
        let mode = file.mode()?;
        let regular = mode & libc::S_IFMT == libc::S_IFREG;
        let kind = if regular { Kind::of(file)? } else { Kind::Other };
        let direct_calls = match &kind {
            // Of static programs and Go's it is known.
            Kind::Elf(elf) if elf.is_native() && elf.interpreter.is_some() && !elf.go => {
                elf::direct_calls(file)?
            }
            _ => DirectCalls::default(),
        };
        let group_executed = libc::S_ISGID | libc::S_IXGRP;
        Ok(Facts {
            regular,
            setuid: mode & libc::S_ISUID != 0,
            setgid: mode & group_executed == group_executed,
            capabilities: regular && file.has_attribute(c"security.capability")?,
            kind,
            direct_calls,
        })
    }
}

/// Tells whether the program that this process runs waits for epoll events by system calls of its
/// own, which no hook sees. It looks through the program's code, some gigabytes a second. Errors:
/// those of openat(2) and pread(2).
pub fn running_program_waits_directly() -> Result<bool, Errno> {
    elf::waits_directly(&File::open_at(libc::AT_FDCWD, c"/proc/self/exe")?)
}

impl Kind {
    /// Tells the format by the first bytes, as the kernel does.
    pub fn of(file: &(impl ReadAt + ?Sized)) -> Result<Kind, Errno> {
        let head = Head::of(file)?;
        let start = head.bytes().get(..script::LINE).unwrap_or(head.bytes());
        if start.starts_with(elf::MAGIC) {
            return Ok(elf::inspect(&head)?.map_or(Kind::Other, Kind::Elf));
        }
        if start.starts_with(script::MAGIC) {
            return Ok(Script::parse(start).map_or(Kind::Other, Kind::Script));
        }
        Ok(if start.contains(&0) { Kind::Other } else { Kind::Text })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_is_text_as_execvp_treats_it() {
        assert!(matches!(Kind::of(&b""[..]), Ok(Kind::Text)));
        assert!(matches!(Kind::of(&b"echo hello\n"[..]), Ok(Kind::Text)));
        assert!(matches!(Kind::of(&b"PK\x03\x04\x00\x00"[..]), Ok(Kind::Other)));
    }

    #[test]
    fn a_directory_and_a_device_are_not_regular() {
        let directory = Facts::of_path(libc::AT_FDCWD, c"/").unwrap();
        let device = Facts::of_path(libc::AT_FDCWD, c"/dev/null").unwrap();
        assert!(!directory.regular && !device.regular);
    }

    #[test]
    fn a_missing_file_and_a_closed_descriptor_are_errors() {
        let missing = Facts::of_path(libc::AT_FDCWD, c"/nonexistent").unwrap_err();
        assert_eq!(missing, Errno(libc::ENOENT));
        assert_eq!(Facts::of_descriptor(-1).unwrap_err(), Errno(libc::EBADF));
    }

    #[test]
    fn the_program_that_runs_is_told_from_another() {
        let open = |path| File::open_at(libc::AT_FDCWD, path).unwrap();
        assert!(open(c"/proc/self/exe").is_running() && !open(c"/bin/sh").is_running());
    }

    #[test]
    fn the_running_test_is_a_dynamic_program_of_this_machine() {
        let facts = Facts::of_path(libc::AT_FDCWD, c"/proc/self/exe").unwrap();
        let Kind::Elf(elf) = facts.kind else { panic!("not ELF: {facts:?}") };
        assert!(elf.is_native() && elf.interpreter.is_some() && !elf.go, "{elf:?}");
    }
}
