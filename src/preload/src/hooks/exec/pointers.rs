//! A growing array of C strings that ends with a null pointer, without malloc: a vfork child shares
//! its parent's heap, and a handler may have interrupted it. Async-signal-safe.

use core::ffi::c_char;
use core::ptr::null;

use epochsocks::sys::{Errno, Holder};

use crate::scratch::Block;

/// Entries that fit the stack; more are mapped.
const ON_STACK: usize = 256;
/// The kernel takes no more (a quarter of the largest stack, in pointers): `E2BIG`.
const MOST: usize = 1 << 18;

/// The array. It has no destructor, because a successful exec never comes back; [`Pointers::free`]
/// gives the memory back after a failed one. What a vfork child leaves in its parent's memory is the next
/// caller's when that process has ended.
pub struct Pointers {
    on_stack: [*const c_char; ON_STACK],
    mapped: Option<&'static Block>,
    count: usize,
    room: usize,
}

impl Pointers {
    /// An empty array with room for `entries`. Errors: `E2BIG`, `ENOMEM`.
    pub fn with_room(entries: usize) -> Result<Self, Errno> {
        let room = entries + 1;
        if room > MOST {
            return Err(Errno(libc::E2BIG));
        }
        let mapped = match room > ON_STACK {
            true => Some(Block::claim(room, Holder::thread(), Holder::thread())?),
            false => None,
        };
        Ok(Pointers { on_stack: [null(); ON_STACK], mapped, count: 0, room: room.max(ON_STACK) })
    }

    /// Appends `entry`. Errors: `E2BIG` beyond the room.
    pub fn push(&mut self, entry: *const c_char) -> Result<(), Errno> {
        // The last place stays null.
        if self.count + 1 >= self.room {
            return Err(Errno(libc::E2BIG));
        }
        match self.mapped {
            // SAFETY: within the block's words, as just checked.
            Some(block) => unsafe {
                block.words().cast::<*const c_char>().add(self.count).write(entry);
            },
            None => self.on_stack[self.count] = entry,
        }
        self.count += 1;
        Ok(())
    }

    /// The array, in C's form.
    pub fn as_ptr(&self) -> *const *const c_char {
        self.mapped.map_or(self.on_stack.as_ptr(), |block| block.words().cast().as_ptr())
    }

    /// Gives the memory back.
    pub fn free(self) {
        if let Some(block) = self.mapped {
            block.give_back();
        }
    }
}
