//! The UDP sockets of this process: which descriptors name one, and which ports were told to the user
//! as refused. Mapped by the first such socket; most programs have none. Async-signal-safe.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use epochsocks::registry::Registry;
use epochsocks::sys::Errno;

use crate::harmless;
use crate::mapped::Mapped;
use crate::sockets::SOCKETS;

/// Words of a set of 65,536 numbers.
const WORDS: usize = (1 << 16) / u64::BITS as usize;

/// A set of numbers. Each bit is a fact by itself: Relaxed.
struct Set([AtomicU64; WORDS]);

impl Set {
    /// Tells whether it has `number`; one that is out of range counts as a member.
    fn has(&self, number: usize) -> bool {
        let word = self.0.get(number / 64);
        word.is_none_or(|word| word.load(Relaxed) >> (number % 64) & 1 != 0)
    }

    /// Says whether it was new.
    fn insert(&self, number: usize) -> bool {
        let bit = 1 << (number % 64);
        self.0.get(number / 64).is_some_and(|word| word.fetch_or(bit, Relaxed) & bit == 0)
    }

    fn members(&self) -> impl Iterator<Item = usize> {
        let words = self.0.iter().enumerate().map(|(at, word)| (at * 64, word.load(Relaxed)));
        words.filter(|(_, word)| *word != 0).flat_map(|(first, word)| {
            (0..64).filter(move |bit| word >> bit & 1 != 0).map(move |bit| first + bit)
        })
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

// SAFETY: zeroes are empty sets.
static TABLE: Mapped<Table> = unsafe { Mapped::new() };

/// Tells whether there may be any UDP socket, by one load.
#[inline(always)]
pub fn exist() -> bool {
    TABLE.exists()
}

/// Tells whether `fd` may be a UDP socket: it was one when this process last heard of it.
#[inline(always)]
pub fn is_known(fd: i32) -> bool {
    TABLE.get().is_some_and(|table| table.descriptors.has(fd as usize))
}

/// The descriptors that may be UDP sockets, and have numbers below 65,536.
pub fn known() -> impl Iterator<Item = i32> {
    TABLE.get().into_iter().flat_map(|table| table.descriptors.members()).map(|fd| fd as i32)
}

/// Remembers that `fd` is a UDP socket. Errors: `ENOBUFS`.
pub fn remember(fd: i32) -> Result<(), Errno> {
    TABLE.get_or_map()?.descriptors.insert(fd as usize);
    harmless::remove(fd);
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
    if let Some(table) = TABLE.get().filter(|_| SOCKETS.registry().may_change()) {
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

/// Tells whether a refusal of datagrams for `port` is the first one. Where there is no memory each
/// is.
pub fn is_first_refusal(port: u16) -> bool {
    TABLE.get_or_map().map_or(true, |table| table.refused.insert(port.into()))
}
