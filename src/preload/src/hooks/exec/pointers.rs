//! A growing array of C strings that ends with a null pointer, without malloc: a vfork child shares
//! its parent's heap, and a handler may have interrupted it. Async-signal-safe.

use core::ffi::c_char;
use core::ptr::{NonNull, null};

use epochsocks::sys::{self, Errno};

/// Entries that fit the stack; more are mapped.
const ON_STACK: usize = 256;
/// The kernel takes no more (a quarter of the largest stack, in pointers): `E2BIG`.
const MOST: usize = 1 << 18;

/// The array. It has no destructor, because a successful exec never comes back; [`Pointers::free`]
/// gives the mapping back after a failed one. In a vfork child that succeeds it stays mapped in the
/// parent, which is a leak only for programs that pass more than 255 entries that way.
pub struct Pointers {
    on_stack: [*const c_char; ON_STACK],
    mapped: Option<NonNull<*const c_char>>,
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
            true => Some(sys::map_zeroed(room * size_of::<*const c_char>())?.cast()),
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
            // SAFETY: within the mapping, as just checked.
            Some(start) => unsafe { start.add(self.count).write(entry) },
            None => self.on_stack[self.count] = entry,
        }
        self.count += 1;
        Ok(())
    }

    /// The array, in C's form.
    pub fn as_ptr(&self) -> *const *const c_char {
        self.mapped.map_or(self.on_stack.as_ptr(), |start| start.as_ptr())
    }

    /// Gives the memory back.
    pub fn free(self) {
        if let Some(start) = self.mapped {
            // SAFETY: the whole mapping of `with_room`, given up with `self`.
            unsafe { sys::unmap(start.cast(), self.room * size_of::<*const c_char>()) };
        }
    }
}
