//! One loaded object's tables of symbols (System V ABI, "Dynamic Linking"; GNU's hash table).

use core::ffi::{CStr, c_char, c_void};
use core::ptr::{null, with_exposed_provenance, with_exposed_provenance_mut};

use libc::Elf64_Sym;

use crate::program::{c_library, symbol_hash};

/// An entry of a dynamic section.
#[repr(C)]
pub struct Dynamic {
    tag: i64,
    value: usize,
}

// Tags (elf.h).
const NULL: i64 = 0;
const STRTAB: i64 = 5;
const SYMTAB: i64 = 6;
const SONAME: i64 = 14;
const GNU_HASH: i64 = 0x6fff_fef5;
const VERSYM: i64 = 0x6fff_fff0;
const VERDEF: i64 = 0x6fff_fffc;
const FLAGS_1: i64 = 0x6fff_fffb;
const AUXILIARY: i64 = 0x7fff_fffd;
const FILTER: i64 = 0x7fff_ffff;
/// In `FLAGS_1`: the object is searched before others (`DF_1_INTERPOSE`).
const INTERPOSE: usize = 0x400;

// Symbols: what stands for a value, and who may see it.
const STT_FUNC: u8 = 2;
const STT_GNU_IFUNC: u8 = 10;
const STB_LOCAL: u8 = 0;
const SHN_UNDEF: u16 = 0;
const SHN_ABS: u16 = 0xfff1;

/// In a version index: only who names the version is meant.
const HIDDEN: u16 = 0x8000;
/// The highest version index that is not a version: local, or global without one.
const UNVERSIONED: u16 = 1;

/// Addresses of an object's tables. They are read-only and the object stays loaded.
pub struct Object {
    base: usize,
    strings: *const c_char,
    symbols: *const Elf64_Sym,
    /// A version index for each symbol, or null.
    versions: *const u16,
    hashes: *const u32,
    /// An offset in `strings`.
    name: Option<usize>,
    asks_to_be_earlier: bool,
}

/// A version that an object defines (`Elf64_Verdef` of elf.h).
#[repr(C)]
struct Version {
    head: [u16; 4],
    hash: u32,
    first_name: u32,
    next: u32,
}

/// Tells whether the object loaded at `base` with this dynamic section is a C library, a part of
/// one that reaches the network, or another library whose functions have hooks: by the name that it
/// gives itself, by the versions that it defines or by what it exports. It must stay loaded
/// meanwhile.
pub fn is_hooked_library(base: usize, dynamic: *const Dynamic) -> bool {
    let (mut strings, mut name, mut versions) = (null::<c_char>(), None, None);
    let mut entry = dynamic;
    // SAFETY: within the section, which NULL ends; the object's own offsets of strings in its table,
    // and of its versions, which the dynamic linker leaves as they are in the file.
    unsafe {
        while !entry.is_null() && (*entry).tag != NULL {
            match (*entry).tag {
                STRTAB => strings = with_exposed_provenance((*entry).value),
                SONAME => name = Some((*entry).value),
                VERDEF => versions = Some(base.wrapping_add((*entry).value)),
                _ => {}
            }
            entry = entry.add(1);
        }
        if strings.addr() < base {
            return false;
        }
        let string = |offset| CStr::from_ptr(strings.add(offset)).to_bytes();
        if name.is_some_and(|name| c_library::is_name_of_part(string(name))) {
            return true;
        }
        let mut version = with_exposed_provenance::<Version>(versions.unwrap_or(0));
        while let Some(Version { first_name, next, .. }) = version.as_ref() {
            let name = *version.byte_add(*first_name as usize).cast::<u32>();
            if c_library::is_version(string(name as usize)) {
                return true;
            }
            version = if *next == 0 { null() } else { version.byte_add(*next as usize) };
        }
    }
    Object::of(base, dynamic).is_some_and(|object| {
        c_library::STARTS_PROGRAMS.iter().any(|name| object.find(name, symbol_hash(name)).is_some())
    })
}

/// A symbol that an object defines.
pub struct Definition {
    address: usize,
    is_chosen_at_run_time: bool,
}

impl Object {
    /// The object loaded at `base` with this dynamic section, which must stay loaded. `None` if it
    /// has no GNU hash table, or asks the dynamic linker for another order of search.
    pub fn of(base: usize, dynamic: *const Dynamic) -> Option<Object> {
        Object::of_any_place(base, dynamic).filter(|object| !object.asks_to_be_earlier)
    }

