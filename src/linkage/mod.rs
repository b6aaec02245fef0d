//! The functions of the objects that the dynamic linker has loaded, found in their own tables.
//!
//! `dlsym(RTLD_NEXT, …)` takes a lock and half a microsecond, for each of a hundred hooks at every
//! exec, and can't be asked in a signal handler. What it answers stands in memory that does not
//! change: the objects behind this one, up to libc, are loaded before any code of the process runs
//! and stay. They are read here, without a lock, in the order in which the dynamic linker searches
//! them, so that another library that stands before libc's function is found first.
//!
//! Only glibc's layout is known. Where something is not as expected there is no answer, and its asker has the
//! dynamic linker left.

mod object;

use core::ffi::{CStr, c_char, c_int, c_void};

use crate::program::symbol_hash;
use object::{Dynamic, Object};

/// The object behind which nothing is searched: it has all that is asked for.
const LIBC: &CStr = c"libc.so.6";

/// `struct link_map` of link.h, as far as it is public.
#[repr(C)]
struct LinkMap {
    base: usize,
    name: *const c_char,
    dynamic: *const Dynamic,
    next: *const LinkMap,
    previous: *const LinkMap,
}

/// `struct r_debug` of link.h, as far as it is needed.
#[repr(C)]
struct Rendezvous {
    version: c_int,
    first: *const LinkMap,
}

unsafe extern "C" {
    /// Data that the dynamic linker keeps for debuggers.
    static _r_debug: Rendezvous;
    /// The dynamic section of the object that this code is linked into.
    static _DYNAMIC: Dynamic;
}

/// A symbol's name, with the hash that tables are asked by. Two registers: as a constant in memory,
/// each would have to be relocated at every exec.
#[derive(Clone, Copy, Debug)]
pub struct Symbol {
    name: *const c_char,
    hash: u32,
}

impl Symbol {
    /// The symbol `name`; in a constant, so that nothing of it is left to do at run time.
    pub const fn new(name: &'static CStr) -> Self {
        Symbol { name: name.as_ptr(), hash: symbol_hash(name) }
    }

    /// Its name.
    pub fn name(self) -> &'static CStr {
        // SAFETY: `new` took it from a C string that stays.
        unsafe { CStr::from_ptr(self.name) }
    }
}

/// Finds the definition of `symbol` in the first object behind this one that has it, as
/// `dlsym(RTLD_NEXT, …)` does. `None` if libc and the objects before it don't define the symbol, or
/// can't be read. Async-signal-safe.
pub fn next(symbol: Symbol) -> Option<*mut c_void> {
    for object in following() {
        let object = object?;
        if let Some(definition) = object.find(symbol.name(), symbol.hash) {
            return definition.address();
        }
        if object.is_named(LIBC) {
            break;
        }
    }
    None
}

/// Finds the definition of `symbol` in libc itself, whatever objects come before it. `None` if libc
/// has none or can't be read. Async-signal-safe.
pub fn in_libc(symbol: Symbol) -> Option<*mut c_void> {
    let libc = following().flatten().find(|object| object.is_named(LIBC))?;
    libc.find(symbol.name(), symbol.hash)?.address()
}

/// Finds the definition of `symbol` in the object of the dynamic linker's entry `map` (dladdr1's
/// `RTLD_DL_LINKMAP`). `None` if it has none or can't be read.
///
/// # Safety
/// `map` is null or the entry of an object that stays loaded during the call.
pub unsafe fn defined_in(map: *const c_void, symbol: Symbol) -> Option<*mut c_void> {
    // SAFETY: the caller's contract.
    let map = unsafe { map.cast::<LinkMap>().as_ref()? };
    Object::of(map.base, map.dynamic)?.find(symbol.name(), symbol.hash)?.address()
}

/// Finds the definition of `name` in this object. Async-signal-safe.
pub fn in_this_object(name: &CStr) -> Option<*mut c_void> {
    let map = own()?;
    Object::of(map.base, map.dynamic)?.find(name, symbol_hash(name))?.address()
}

/// An address in the dynamic linker.
pub fn in_dynamic_linker() -> *const c_void {
    (&raw const _r_debug).cast()
}

