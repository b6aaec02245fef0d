//! The UDP sockets of this process: which descriptors name one, and which ports were told to the user
//! as refused. Mapped by the first such socket; most programs have none. Async-signal-safe.

use core::ptr::null_mut;
use core::sync::atomic::{
    AtomicPtr, AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed},
};

use epochsocks::registry::Registry;
use epochsocks::sys::{self, Errno};

use crate::sockets::SOCKETS;

/// Words of a set of 65,536 numbers.
const WORDS: usize = (1 << 16) / u64::BITS as usize;

/// A set of numbers. Each bit is a fact by itself: Relaxed.
struct Set([AtomicU64; WORDS]);

impl Set {
    /// Whether it has `number`; one that is out of range counts as a member.
    fn has(&self, number: usize) -> bool {
        let word = self.0.get(number / 64);
        word.is_none_or(|word| word.load(Relaxed) >> (number % 64) & 1 != 0)
    }

    /// Says whether it was new.
    fn insert(&self, number: usize) -> bool {
        let bit = 1 << (number % 64);
        self.0.get(number / 64).is_some_and(|word| word.fetch_or(bit, Relaxed) & bit == 0)
    }

    fn remove(&self, number: usize) {
        if let Some(word) = self.0.get(number / 64) {
            word.fetch_and(!(1 << (number % 64)), Relaxed);
        }
    }
}

struct Table {
    /// Descriptors. One that was closed past every hook may still be here: a member is looked at
    /// closely, no more.
    descriptors: Set,
    /// Destination ports.
    refused: Set,
}

static TABLE: AtomicPtr<Table> = AtomicPtr::new(null_mut());

#[inline(always)]
fn table() -> Option<&'static Table> {
    // Acquire pairs with the AcqRel below.
    // SAFETY: null, or a mapping that stays.
    unsafe { TABLE.load(Acquire).as_ref() }
}

fn table_or_new() -> Result<&'static Table, Errno> {
    if let Some(table) = table() {
        return Ok(table);
    }
    // Zeroes are empty sets.
    let fresh = sys::map_zeroed(size_of::<Table>())?;
    // AcqRel: Release publishes the zeroes, Acquire sees another caller's mapping.
    match TABLE.compare_exchange(null_mut(), fresh.cast().as_ptr(), AcqRel, Acquire) {
        // SAFETY: a zeroed mapping of its size that stays.
        Ok(_) => Ok(unsafe { fresh.cast().as_ref() }),
        Err(first) => {
            // SAFETY: nobody has seen ours, and the first one stays.
            unsafe {
                sys::unmap(fresh, size_of::<Table>());
                Ok(&*first)
            }
        }
    }
}

/// Whether there may be any UDP socket: one load.
#[inline(always)]
pub fn exist() -> bool {
    // Relaxed: nothing is read through it.
    !TABLE.load(Relaxed).is_null()
}

/// Whether `fd` may be a UDP socket: it was one when this process last heard of it.
#[inline(always)]
pub fn is_known(fd: i32) -> bool {
    table().is_some_and(|table| table.descriptors.has(fd as usize))
}

/// Remembers that `fd` is a UDP socket. Errors: `ENOBUFS`.
pub fn remember(fd: i32) -> Result<(), Errno> {
    table_or_new().map_err(|_| Errno(libc::ENOBUFS))?.descriptors.insert(fd as usize);
    Ok(())
}

/// `fd` is about to be closed. A vfork child closes a descriptor of its own.
#[inline(always)]
pub fn forget(fd: i32) {
    if is_known(fd) {
        forget_known(fd);
    }
}

#[cold]
fn forget_known(fd: i32) {
    if let Some(table) = table().filter(|_| SOCKETS.registry().may_change()) {
        table.descriptors.remove(fd as usize);
    }
}

/// `copy` is another name of what `source` names.
#[cold]
pub fn follow(source: i32, copy: i32) {
    match is_known(source) {
        // There is a table already.
        true => drop(remember(copy)),
        false => forget(copy),
    }
}

/// Whether a refusal of datagrams for `port` is the first one. Where there is no memory each is.
pub fn is_first_refusal(port: u16) -> bool {
    table_or_new().map_or(true, |table| table.refused.insert(port.into()))
}
