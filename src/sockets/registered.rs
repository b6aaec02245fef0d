//! The record as a registry keeps it.

use super::handshake::TABLE;
use super::{Record, SocketId};
use crate::registry::Payload;

impl Payload for Record {
    fn new(id: SocketId) -> Self {
        Record::new(id)
    }

    #[inline(always)]
    fn id(&self) -> SocketId {
        Record::id(self)
    }

    #[inline(always)]
    unsafe fn renew(memory: *mut Record, id: SocketId) {
        // SAFETY: the caller's.
        unsafe { Record::renew_at(memory, id) };
    }

    /// A record that has a slot in the table of handshakes gives it up at the close.
    #[inline(always)]
    unsafe fn must_hear_of_close(memory: *const Record) -> bool {
        // SAFETY: the caller's.
        unsafe { Record::has_slot_at(memory) }
    }

    fn last_descriptor_closed(&self) {
        if let Some(slot) = self.close() {
            TABLE.last_descriptor_closed(slot, Record::id(self));
        }
    }
}
