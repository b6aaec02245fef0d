//! AArch64: `mov w8, #NUMBER` … `svc #0`.

use super::{Calls, REACH};

/// Call with this number. In figures, so that another machine can test it.
pub fn call(number: u32) -> Calls {
    match number {
        198 => Calls::SOCKET,
        203 => Calls::CONNECT,
        425 => Calls::RING_SETUP,
        // epoll_pwait, epoll_pwait2
        22 | 441 => Calls::EPOLL_WAIT,
        _ => Calls::NONE,
    }
}

/// `svc #0`.
const SUPERVISOR_CALL: u32 = 0xd400_0001;
/// `movz x8, #NUMBER` without the number, and which bits are not the number's. The bit of the
/// register's width is left out.
const MOVE: u32 = 0x5280_0008;
const MOVE_BITS: u32 = 0x7fe0_001f;

/// Code that enters the kernel with a number that stands elsewhere: not looked for here.
#[derive(Default)]
pub struct Gates;

impl Gates {
    pub fn is_empty(&self) -> bool {
        true
    }
}

/// Finds the direct calls in `text`, which starts at an instruction.
pub fn calls(text: &[u8], _: u64, _: &mut Gates, mut note: impl FnMut(u32)) {
    let (words, _) = text.as_chunks::<4>();
    for (index, word) in words.iter().enumerate() {
        if u32::from_le_bytes(*word) != SUPERVISOR_CALL {
            continue;
        }
        let before = words.get(index.saturating_sub(REACH / 4)..index).unwrap_or_default();
        for word in before {
            let word = u32::from_le_bytes(*word);
            if word & MOVE_BITS == MOVE {
                note(word >> 5 & 0xffff);
            }
        }
    }
}

/// There are no gates.
pub fn callers(_: &[u8], _: u64, _: &Gates, _: impl Fn(u64) -> [u8; 8], _: impl FnMut(u32)) {}
