//! What the kernel's epoll entry of a socket in flight carries in place of the program's data.

/// Above every address that a 64-bit program can use as its data, and no small number.
const MAGIC: u64 = 0x00e9_0c5a;
const MAGIC_SHIFT: u32 = 40;
const SERIAL_SHIFT: u32 = 18;
const SERIALS: u32 = (1 << (MAGIC_SHIFT - SERIAL_SHIFT)) - 1;
const PLACE_SHIFT: u32 = 3;
const PLACES: u32 = (1 << (SERIAL_SHIFT - PLACE_SHIFT)) - 1;
const INDEXES: u64 = (1 << PLACE_SHIFT) - 1;

/// One registration of one socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// The place of the handshake in the arena, below 2^15.
    pub place: u32,
    /// Which socket had the place, modulo 2^22.
    pub serial: u32,
    /// Which of its registrations, below 8.
    pub index: u32,
}

impl Token {
    /// The token of registration `index` of the socket that is the `serial`th at `place`.
    pub const fn new(place: u32, serial: u32, index: u32) -> Token {
        Token { place, serial: serial & SERIALS, index }
    }

    /// The 64 bits of an epoll event.
    pub const fn encode(self) -> u64 {
        MAGIC << MAGIC_SHIFT
            | (self.serial as u64) << SERIAL_SHIFT
            | ((self.place & PLACES) as u64) << PLACE_SHIFT
            | self.index as u64 & INDEXES
    }

    /// The token that an event carries, or `None` for a program's own data.
    #[inline(always)]
    pub const fn decode(data: u64) -> Option<Token> {
        if data >> MAGIC_SHIFT != MAGIC {
            return None;
        }
        Some(Token {
            place: (data >> PLACE_SHIFT) as u32 & PLACES,
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
        for token in [Token::new(0, 0, 0), Token::new(PLACES, SERIALS, 7), Token::new(5, 9, 3)] {
            assert_eq!(Token::decode(token.encode()), Some(token));
        }
    }

    #[test]
    fn pointers_and_numbers_are_no_tokens() {
        let local = 0;
        for data in [0, 1, u64::MAX, u64::from(u32::MAX), (&raw const local).addr() as u64] {
            assert_eq!(Token::decode(data), None);
        }
    }
}
