//! Arrays of C strings that end with a null pointer, without malloc: a vfork child shares its parent's
//! heap, and a handler may have interrupted it. Async-signal-safe.

use core::ffi::{CStr, c_char};
use core::ptr::null;

use epochsocks::config::Environment;
use epochsocks::sys::{Errno, Holder};

use crate::scratch::Block;

/// Entries that fit the stack, with the null pointer.
const FEW: usize = 256;
/// The kernel takes no more (a quarter of the largest stack, in pointers): `E2BIG`.
const MOST: usize = 1 << 18;

/// An array that grows within its room.
pub struct Pointers<'a> {
    slots: &'a mut [*const c_char],
    count: usize,
}

impl Pointers<'_> {
    /// Appends `entry`. Errors: `E2BIG` beyond the room.
    pub fn push(&mut self, entry: *const c_char) -> Result<(), Errno> {
        // The last slot stays null.
        let (_, slots) = self.slots.split_last_mut().ok_or(Errno(libc::E2BIG))?;
        *slots.get_mut(self.count).ok_or(Errno(libc::E2BIG))? = entry;
        self.count += 1;
        Ok(())
    }

    /// The strings as a block.
    ///
    /// # Safety
    /// Each entry points to a C string.
    pub unsafe fn block(&self) -> Environment<'_> {
        // SAFETY: the last slot is null; the caller vouches for the others.
        unsafe { Environment::from_raw(self.slots.as_ptr()) }
    }
}

/// Calls `call` with an empty array that has room for `entries`. What a vfork child leaves in its
/// parent's memory is the next caller's when that process has ended. Errors: `E2BIG`, `ENOMEM`.
pub fn with_pointers<R>(
    entries: usize,
    call: impl FnOnce(&mut Pointers<'_>) -> R,
) -> Result<R, Errno> {
    match entries + 1 {
        room if room <= FEW => Ok(on_stack(call)),
        room if room <= MOST => in_block(room, call),
        _ => Err(Errno(libc::E2BIG)),
    }
}

/// Apart, so that only who needs the array has it in its frame.
#[inline(never)]
fn on_stack<R>(call: impl FnOnce(&mut Pointers<'_>) -> R) -> R {
    call(&mut Pointers { slots: &mut [null(); FEW], count: 0 })
}

#[inline(never)]
fn in_block<R>(room: usize, call: impl FnOnce(&mut Pointers<'_>) -> R) -> Result<R, Errno> {
    let me = Holder::thread();
    let block = Block::claim(room, me, me)?;
    // SAFETY: that many zeroed words, which are null pointers and this call's own until it gives them back.
    let slots = unsafe { core::slice::from_raw_parts_mut(block.words().cast().as_ptr(), room) };
    let result = call(&mut Pointers { slots, count: 0 });
    block.give_back();
    Ok(result)
}

/// Calls `call` with the array of `strings`, which are at most `room`. Errors: as of [`with_pointers`].
pub fn with_strings<'s, R>(
    room: usize,
    strings: impl Iterator<Item = &'s CStr>,
    call: impl FnOnce(Environment<'_>) -> R,
) -> Result<R, Errno> {
    with_pointers(room, |pointers| {
        for string in strings {
            pointers.push(string.as_ptr())?;
        }
        // SAFETY: C strings.
        Ok(call(unsafe { pointers.block() }))
    })?
}
