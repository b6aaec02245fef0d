//! Descriptors that data may be written to without a look: files, pipes, sockets that can't leave the
//! machine, and connections that are known to lead through Tor or where they may. `write` is called for
//! all of them, and asks no more than one bit. A number is looked at when data first go to it, and again
//! after a hook has seen it closed or replaced; where one was closed past every hook, as by a program's own
//! assembly, the bit may be another file's. Async-signal-safe.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use epochsocks::registry::Registry;

use crate::hooks::descriptors::tables;
use crate::mapped::Mapped;
use crate::own_filter::{self, Question};
use crate::sockets::SOCKETS;

/// Numbers of a word.
const BITS: usize = u64::BITS as usize;
/// Words of the numbers that nearly all programs keep to, whose limit is 1,024.
const LOW: usize = 1_024 / BITS;
/// Words of all numbers; one above is looked at each time.
const ALL: usize = (1 << 16) / BITS;

/// Bits of the low numbers. Each is a fact by itself: Relaxed.
static FIRST: [AtomicU64; LOW] = [const { AtomicU64::new(0) }; LOW];

/// Bits of the numbers above those of `FIRST`.
struct Rest([AtomicU64; ALL - LOW]);

// SAFETY: zeroes are an empty set.
static REST: Mapped<Rest> = unsafe { Mapped::new() };

/// Tells whether data may be written to `fd` without a look.
#[inline(always)]
pub fn has(fd: i32) -> bool {
    match FIRST.get(fd as usize / BITS) {
        Some(word) => word.load(Relaxed) & bit(fd) != 0,
        None => in_rest(fd).is_some_and(|word| word.load(Relaxed) & bit(fd) != 0),
    }
}

fn bit(fd: i32) -> u64 {
    1 << (fd as usize % BITS)
}

#[cold]
#[inline(never)]
fn in_rest(fd: i32) -> Option<&'static AtomicU64> {
    REST.get()?.0.get((fd as usize / BITS).checked_sub(LOW)?)
}

/// Remembers that `fd` is harmless; says whether it does. A vfork child, whose numbers are its own, and
/// threads with tables of their own keep nothing, nor does a process whose own filter hides what it is.
#[cold]
pub fn insert(fd: i32) -> bool {
    !tables::diverge()
        && own_filter::permits(Question::Process)
        && SOCKETS.registry().may_change()
        && insert_at_load(fd)
}

/// As [`insert`], before the program has begun.
pub fn insert_at_load(fd: i32) -> bool {
    let word = FIRST.get(fd as usize / BITS).or_else(|| {
        let index = (fd as usize / BITS).checked_sub(LOW).filter(|index| *index < ALL - LOW)?;
        REST.get_or_map().ok()?.0.get(index)
    });
    word.is_some_and(|word| {
        word.fetch_or(bit(fd), Relaxed);
        true
    })
}

/// Forgets `fd`, which is about to be closed, or to become another file.
#[inline(always)]
pub fn remove(fd: i32) {
    if has(fd) {
        remove_known(fd);
    }
}

#[cold]
#[inline(never)]
fn remove_known(fd: i32) {
    if let Some(word) = FIRST.get(fd as usize / BITS).or_else(|| in_rest(fd)) {
        word.fetch_and(!bit(fd), Relaxed);
    }
}

/// Forgets the numbers from `first` to `last`, as close_range(2) counts them: they are about to be closed.
pub fn remove_range(first: u32, last: u32) {
    let highest = (ALL * BITS) as u32 - 1;
    (first..=last.min(highest)).for_each(|fd| remove(fd as i32));
}

/// Forgets all: from here on a number may be another file in another thread.
pub fn clear() {
    let rest = REST.get().map(|rest| rest.0.as_slice()).unwrap_or_default();
    FIRST.iter().chain(rest).for_each(|word| word.store(0, Relaxed));
}

/// Notes that `copy` is another name of what `source` names.
pub fn follow(source: i32, copy: i32) {
    if !has(source) || !insert(copy) {
        remove(copy);
    }
}
