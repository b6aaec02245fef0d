//! The data that the kernel's epoll entry of a socket in flight carries in place of the program's.

use crate::sockets::SlotId;

/// Above every address that a 64-bit program can use as its data, and no small number.
const MAGIC: u64 = 0x00e9_0c5a;
const MAGIC_SHIFT: u32 = 40;
const SERIAL_SHIFT: u32 = 18;
const SERIALS: u32 = (1 << (MAGIC_SHIFT - SERIAL_SHIFT)) - 1;
const SLOT_SHIFT: u32 = 3;
const SLOTS: u32 = (1 << (SERIAL_SHIFT - SLOT_SHIFT)) - 1;
const INDEXES: u64 = (1 << SLOT_SHIFT) - 1;

/// One epoll entry of one socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// The slot of the handshake, below 2^15.
    pub slot: SlotId,
    /// The serial number of the socket in the slot, modulo 2^22.
    pub serial: u32,
    /// The index of the entry, below 8.
    pub index: u32,
}

impl Token {
    /// A token of no entry: an event that carries it ends where it comes out of a set.
    pub const NONE: Token = Token { slot: SLOTS, serial: 0, index: 0 };

    /// The token of entry `index` of the socket that is the `serial`th in `slot`.
    pub const fn new(slot: SlotId, serial: u32, index: u32) -> Token {
        Token { slot, serial: serial & SERIALS, index }
    }

    /// The 64 bits of an epoll event.
    pub const fn encode(self) -> u64 {
        MAGIC << MAGIC_SHIFT
            | (self.serial as u64) << SERIAL_SHIFT
            | ((self.slot & SLOTS) as u64) << SLOT_SHIFT
            | self.index as u64 & INDEXES
    }

    /// The token that an event carries, or `None` for a program's own data.
    #[inline(always)]
    pub const fn decode(data: u64) -> Option<Token> {
        if data >> MAGIC_SHIFT != MAGIC {
            return None;
        }
        Some(Token {
            slot: (data >> SLOT_SHIFT) as u32 & SLOTS,
            serial: (data >> SERIAL_SHIFT) as u32 & SERIALS,
            index: (data & INDEXES) as u32,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_back_as_it_was() {
        for token in [Token::new(0, 0, 0), Token::new(SLOTS, SERIALS, 7), Token::new(5, 9, 3)] {
            assert_eq!(Token::decode(token.encode()), Some(token));
        }
    }

    #[test]
    fn pointers_and_numbers_are_not_tokens() {
        let local = 0;
        for data in [0, 1, u64::MAX, u64::from(u32::MAX), (&raw const local).addr() as u64] {
            assert_eq!(Token::decode(data), None);
        }
    }
}