    /// As [`Object::of`], also if it asks to be searched before others.
    pub fn of_any_place(base: usize, dynamic: *const Dynamic) -> Option<Object> {
        let mut object = Object {
            base,
            strings: null(),
            symbols: null(),
            versions: null(),
            hashes: null(),
            name: None,
            asks_to_be_earlier: false,
        };
        let mut entry = dynamic;
        loop {
            // SAFETY: within the section, which NULL ends.
            let Dynamic { tag, value } = unsafe { entry.as_ref()? };
            match *tag {
                NULL => break,
                STRTAB => object.strings = with_exposed_provenance(*value),
                SYMTAB => object.symbols = with_exposed_provenance(*value),
                GNU_HASH => object.hashes = with_exposed_provenance(*value),
                VERSYM => object.versions = with_exposed_provenance(*value),
                SONAME => object.name = Some(*value),
                AUXILIARY | FILTER => return None,
                FLAGS_1 => object.asks_to_be_earlier = value & INTERPOSE != 0,
                _ => {}
            }
            // SAFETY: NULL was not reached.
            entry = unsafe { entry.add(1) };
        }
        let tables = [object.strings.cast(), object.symbols.cast(), object.hashes];
        tables.iter().all(|table| !table.is_null()).then_some(object)
    }

    /// Tells whether the dynamic linker searches it: it has made addresses of the offsets in the
    /// dynamic section. It has not in the kernel's own object, the vDSO, which only stands in the
    /// list.
    pub fn is_searched(&self) -> bool {
        self.strings.addr() >= self.base
    }

    /// Tells whether the object calls itself `name`.
    pub fn is_named(&self, name: &CStr) -> bool {
        self.name.is_some_and(|offset| self.string(offset) == name)
    }

    fn string(&self, offset: usize) -> &CStr {
        // SAFETY: the object's own offset of a string in its table.
        unsafe { CStr::from_ptr(self.strings.add(offset)) }
    }

    /// Finds what the object defines as `name`, without a version or by its default version.
    pub fn find(&self, name: &CStr, hash: u32) -> Option<Definition> {
        // SAFETY: every index follows from the table's own numbers, as the dynamic linker reads it.
        unsafe {
            let [buckets, first, words, shift] = *self.hashes.cast::<[u32; 4]>();
            let filter = self.hashes.add(4).cast::<u64>();
            let word = *filter.add((hash / 64 % words) as usize);
            if word >> (hash % 64) & word >> (hash >> shift & 63) & 1 == 0 {
                return None;
            }
            let table = self.hashes.add(4 + 2 * words as usize);
            let mut index = *table.add((hash % buckets) as usize);
            if index == 0 {
                return None;
            }
            let chain = table.add(buckets as usize);
            loop {
                let link = *chain.add((index - first) as usize);
                // A chain's last link has the lowest bit set, in place of the hash's.
                if link | 1 == hash | 1
                    && let Some(definition) = self.definition(index as usize, name)
                {
                    return Some(definition);
                }
                if link & 1 != 0 {
                    return None;
                }
                index += 1;
            }
        }
    }

    /// Calls `each` with every name in the hash table.
    #[cfg(test)]
    pub fn each_name(&self, mut each: impl FnMut(&'static CStr)) {
        // SAFETY: as in `find`.
        unsafe {
            let [buckets, first, words, _] = *self.hashes.cast::<[u32; 4]>();
            let table = self.hashes.add(4 + 2 * words as usize);
            let chain = table.add(buckets as usize);
            for bucket in 0..buckets as usize {
                let mut index = *table.add(bucket);
                while index != 0 {
                    let name = (*self.symbols.add(index as usize)).st_name as usize;
                    each(CStr::from_ptr(self.strings.add(name)));
                    let is_last = *chain.add((index - first) as usize) & 1 != 0;
                    index = if is_last { 0 } else { index + 1 };
                }
            }
        }
    }

    /// The symbol at `index`, if it is the meant one.
    ///
    /// # Safety
    /// Number of symbols in the table.
    unsafe fn definition(&self, index: usize, name: &CStr) -> Option<Definition> {
        // SAFETY: both tables have as many entries, as the caller vouches.
        let (symbol, version) = unsafe {
            let version = self.versions.is_null().then_some(UNVERSIONED);
            (&*self.symbols.add(index), version.unwrap_or_else(|| *self.versions.add(index)))
        };
        let kind = symbol.st_info & 0xf;
        let is_meant = ![SHN_UNDEF, SHN_ABS].contains(&symbol.st_shndx)
            && symbol.st_info >> 4 != STB_LOCAL
            && (kind <= STT_FUNC || kind == STT_GNU_IFUNC)
            && (version & !HIDDEN <= UNVERSIONED || version & HIDDEN == 0)
            && self.string(symbol.st_name as usize) == name;
        is_meant.then(|| Definition {
            address: self.base.wrapping_add(symbol.st_value as usize),
            is_chosen_at_run_time: kind == STT_GNU_IFUNC,
        })
    }
}

impl Definition {
    /// Its address. `None` if it is chosen in a way that only the dynamic linker knows.
    pub fn address(&self) -> Option<*mut c_void> {
        let address = with_exposed_provenance_mut::<c_void>(self.address);
        if !self.is_chosen_at_run_time {
            return Some(address);
        }
        #[cfg(target_arch = "x86_64")]
        {
            // SAFETY: a resolver of this architecture takes nothing and answers the function.
            let choose: extern "C" fn() -> *mut c_void = unsafe { core::mem::transmute(address) };
            Some(choose())
        }
        #[cfg(not(target_arch = "x86_64"))]
        None
    }
}
