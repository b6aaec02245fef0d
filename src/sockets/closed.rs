//! Descriptors that are closed.

use core::sync::atomic::Ordering::Relaxed;

use super::{Event, Held, Record, Sockets};
use crate::registry::{Detached, Registry};

/// An entry that is out of the registry for the time of a call.
pub struct Absent {
    fd: i32,
    entry: Detached,
    successor: Option<Held>,
}

impl<R: Registry<Payload = Record>, L: Fn(Event<'_>) + Sync> Sockets<R, L> {
    /// Forgets `fd`.
    #[inline]
    pub fn forget(&self, fd: i32) {
        if self.has_dissolved.load(Relaxed) {
            return self.forget_with_successor(fd);
        }
        self.registry().remove(fd);
        self.note_close();
    }

    #[cold]
    #[inline(never)]
    fn forget_with_successor(&self, fd: i32) {
        let successor = self.hold(fd);
        self.registry().remove(fd);
        self.note_close();
        self.end_successor(fd, successor);
    }

    /// Forgets every descriptor from `first` to `last`.
    pub fn forget_range(&self, first: u32, last: u32) {
        self.entries_in(first, last).for_each(|fd| self.forget(fd));
        self.note_close();
    }

    /// Takes the entry of `fd` out for the time of a call that may close it; ends in
    /// [`Sockets::restore`] or [`Sockets::discard`].
    pub fn detach(&self, fd: i32) -> Option<Absent> {
        let successor = self.successor(fd);
        let detached = self.registry().detach(fd);
        self.note_close();
        match detached {
            Some(entry) => Some(Absent { fd, entry, successor }),
            None => {
                successor.into_iter().for_each(|held| self.put(held));
                None
            }
        }
    }

    /// Puts the entry back: its descriptor is still open.
    pub fn restore(&self, Absent { fd, entry, successor }: Absent) {
        self.registry().restore(fd, entry);
        successor.into_iter().for_each(|held| self.put(held));
    }

    /// Gives the entry up: its descriptor is closed.
    pub fn discard(&self, Absent { fd, entry, successor }: Absent) {
        self.registry().discard(entry);
        self.end_successor(fd, successor);
    }

    /// The record of `fd`, where it may have come in another one's place.
    #[inline]
    fn successor(&self, fd: i32) -> Option<Held> {
        if self.has_dissolved.load(Relaxed) { self.hold(fd) } else { None }
    }

    /// Tells `record`, which `fd` has named, of the close if `fd` was its last descriptor.
    #[inline]
    fn end_successor(&self, fd: i32, record: Option<Held>) {
        if let Some(held) = record {
            self.end_if_closed(fd, held.record());
            self.put(held);
        }
    }

    /// Forgets the entry of `fd`, if it is still the one that was seen: another thread may have made a
    /// new one.
    pub(super) fn forget_entry(&self, fd: i32, seen: Held) {
        self.registry().remove_if(fd, seen.record());
        match self.has_dissolved.load(Relaxed) {
            true => self.end_successor(fd, Some(seen)),
            false => self.put(seen),
        }
    }
}
