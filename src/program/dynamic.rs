//! The dynamic section of an ELF file: what the dynamic linker reads of a program or library.

use core::ffi::CStr;

use libc::Elf64_Sym;

use super::ReadAt;
use super::c_library::{STARTS_PROGRAMS, is_name_of_part, is_name_of_whole};
use super::plain::{entry, read};
use crate::bytes::Plain;
use crate::sys::Errno;

// SAFETY: integers, C layout.
unsafe impl Plain for Elf64_Sym {}
// SAFETY: as above.
unsafe impl Plain for [u32; 4] {}
// SAFETY: as above.
unsafe impl Plain for [u64; 2] {}

const NULL: u64 = 0;
const STRTAB: u64 = 5;
const SYMTAB: u64 = 6;
const NEEDED: u64 = 1;
const HASH: u64 = 4;
const RPATH: u64 = 15;
const RUNPATH: u64 = 29;
const SONAME: u64 = 14;
const GNU_HASH: u64 = 0x6fff_fef5;
const DEPAUDIT: u64 = 0x6fff_fefb;
const AUDIT: u64 = 0x6fff_fefc;

/// The hash that GNU's tables are built by.
pub const fn symbol_hash(name: &CStr) -> u32 {
    let bytes = name.to_bytes();
    let (mut hash, mut index) = (5381u32, 0);
    while index < bytes.len() {
        hash = hash.wrapping_mul(33).wrapping_add(bytes[index] as u32);
        index += 1;
    }
    hash
}

/// The size of an entry (elf.h): a tag and a value.
const ENTRY: usize = 16;
/// Number that is read at once, as each read is a system call.
const BLOCK: usize = 32;
/// The longest name of a library that is read, with its NUL.
const LONGEST_NAME: usize = 256;
/// More entries than this no linker makes.
const MOST: usize = 1024;

fn tag_and_value(entry: &[u8; ENTRY]) -> (u64, u64) {
    let [a, b, c, d, e, f, g, h, value @ ..] = *entry;
    (u64::from_ne_bytes([a, b, c, d, e, f, g, h]), u64::from_ne_bytes(value))
}

/// Facts about a dynamic section.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Dynamic {
    /// It has the dynamic linker load an audit library (`DT_AUDIT`, `DT_DEPAUDIT`), which gets a C
    /// library of its own.
    pub(super) audits: bool,
    /// It needs a library.
    pub(super) needs: bool,
    strings: Option<u64>,
    symbols: Option<u64>,
    hashes: Option<u64>,
    /// Place of the old hash table (`DT_HASH`), which Go's linker writes alone.
    old_hashes: Option<u64>,
    name: Option<u64>,
    /// Place of the section in the file.
    start: Option<u64>,
    /// Directories in which the dynamic linker looks for what the file needs (`DT_RUNPATH`).
    run_path: Option<u64>,
    /// The same, where there are none of these (`DT_RPATH`).
    old_run_path: Option<u64>,
}

impl Dynamic {
    /// Reads the section at `address` of a file that is loaded as `offset_of` says: it gives the
    /// place in the file of an address.
    pub(super) fn read(
        file: &(impl ReadAt + ?Sized),
        address: u64,
        offset_of: impl Fn(u64) -> Result<Option<u64>, Errno>,
    ) -> Result<Dynamic, Errno> {
        let mut dynamic = Dynamic::default();
        let Some(start) = offset_of(address)? else { return Ok(dynamic) };
        dynamic.start = Some(start);
        for block in (0..MOST).step_by(BLOCK) {
            let Some(offset) = start.checked_add((block * ENTRY) as u64) else { break };
            let mut bytes = [0; BLOCK * ENTRY];
            let count = file.read_at(&mut bytes, offset)?;
            let (entries, _) = bytes.get(..count).unwrap_or_default().as_chunks::<ENTRY>();
            for entry in entries {
                let (tag, value) = tag_and_value(entry);
                match tag {
                    NULL => return Ok(dynamic),
                    STRTAB => dynamic.strings = offset_of(value)?,
                    SYMTAB => dynamic.symbols = offset_of(value)?,
                    GNU_HASH => dynamic.hashes = offset_of(value)?,
                    HASH => dynamic.old_hashes = offset_of(value)?,
                    SONAME => dynamic.name = Some(value),
                    RUNPATH => dynamic.run_path = Some(value),
                    RPATH => dynamic.old_run_path = Some(value),
                    AUDIT | DEPAUDIT => dynamic.audits = true,
                    NEEDED => dynamic.needs = true,
                    _ => {}
                }
            }
            if entries.len() < BLOCK {
                break;
            }
        }
        Ok(dynamic)
    }

