//! A process's environment block, read without libc.

use core::ffi::{CStr, c_char};
use core::marker::PhantomData;

/// An environment block: pointers to `NAME=value` strings, the last one null.
#[derive(Clone, Copy, Debug)]
pub struct Environment<'a> {
    block: *const *const c_char,
    lifetime: PhantomData<&'a CStr>,
}

impl<'a> Environment<'a> {
    /// The block at `block`; a null pointer is an empty one.
    ///
    /// # Safety
    /// `block` is null, or points to pointers to C strings and ends with a null pointer; for `'a`
    /// no thread changes or frees any of it.
    pub const unsafe fn from_raw(block: *const *const c_char) -> Environment<'a> {
        Environment { block, lifetime: PhantomData }
    }

    /// The value of the first variable called `name`. Async-signal-safe.
    pub fn get(&self, name: &str) -> Option<&'a [u8]> {
        self.entries().find_map(|entry| value_of(entry.to_bytes(), name.as_bytes()))
    }

    /// The value of the last variable called `name`. Async-signal-safe.
    pub fn last(&self, name: &str) -> Option<&'a [u8]> {
        self.values(name).last()
    }

    /// The values of all variables called `name`. Async-signal-safe.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.entries().filter_map(|entry| value_of(entry.to_bytes(), name.as_bytes()))
    }

    /// The block as it was given.
    pub fn as_ptr(&self) -> *const *const c_char {
        self.block
    }

    /// The entries, each `NAME=value`. Async-signal-safe.
    pub fn entries(&self) -> impl Iterator<Item = &'a CStr> + use<'a> {
        // SAFETY: the block's strings live for 'a (contract of `from_raw`).
        self.strings().map(|entry| unsafe { CStr::from_ptr(entry) })
    }

    /// The entries that begin with one of `prefixes`. Of the others nothing but what tells them apart
    /// is read. Async-signal-safe.
    pub fn entries_with(&self, prefixes: &[&str]) -> impl Iterator<Item = &'a CStr> {
        let ours = self.strings().filter(|entry| {
            // SAFETY: a prefix without a NUL differs at the string's NUL, if not before.
            let begins = |(offset, byte)| unsafe { *entry.add(offset) as u8 == byte };
            prefixes.iter().any(|prefix| prefix.bytes().enumerate().all(begins))
        });
        // SAFETY: as in `entries`.
        ours.map(|entry| unsafe { CStr::from_ptr(entry) })
    }

    fn strings(&self) -> impl Iterator<Item = *const c_char> + use<'a> {
        let mut next = self.block;
        core::iter::from_fn(move || {
            if next.is_null() {
                return None;
            }
            // SAFETY: the block goes on to its null pointer, which ends the iteration (contract of
            // `from_raw`).
            unsafe {
                let entry = *next;
                next = if entry.is_null() { core::ptr::null() } else { next.add(1) };
                (!entry.is_null()).then_some(entry)
            }
        })
    }
}

/// The value of an entry `NAME=value` if it is `name`'s.
pub fn value_of<'e>(entry: &'e [u8], name: &[u8]) -> Option<&'e [u8]> {
    // The sign first: nearly all names are of another length, and few comparisons are left.
    let (before, value) = entry.split_at_checked(name.len())?;
    let value = value.strip_prefix(b"=")?;
    (before == name).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(entries: &[&'static CStr], name: &str) -> Option<&'static [u8]> {
        let block: Vec<*const c_char> =
            entries.iter().map(|entry| entry.as_ptr()).chain([core::ptr::null()]).collect();
        // SAFETY: the block ends with a null pointer and outlives the call; its strings are static.
        unsafe { Environment::from_raw(block.as_ptr()) }.get(name)
    }

    #[test]
    fn finds_the_first_variable_of_exactly_that_name() {
        let entries = [c"AB=0", c"A", c"B=x=y", c"A=1", c"A=2", c"E="];
        assert_eq!(get(&entries, "A"), Some(&b"1"[..]));
        assert_eq!(get(&entries, "B"), Some(&b"x=y"[..]));
        assert_eq!(get(&entries, "E"), Some(&b""[..]));
        assert_eq!(get(&entries, "C"), None);
    }

    #[test]
    fn entries_are_told_apart_by_their_beginning() {
        let entries = [c"", c"A", c"ABC=1", c"B", c"AB", c"BAB=2"];
        let block: Vec<*const c_char> =
            entries.iter().map(|entry| entry.as_ptr()).chain([core::ptr::null()]).collect();
        // SAFETY: as in `get`.
        let environment = unsafe { Environment::from_raw(block.as_ptr()) };
        let found: Vec<_> = environment.entries_with(&["AB", "BA"]).collect();
        assert_eq!(found, [c"ABC=1", c"AB", c"BAB=2"]);
    }

    #[test]
    fn an_absent_block_is_empty() {
        // SAFETY: null is allowed.
        assert_eq!(unsafe { Environment::from_raw(core::ptr::null()) }.get("A"), None);
    }
}
