//! A slot as its bytes lie in another process's memory, for the live view.

use core::mem::offset_of;

use super::slot::Slot;
use super::stage::Stage;
use crate::sockets::SocketId;
use crate::socks5::{Awaited, Handshake};

/// The thing that a handshake in flight waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaits {
    /// The connection to Tor's port.
    Port,
    /// This message of Tor's.
    Message(Awaited),
}

impl Awaits {
    /// The thing that `handshake` waits for.
    pub(super) fn of(handshake: &Handshake) -> Awaits {
        handshake.awaited().map_or(Awaits::Port, Awaits::Message)
    }

    /// A number for it, not above 255.
    pub(super) fn number(self) -> u32 {
        match self {
            Awaits::Port => 0,
            Awaits::Message(Awaited::Method) => 1,
            Awaits::Message(Awaited::Authentication) => 2,
            Awaits::Message(Awaited::Reply) => 3,
        }
    }

    fn numbered(number: u32) -> Awaits {
        match number {
            0 => Awaits::Port,
            1 => Awaits::Message(Awaited::Method),
            2 => Awaits::Message(Awaited::Authentication),
            _ => Awaits::Message(Awaited::Reply),
        }
    }
}

/// A copy of the fields of a slot that every thread may read. Any bytes make one.
#[derive(Clone, Copy, Debug)]
pub struct SlotImage {
    id: u64,
    state: u64,
    events: u32,
}

impl SlotImage {
    /// As many bytes of a slot are read.
    pub const SIZE: usize = offset_of!(Slot, inner);

    /// The slot in `bytes`.
    pub fn parse(bytes: &[u8; SlotImage::SIZE]) -> SlotImage {
        let at = |offset: usize| bytes.get(offset..).unwrap_or_default();
        let long = |offset| at(offset).first_chunk().map_or(0, |bytes| u64::from_ne_bytes(*bytes));
        let events = at(offset_of!(Slot, events)).first_chunk();
        SlotImage {
            id: long(offset_of!(Slot, id)),
            state: long(offset_of!(Slot, state)),
            events: events.map_or(0, |bytes| u32::from_ne_bytes(*bytes)),
        }
    }

    /// The thing that the handshake of the socket `id` waits for, if it is in flight here.
    pub fn awaits(&self, id: SocketId) -> Option<Awaits> {
        let is_its = self.id == id.0 && Stage::of(self.state) == Stage::InFlight;
        is_its.then(|| Awaits::numbered(self.events >> Slot::AWAITS))
    }
}

#[cfg(all(test, not(crossbeam_loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_is_awaited_has_a_number() {
        let messages = [Awaited::Method, Awaited::Authentication, Awaited::Reply];
        for awaits in messages.map(Awaits::Message).into_iter().chain([Awaits::Port]) {
            assert_eq!(Awaits::numbered(awaits.number()), awaits);
        }
    }

    #[test]
    fn a_slot_of_another_socket_or_without_a_handshake_awaits_nothing() {
        let mut bytes = [0; SlotImage::SIZE];
        assert_eq!(SlotImage::parse(&bytes).awaits(SocketId(0)), None);
        let mut put = |offset: usize, value: &[u8]| {
            bytes[offset..offset + value.len()].copy_from_slice(value);
        };
        put(offset_of!(Slot, id), &7_u64.to_ne_bytes());
        put(offset_of!(Slot, state), &2_u64.to_ne_bytes());
        put(offset_of!(Slot, events), &(3_u32 << Slot::AWAITS | 1).to_ne_bytes());
        let image = SlotImage::parse(&bytes);
        assert_eq!(image.awaits(SocketId(8)), None);
        assert_eq!(image.awaits(SocketId(7)), Some(Awaits::Message(Awaited::Reply)));
    }
}