    /// Tells whether the file is a C library, by the name that it gives itself or by what it
    /// exports.
    pub(super) fn is_c_library(&self, file: &(impl ReadAt + ?Sized)) -> Result<bool, Errno> {
        if is_name_of_whole(&self.name(file)?) {
            return Ok(true);
        }
        for symbol in STARTS_PROGRAMS {
            if self.defines(file, symbol)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Reads the list of directories in which the dynamic linker looks for what the file needs, between colons;
    /// empty without one. Longer than `N` it is cut off.
    pub(super) fn directories<const N: usize>(
        &self,
        file: &(impl ReadAt + ?Sized),
    ) -> Result<[u8; N], Errno> {
        let place = self.run_path.or(self.old_run_path);
        place.map_or(Ok([0; N]), |place| self.string(file, place))
    }

    /// Calls `visit` with the name of each library that the file needs.
    pub(super) fn each_needed(
        &self,
        file: &(impl ReadAt + ?Sized),
        mut visit: impl FnMut(&CStr),
    ) -> Result<(), Errno> {
        let Some(start) = self.start else { return Ok(()) };
        for index in 0..MOST as u64 {
            let Some([tag, value]) = entry::<[u64; 2]>(file, start, index)? else { break };
            match tag {
                NULL => break,
                NEEDED => {
                    let name: [u8; LONGEST_NAME] = self.string(file, value)?;
                    if let Ok(name) = CStr::from_bytes_until_nul(&name) {
                        visit(name);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Tells whether the hooks stand for what the file exports, by the name that it gives itself.
    pub(super) fn is_hooked(&self, file: &(impl ReadAt + ?Sized)) -> Result<bool, Errno> {
        Ok(is_name_of_part(&self.name(file)?))
    }

    /// The name that the file gives itself; empty without one.
    fn name(&self, file: &(impl ReadAt + ?Sized)) -> Result<[u8; 32], Errno> {
        self.name.map_or(Ok([0; 32]), |name| self.string(file, name))
    }

    /// Tells whether the file's GNU hash table leads to a definition of `name`.
    fn defines(&self, file: &(impl ReadAt + ?Sized), name: &CStr) -> Result<bool, Errno> {
        let (Some(hashes), Some(symbols)) = (self.hashes, self.symbols) else { return Ok(false) };
        let Some([buckets, first, words, _]) = read::<[u32; 4]>(file, hashes)? else {
            return Ok(false);
        };
        if buckets == 0 {
            return Ok(false);
        }
        let hash = symbol_hash(name);
        let table = hashes.saturating_add(16 + 8 * u64::from(words));
        let chains = table.saturating_add(4 * u64::from(buckets));
        let mut index = match entry::<u32>(file, table, u64::from(hash % buckets))? {
            Some(index) if index >= first && index != 0 => index,
            _ => return Ok(false),
        };
        loop {
            let Some(link) = entry::<u32>(file, chains, u64::from(index - first))? else {
                return Ok(false);
            };
            if link | 1 == hash | 1 && self.is_definition(file, symbols, index, name)? {
                return Ok(true);
            }
            index = match index.checked_add(1) {
                Some(next) if link & 1 == 0 => next,
                _ => return Ok(false),
            };
        }
    }

    /// Tells whether the dynamic linker is to find `name` for the file. Symbols without a
    /// definition stand before those of the GNU hash table; the old one counts all symbols. Without a table
    /// the answer is no.
    pub(super) fn imports(
        &self,
        file: &(impl ReadAt + ?Sized),
        name: &CStr,
    ) -> Result<bool, Errno> {
        let table = self.hashes.or(self.old_hashes);
        let (Some(table), Some(symbols)) = (table, self.symbols) else { return Ok(false) };
        // The buckets and the first symbol that has a hash; the buckets and the symbols.
        let Some([_, end, _, _]) = read::<[u32; 4]>(file, table)? else { return Ok(false) };
        for index in 1..u64::from(end) {
            let Some(symbol) = entry::<Elf64_Sym>(file, symbols, index)? else { break };
            if symbol.st_shndx != 0 {
                continue;
            }
            let text = self.string::<32>(file, u64::from(symbol.st_name))?;
            if text.starts_with(name.to_bytes_with_nul()) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn is_definition(
        &self,
        file: &(impl ReadAt + ?Sized),
        symbols: u64,
        index: u32,
        name: &CStr,
    ) -> Result<bool, Errno> {
        let Some(symbol) = entry::<Elf64_Sym>(file, symbols, u64::from(index))? else {
            return Ok(false);
        };
        let text = self.string::<32>(file, u64::from(symbol.st_name))?;
        Ok(symbol.st_shndx != 0 && text.starts_with(name.to_bytes_with_nul()))
    }

    /// The start of a string of the table, filled up with NULs.
    fn string<const N: usize>(
        &self,
        file: &(impl ReadAt + ?Sized),
        at: u64,
    ) -> Result<[u8; N], Errno> {
        let mut text = [0; N];
        if let Some(offset) = self.strings.and_then(|start| start.checked_add(at)) {
            match file.read_at(&mut text, offset) {
                Ok(_) | Err(Errno(libc::EINVAL)) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(text)
    }
}
