//! The epoll entries of one socket.

use super::epoll_entry::EpollEntry;
use super::shared::Shared;
use super::token::Token;
use crate::sockets::SlotId;

/// Number of epoll sets (counting each descriptor of the socket) that a socket can be in while it
/// connects.
pub const ENTRIES: usize = 8;

/// The entries of the socket in a slot. They belong to the holder of its run lock.
pub struct Entries {
    places: [Option<EpollEntry>; ENTRIES],
    /// Number of the places that have one: most sockets that wait for a connect have none.
    used: usize,
}

/// Content for the kernel's entries.
pub(super) struct Target<'s> {
    /// The slot of the socket.
    pub slot: SlotId,
    /// The serial number of the socket.
    pub serial: u32,
    /// The events that a token waits for; `None` if no handshake is in flight, and then the program's
    /// own events and data come back.
    pub waits_for: Option<u32>,
    /// Part of the handshake that forked processes share, if they do.
    pub shared: Option<&'s Shared>,
}

impl Entries {
    /// No entries.
    pub(super) const NONE: Entries = Entries { places: [None; ENTRIES], used: 0 };

    /// The index of the entry of `fd` in `epoll`. A set may have several numbers, and a number may name
    /// another set by now: where `fd` was registered by other numbers, too, the kernel is asked.
    pub fn find(&mut self, epoll: i32, fd: i32) -> Option<usize> {
        let mut known = None;
        let mut others = 0_u32;
        for (index, entry) in self.places.iter().enumerate() {
            match entry {
                Some(entry) if entry.is_of(fd) && entry.is_known_in(epoll) => known = Some(index),
                Some(entry) if entry.is_of(fd) => others |= 1 << index,
                _ => {}
            }
        }
        if others == 0 {
            return known;
        }
        let others = (0..ENTRIES).filter(|index| others >> index & 1 != 0);
        let found = known.into_iter().chain(others).find(|index| {
            let entry = self.get_mut(*index);
            entry.is_some_and(|entry| entry.is_in(epoll))
        });
        let found = found.or(known)?;
        self.get_mut(found)?.reach_by(epoll);
        Some(found)
    }

    /// An index without an entry. `None` if there is none.
    pub fn vacant(&self) -> Option<usize> {
        self.places.iter().position(Option::is_none)
    }

    /// Tells whether the socket has no entry.
    pub fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// The entry at `index`.
    pub fn get_mut(&mut self, index: usize) -> Option<&mut EpollEntry> {
        self.places.get_mut(index)?.as_mut()
    }

    /// Stores an entry at `index`.
    pub fn put(&mut self, index: usize, entry: EpollEntry) {
        if let Some(place) = self.places.get_mut(index) {
            self.used += usize::from(place.replace(entry).is_none());
        }
    }

    /// Takes the entry at `index` out.
    pub fn take(&mut self, index: usize) -> Option<EpollEntry> {
        let entry = self.places.get_mut(index)?.take()?;
        self.used -= 1;
        Some(entry)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &EpollEntry> {
        self.places.iter().flatten()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut EpollEntry> {
        self.places.iter_mut().flatten()
    }

    /// Deletes every entry, in the kernel as well.
    pub(super) fn delete_all(&mut self) {
        self.take_all(|entry| _ = entry.delete());
    }

    /// Forgets every entry. The kernel's stay where a process has the socket.
    pub(super) fn close_all(&mut self) {
        self.take_all(EpollEntry::close);
    }

    fn take_all(&mut self, end: impl Fn(EpollEntry)) {
        if self.used != 0 {
            self.places.iter_mut().filter_map(Option::take).for_each(end);
            self.used = 0;
        }
    }

    /// Takes note that the tokens of `fired`, one bit for each index, have come out of the set
    /// `epoll`.
    pub(super) fn tokens_fired(&mut self, fired: u32, epoll: i32) {
        if fired == 0 {
            return;
        }
        for (index, entry) in self.places.iter_mut().enumerate() {
            if let (1, Some(entry)) = (fired >> index & 1, entry) {
                entry.token_fired(epoll);
            }
        }
    }

    /// Makes the kernel's entries what `target` says; returns those that can't be changed any more, one
    /// bit for each index.
    pub(super) fn sync(&mut self, target: &Target<'_>) -> u32 {
        let mut stuck = 0;
        if self.used == 0 {
            return stuck;
        }
        for (index, entry) in self.places.iter_mut().enumerate() {
            let Some(entry) = entry else { continue };
            let token = Token::new(target.slot, target.serial, index as u32);
            match (target.waits_for, entry.is_token()) {
                (Some(_), false) => {
                    let _ = entry.hide(token);
                }
                (Some(events), true) => entry.arm(token, events),
                (None, true) => {
                    let shared = target.shared.filter(|_| entry.is_shared());
                    entry.restore(shared.is_none_or(|shared| shared.may_restore(index)));
                }
                (None, false) => {}
            }
            stuck |= u32::from(entry.is_stuck()) << index;
        }
        stuck
    }
}