/// Tells whether the object of the dynamic linker's entry `map` is a C library or another one whose
/// functions have hooks, whatever the name of its file.
///
/// # Safety
/// As of [`defined_in`].
pub unsafe fn is_hooked_library(map: *const c_void) -> bool {
    // SAFETY: the caller's contract.
    let map = unsafe { map.cast::<LinkMap>().as_ref() };
    map.is_some_and(|map| object::is_hooked_library(map.base, map.dynamic))
}

/// An address in each object that is searched before this one, and in this one. Async-signal-safe.
pub fn up_to_this_object() -> impl Iterator<Item = *const c_void> {
    let own = &raw const _DYNAMIC;
    // SAFETY: as in `own`.
    let maps = list(unsafe { _r_debug.first });
    let mut is_behind = false;
    maps.take_while(move |map| !core::mem::replace(&mut is_behind, map.dynamic == own))
        .map(|map| map.dynamic.cast())
}

/// An address in each object between this one and libc that defines `name`: what [`next`] may find
/// instead of libc's function. Also in those that can't be read. Async-signal-safe.
pub fn wrappers(name: &CStr) -> impl Iterator<Item = *const c_void> {
    let hash = symbol_hash(name);
    behind()
        .map(|map| (map, Object::of(map.base, map.dynamic)))
        .take_while(|(_, object)| !object.as_ref().is_some_and(|object| object.is_named(LIBC)))
        .filter(move |(_, object)| {
            object.as_ref().is_none_or(|object| object.find(name, hash).is_some())
        })
        .map(|(map, _)| map.dynamic.cast())
}

/// Tells whether these functions of this object are the first ones: no object that is searched before it defines one of
/// them, and none that can't be read asks to be searched earlier than it stands. Async-signal-safe.
pub fn come_first(symbols: &[Symbol]) -> bool {
    // SAFETY: as in `own`.
    let maps = list(unsafe { _r_debug.first });
    let mut before = maps
        .take_while(|map| map.dynamic != &raw const _DYNAMIC)
        .map(|map| Object::of_any_place(map.base, map.dynamic));
    let lacks_all = |object: Object| {
        let lacks = |symbol: &Symbol| object.find(symbol.name(), symbol.hash).is_none();
        !object.is_searched() || symbols.iter().all(lacks)
    };
    is_readable() && before.all(|object| object.is_some_and(lacks_all))
}

/// Tells whether [`next`] can read every object up to libc. Async-signal-safe.
pub fn is_readable() -> bool {
    let mut read = following().map_while(|object| object);
    read.any(|object| object.is_named(LIBC))
}

/// The path of each object that is loaded, as the dynamic linker knows it; empty for the program.
pub fn paths() -> impl Iterator<Item = &'static CStr> {
    // SAFETY: set by the dynamic linker before any other code of the process runs.
    let maps = list(unsafe { _r_debug.first });
    // SAFETY: the dynamic linker keeps the string while the object is loaded.
    maps.filter(|map| !map.name.is_null()).map(|map| unsafe { CStr::from_ptr(map.name) })
}

/// The path of this object, as the dynamic linker knows it; empty for a program.
/// Async-signal-safe.
pub fn path() -> Option<&'static CStr> {
    // SAFETY: the dynamic linker keeps the string while the object is loaded.
    own().filter(|map| !map.name.is_null()).map(|map| unsafe { CStr::from_ptr(map.name) })
}

/// This object's entry in the dynamic linker's list.
fn own() -> Option<&'static LinkMap> {
    let dynamic = &raw const _DYNAMIC;
    // SAFETY: set by the dynamic linker before any other code of the process runs.
    let first = unsafe { _r_debug.first };
    list(first).find(|map| map.dynamic == dynamic)
}

/// The objects that are searched after this one; `None` for one that can't be read.
fn following() -> impl Iterator<Item = Option<Object>> {
    let objects = behind().map(|map| Object::of(map.base, map.dynamic));
    objects.filter(|object| object.as_ref().is_none_or(Object::is_searched))
}

/// The entries behind this object's.
fn behind() -> impl Iterator<Item = &'static LinkMap> {
    list(own().map_or(core::ptr::null(), |map| map.next))
}

fn list(first: *const LinkMap) -> impl Iterator<Item = &'static LinkMap> {
    // SAFETY: the list's objects up to libc are never unloaded, so their entries and the pointers
    // between them stay as they are. New ones are put behind them, where no thread reads here.
    core::iter::successors(unsafe { first.as_ref() }, |map| unsafe { map.next.as_ref() })
}

#[cfg(test)]
mod tests;
