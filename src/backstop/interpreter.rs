//! The kernel's packet filter machine: carries a seccomp filter out over one system call, as the kernel would.
//! Async-signal-safe.

use super::assembler::Instruction;

/// A system call as the kernel tells a filter of it.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// The number of the call.
    pub number: u32,
    /// The table that it is of, `AUDIT_ARCH_…`.
    pub architecture: u32,
    /// Its arguments.
    pub arguments: [u64; 6],
}

/// Bytes of `struct seccomp_data` (linux/seccomp.h).
const LENGTH: u32 = 64;
/// Address of the instruction that makes the call: any.
const INSTRUCTION: u64 = 0x7f00_dead_beef;

impl Call {
    /// The 32 bits at `offset` of `struct seccomp_data`, on a little-endian processor.
    fn field(&self, offset: u32) -> Option<u32> {
        if !offset.is_multiple_of(4) {
            return None;
        }
        let half = |number: u64| (number >> (offset % 8 * 8)) as u32;
        match offset {
            0 => Some(self.number),
            4 => Some(self.architecture),
            8 | 12 => Some(half(INSTRUCTION)),
            _ => self.arguments.get(offset.checked_sub(16)? as usize / 8).map(|word| half(*word)),
        }
    }
}

/// The machine's registers and memory.
#[derive(Default)]
struct State {
    accumulator: u32,
    index: u32,
    memory: [u32; 16],
}

/// Classes of operations (linux/bpf_common.h).
mod class {
    pub const LOAD: u16 = 0;
    pub const LOAD_INDEX: u16 = 1;
    pub const STORE: u16 = 2;
    pub const STORE_INDEX: u16 = 3;
    pub const COMPUTE: u16 = 4;
    pub const JUMP: u16 = 5;
    pub const RETURN: u16 = 6;
    pub const MOVE: u16 = 7;
}

/// The verdict of a filter on `call`, as `SECCOMP_RET_…`; `None` of a program that the kernel would not take.
pub fn run(program: &[Instruction], call: &Call) -> Option<u32> {
    let mut state = State::default();
    let mut place = 0usize;
    // Jumps lead forward only.
    while let Some(&instruction) = program.get(place) {
        let Instruction { code, jt: if_true, jf: if_false, k: number } = instruction;
        place += 1;
        match code & 7 {
            class::LOAD => state.accumulator = state.load(code, number, call)?,
            class::LOAD_INDEX => state.index = state.load(code, number, call)?,
            class::STORE => *state.memory.get_mut(number as usize)? = state.accumulator,
            class::STORE_INDEX => *state.memory.get_mut(number as usize)? = state.index,
            class::COMPUTE => state.accumulator = state.compute(code, number)?,
            class::JUMP if code & 0xf0 == 0 => place = place.checked_add(number as usize)?,
            class::JUMP => {
                let holds = state.compare(code, number)?;
                place += usize::from(if holds { if_true } else { if_false });
            }
            class::RETURN => {
                return match code & 0x18 {
                    0x00 => Some(number),
                    0x10 => Some(state.accumulator),
                    _ => None,
                };
            }
            class::MOVE if code & 0xf8 == 0 => state.index = state.accumulator,
            class::MOVE => state.accumulator = state.index,
            _ => return None,
        }
    }
    None
}

impl State {
    /// Loads as `BPF_LD` and `BPF_LDX` do, by their mode.
    fn load(&self, code: u16, number: u32, call: &Call) -> Option<u32> {
        match code & 0xf8 {
            0x00 => Some(number),
            0x20 => call.field(number),
            0x60 => self.memory.get(number as usize).copied(),
            0x80 => Some(LENGTH),
            _ => None,
        }
    }

    /// The operand: a number of the instruction's own, or the index (`BPF_X`).
    fn operand(&self, code: u16, number: u32) -> u32 {
        if code & 8 == 0 { number } else { self.index }
    }

