//! A function of libc, found in libc's own symbol table: for those that the dynamic linker would be
//! asked by.

use core::ffi::{CStr, c_char, c_int, c_void};
use core::mem::MaybeUninit;
use core::ptr::null_mut;

/// An entry of the dynamic section, and one of the symbol table (System V ABI, 64 bits).
#[repr(C)]
struct Dynamic {
    tag: i64,
    value: usize,
}

#[repr(C)]
struct Symbol {
    name: u32,
    _information: [u8; 2],
    section: u16,
    value: usize,
    _size: usize,
}

const DT_NULL: i64 = 0;
const DT_STRTAB: i64 = 5;
const DT_SYMTAB: i64 = 6;
const DT_GNU_HASH: i64 = 0x6fff_fef5;

/// The head of the dynamic linker's record of an object (link.h).
#[repr(C)]
struct LinkMap {
    base: usize,
    _name: *const c_char,
    dynamic: *const Dynamic,
}

unsafe extern "C" {
    fn dladdr1(
        address: *const c_void,
        information: *mut libc::Dl_info,
        extra: *mut *mut c_void,
        flags: c_int,
    ) -> c_int;
}

const RTLD_DL_LINKMAP: c_int = 2;

/// The address of libc's function `name`, whichever version: null if it has none. Not
/// async-signal-safe.
pub fn find(name: &CStr) -> *mut c_void {
    let mut information = MaybeUninit::<libc::Dl_info>::uninit();
    let mut map = null_mut();
    let inside = libc::__errno_location as *const c_void;
    // SAFETY: dladdr1 fills both when it answers non-zero; libc is never unloaded.
    unsafe {
        match dladdr1(inside, information.as_mut_ptr(), &raw mut map, RTLD_DL_LINKMAP) {
            0 => null_mut(),
            _ => (*map.cast::<LinkMap>()).find(name),
        }
    }
}

impl LinkMap {
    /// # Safety
    /// The object is loaded, and stays.
    unsafe fn find(&self, name: &CStr) -> *mut c_void {
        // SAFETY: the caller's contract: the sections are where the dynamic one says.
        unsafe {
            let [Some(hash), Some(symbols), Some(strings)] =
                [DT_GNU_HASH, DT_SYMTAB, DT_STRTAB].map(|tag| self.section(tag))
            else {
                return null_mut();
            };
            let strings = strings.cast::<c_char>();
            for index in candidates(hash.cast(), name) {
                let symbol = &*symbols.cast::<Symbol>().add(index as usize);
                let is_defined = symbol.section != 0;
                if is_defined && CStr::from_ptr(strings.add(symbol.name as usize)) == name {
                    return core::ptr::with_exposed_provenance_mut(self.base + symbol.value);
                }
            }
            null_mut()
        }
    }

    /// # Safety
    /// As `find`.
    unsafe fn section(&self, tag: i64) -> Option<*const u8> {
        let mut entry = self.dynamic;
        // SAFETY: the section ends with DT_NULL.
        unsafe {
            while (*entry).tag != tag {
                if (*entry).tag == DT_NULL {
                    return None;
                }
                entry = entry.add(1);
            }
            // The dynamic linker has made addresses of the offsets, or has left them.
            let value = (*entry).value;
            let address = if value < self.base { self.base + value } else { value };
            Some(core::ptr::with_exposed_provenance(address))
        }
    }
}

/// The symbols whose hash is the name's: those of a bucket, up to the one with the lowest bit set.
///
/// # Safety
/// `table` is a DT_GNU_HASH table.
unsafe fn candidates(table: *const u32, name: &CStr) -> impl Iterator<Item = u32> {
    let wanted = hash(name);
    // SAFETY: the caller's contract: four numbers, the filter in words of 64 bits, the buckets, and
    // a hash for each symbol from `first` on.
    unsafe {
        let (buckets, first, filter) = (*table, *table.add(1), *table.add(2));
        let bucket = table.add(4 + 2 * filter as usize);
        let chain = bucket.add(buckets as usize);
        let mut next = match buckets {
            0 => 0,
            _ => *bucket.add((wanted % buckets) as usize),
        };
        core::iter::from_fn(move || {
            let index = next;
            let seen = *chain.add(index.checked_sub(first)? as usize);
            next = if seen & 1 == 0 { index + 1 } else { 0 };
            Some((index, seen))
        })
        .filter(move |(_, seen)| seen | 1 == wanted | 1)
        .map(|(index, _)| index)
    }
}

/// The GNU hash of a symbol's name.
fn hash(name: &CStr) -> u32 {
    let step = |hash: u32, byte: &u8| hash.wrapping_mul(33).wrapping_add(u32::from(*byte));
    name.to_bytes().iter().fold(5381, step)
}
