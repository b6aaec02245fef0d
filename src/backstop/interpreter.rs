//! The packet filter machine, for the tests: carries a program out over one system call.

use super::assembler::{
    Instruction, JUMP_ANY_BIT, JUMP_AT_LEAST, JUMP_EQUAL, LOAD, Program, RETURN, Verdict,
};

/// A system call as the kernel tells a filter of it.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    pub number: u32,
    pub architecture: u32,
    pub arguments: [u64; 6],
}

impl Call {
    /// `struct seccomp_data` (linux/seccomp.h).
    fn bytes(&self) -> Vec<u8> {
        let head = [self.number.to_ne_bytes(), self.architecture.to_ne_bytes()].concat();
        // Any address: no program looks at it.
        let pointer = 0x7f00_dead_beef_u64.to_ne_bytes();
        let arguments = self.arguments.iter().flat_map(|argument| argument.to_ne_bytes());
        head.into_iter().chain(pointer).chain(arguments).collect()
    }
}

/// The verdict of `program` on `call`, as `SECCOMP_RET_…`.
pub fn run(program: &Program, call: &Call) -> u32 {
    let (bytes, mut register, mut place) = (call.bytes(), 0, 0);
    loop {
        let Instruction { code, jt: if_true, jf: if_false, k: number } =
            program.instructions()[place];
        let holds = match code {
            LOAD => {
                let field = &bytes[number as usize..][..4];
                register = u32::from_ne_bytes(field.try_into().unwrap());
                false
            }
            JUMP_EQUAL => register == number,
            JUMP_AT_LEAST => register >= number,
            JUMP_ANY_BIT => register & number != 0,
            RETURN => return number,
            _ => panic!("operation {code:#x}"),
        };
        place += 1 + usize::from(if holds { if_true } else { if_false });
    }
}

/// Asserts the verdict on a call.
#[track_caller]
pub fn assert_verdict(program: &Program, call: Call, expected: Verdict) {
    let found = run(program, &call);
    assert_eq!(found, expected.code(), "{found:#x} instead of {expected:?}: {call:x?}");
}
