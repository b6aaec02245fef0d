//! The lock-free table behind the [pool](super::onion_pool) of cookie addresses: name <-> place.

use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

use super::cookie_range::Cookie;
use super::error::PoolError;
use crate::launch_store::names::CookieName;
use crate::registry::atomics::mutant::mutant;
use crate::registry::atomics::{AtomicU32, SharedBytes};

/// A view of the pool's memory. Zeroed memory is an empty table.
#[derive(Clone, Copy)]
pub struct Table<'p> {
    /// SharedBytes of the arena that are taken.
    pub taken: &'p AtomicU32,
    /// One slot a cookie: 0, or where its name lies in the arena, plus 1.
    pub slots: &'p [AtomicU32],
    /// The names, each behind its length.
    pub arena: SharedBytes<'p>,
}

impl<'p> Table<'p> {
    /// The name that `cookie` stands for. Async-signal-safe.
    pub fn name(self, cookie: Cookie) -> Option<&'p [u8]> {
        // Acquire pairs with the AcqRel in `find_or_insert`: the name is written.
        self.entry(self.slots.get(cookie.0 as usize)?.load(Acquire))
    }

    /// The name that slot value `slot` points to.
    fn entry(self, slot: u32) -> Option<&'p [u8]> {
        let offset = slot.checked_sub(1)?;
        // SAFETY: no thread writes a published name.
        unsafe {
            let length = u32::from(*self.arena.get(offset, 1)?.first()?);
            self.arena.get(offset + 1, length)
        }
    }

    /// The cookie of `name`, which has 1 to 255 bytes: the first of those it may have that stands for
    /// it or for nothing. `claim` says which other name one that is free here must stand for.
    /// Async-signal-safe.
    pub fn find_or_insert(
        self,
        name: &[u8],
        claim: impl Fn(Cookie) -> Option<CookieName>,
    ) -> Result<Cookie, PoolError> {
        for cookie in probe(hash(name), self.slots.len() as u32).map(Cookie) {
            let known = match self.name(cookie) {
                Some(known) => known,
                None => {
                    let claimed = claim(cookie);
                    self.fill(cookie, claimed.as_ref().map_or(name, CookieName::as_slice))?
                }
            };
            if known.eq_ignore_ascii_case(name) {
                return Ok(cookie);
            }
        }
        Err(PoolError::Exhausted)
    }

    /// Every name, and its cookie. Async-signal-safe.
    pub fn names(self) -> impl Iterator<Item = (Cookie, &'p [u8])> {
        let cookies = (0..self.slots.len() as u32).map(Cookie);
        cookies.filter_map(move |cookie| Some((cookie, self.name(cookie)?)))
    }

    /// Lets `cookie` stand for `name`, which has 1 to 255 bytes, unless it stands for another one:
    /// the name that it stands for. Async-signal-safe.
    pub fn fill(self, cookie: Cookie, name: &[u8]) -> Result<&'p [u8], PoolError> {
        let slot = self.slots.get(cookie.0 as usize).ok_or(PoolError::Exhausted)?;
        // Acquire pairs with the AcqRel below: the name is written.
        let mut value = slot.load(Acquire);
        if value == 0 {
            let mine = self.store(name).ok_or(PoolError::Exhausted)?;
            // Release pairs with the Acquire in `name` and here.
            let published = mutant!(EarlyName: AcqRel => Relaxed);
            mutant!(StoreOnInsert => return self.entry(mutants::store(slot, mine)).ok_or(PoolError::Exhausted));
            value = match slot.compare_exchange(0, mine, published, Acquire) {
                Ok(_) => mine,
                Err(winner) => winner,
            };
        }
        self.entry(value).ok_or(PoolError::Exhausted)
    }

    /// Writes `name` in lower case to the arena; the value for its slot. The bytes of a name whose
    /// slot another thread won are lost: at most one name for each racing thread.
    fn store(self, name: &[u8]) -> Option<u32> {
        let length = u8::try_from(name.len()).ok()?;
        let size = 1 + u32::from(length);
        let offset = self.take(size)?;
        // SAFETY: these bytes of the arena were given to no other thread.
        unsafe {
            self.arena.set(offset, length);
            for (place, byte) in (offset + 1..).zip(name) {
                self.arena.set(place, byte.to_ascii_lowercase());
            }
        }
        Some(offset + 1)
    }

    /// Takes `size` bytes of the arena.
    fn take(self, size: u32) -> Option<u32> {
        let end = |taken: u32| taken.checked_add(size).filter(|end| *end <= self.arena.length());
        mutant!(TornCursor => return mutants::take(self.taken, end));
        // Relaxed: only the number matters, the name is published by its slot.
        self.taken.fetch_update(Relaxed, Relaxed, end).ok()
    }
}

/// Mistakes of the models, where they take more than a line.
#[cfg(any(crossbeam_loom, epochsocks_planted))]
mod mutants {
    use super::*;

    /// Stores where it should compare and swap.
    pub fn store(slot: &AtomicU32, value: u32) -> u32 {
        slot.swap(value, AcqRel);
        value
    }

    /// Reads the cursor, and moves it in a step of its own.
    pub fn take(cursor: &AtomicU32, end: impl Fn(u32) -> Option<u32>) -> Option<u32> {
        let taken = cursor.load(Relaxed);
        cursor.store(end(taken)?, Relaxed);
        Some(taken)
    }
}

/// FNV-1a over the name in lower case.
fn hash(name: &[u8]) -> u32 {
    name.iter().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte.to_ascii_lowercase())).wrapping_mul(0x0100_0193)
    })
}

/// Every index below `capacity` once, from the hash's own on.
fn probe(hash: u32, capacity: u32) -> impl Iterator<Item = u32> {
    let start = hash.checked_rem(capacity).unwrap_or(0);
    (start..capacity).chain(0..start)
}