    fn compute(&self, code: u16, number: u32) -> Option<u32> {
        let (left, right) = (self.accumulator, self.operand(code, number));
        Some(match code & 0xf0 {
            0x00 => left.wrapping_add(right),
            0x10 => left.wrapping_sub(right),
            0x20 => left.wrapping_mul(right),
            0x30 => left.checked_div(right)?,
            0x40 => left | right,
            0x50 => left & right,
            0x60 => left.wrapping_shl(right),
            0x70 => left.wrapping_shr(right),
            0x80 => left.wrapping_neg(),
            0xa0 => left ^ right,
            _ => return None,
        })
    }

    fn compare(&self, code: u16, number: u32) -> Option<bool> {
        let (left, right) = (self.accumulator, self.operand(code, number));
        Some(match code & 0xf0 {
            0x10 => left == right,
            0x20 => left > right,
            0x30 => left >= right,
            0x40 => left & right != 0,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: Call = Call {
        number: 7,
        architecture: 0xc000_003e,
        arguments: [1, 2 << 32 | 3, 0, 0, 0, u64::MAX],
    };

    fn verdict(lines: &[(u16, u8, u8, u32)]) -> Option<u32> {
        let instruction = |&(code, jt, jf, k): &(u16, u8, u8, u32)| Instruction { code, jt, jf, k };
        run(&lines.iter().map(instruction).collect::<Vec<_>>(), &CALL)
    }

    #[test]
    fn fields_are_those_of_the_kernels_structure() {
        let field = |offset| verdict(&[(0x20, 0, 0, offset), (0x16, 0, 0, 0)]);
        assert_eq!([field(0), field(4)], [Some(7), Some(0xc000_003e)]);
        assert_eq!([field(16), field(20), field(24), field(28)], [1, 0, 3, 2].map(Some));
        assert_eq!([field(56), field(60)], [Some(u32::MAX); 2]);
        assert_eq!([field(2), field(64), field(u32::MAX)], [None; 3]);
        assert_eq!(verdict(&[(0x80, 0, 0, 0), (0x16, 0, 0, 0)]), Some(64));
    }

    #[test]
    fn operations_are_the_kernels() {
        let result = |operation, operand| {
            verdict(&[(0x00, 0, 0, 12), (operation, 0, 0, operand), (0x16, 0, 0, 0)])
        };
        let expected = [
            (0x04, 5, 17),
            (0x14, 13, u32::MAX),
            (0x24, 2, 24),
            (0x34, 5, 2),
            (0x44, 3, 15),
            (0x54, 9, 8),
            (0x64, 1, 24),
            (0x74, 2, 3),
            (0x84, 0, 12_u32.wrapping_neg()),
            (0xa4, 5, 9),
        ];
        for (operation, operand, expected) in expected {
            assert_eq!(result(operation, operand), Some(expected), "{operation:#x}");
        }
        assert_eq!(result(0x34, 0), None);
    }

    #[test]
    fn the_index_and_the_memory_hold_numbers() {
        // LDX 5; LD 4; STX M[3]; ADD X; ST M[2]; LD M[3]; TAX; LD M[2]; JEQ X; TXA.
        let lines = [
            (0x01, 0, 0, 5),
            (0x00, 0, 0, 4),
            (0x03, 0, 0, 3),
            (0x0c, 0, 0, 0),
            (0x02, 0, 0, 2),
            (0x60, 0, 0, 3),
            (0x07, 0, 0, 0),
            (0x60, 0, 0, 2),
            (0x1d, 0, 1, 0),
            (0x06, 0, 0, 1),
            (0x87, 0, 0, 0),
            (0x16, 0, 0, 0),
        ];
        assert_eq!(verdict(&lines), Some(5));
        assert_eq!(verdict(&[(0x02, 0, 0, 16), (0x06, 0, 0, 1)]), None);
    }

    #[test]
    fn a_program_that_ends_without_a_verdict_has_none() {
        assert_eq!(verdict(&[]), None);
        assert_eq!(verdict(&[(0x05, 0, 0, u32::MAX)]), None);
        assert_eq!(verdict(&[(0x15, 9, 9, 0), (0x06, 0, 0, 1)]), None);
    }
}
