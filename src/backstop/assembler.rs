//! Programs of the kernel's packet filter machine (classic BPF), as seccomp(2) runs them over the number,
//! the architecture and the arguments of a system call. The machine has one register, jumps forward only,
//! and ends with a verdict.

use core::fmt;

/// Input of a program: `struct seccomp_data` (linux/seccomp.h), 32 bits at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// The number of the call.
    Number,
    /// The table that the number is of, `AUDIT_ARCH_…` (linux/audit.h).
    Architecture,
    /// The lower half of an argument, 0 to 5.
    Low(u8),
    /// The upper half of one.
    High(u8),
}

impl Field {
    /// Its place in the structure, in bytes. Both processors that there is a backstop for are
    /// little-endian.
    const fn offset(self) -> u32 {
        match self {
            Field::Number => 0,
            Field::Architecture => 4,
            Field::Low(argument) => 16 + 8 * argument as u32,
            Field::High(argument) => 20 + 8 * argument as u32,
        }
    }
}

/// Decision about a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The kernel carries it out.
    Allow,
    /// It fails with this errno, and nothing is done.
    Errno(i32),
    /// The supervisor decides (seccomp_unotify(2)).
    Notify,
}

impl Verdict {
    /// `SECCOMP_RET_…` with its data (linux/seccomp.h).
    pub const fn code(self) -> u32 {
        match self {
            Verdict::Allow => 0x7fff_0000,
            Verdict::Errno(errno) => 0x0005_0000 | errno as u16 as u32,
            Verdict::Notify => 0x7fc0_0000,
        }
    }
}

/// One line of a program, with labels of the type `L`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line<L> {
    /// A place that jumps name; no instruction.
    Label(L),
    /// Puts a field into the register.
    Load(Field),
    /// Goes to the label if the register is this number, and on otherwise.
    IfEqual(u32, L),
    /// Goes to the label if it is another.
    IfNotEqual(u32, L),
    /// Goes to the label if it is this number or a larger one.
    IfAtLeast(u32, L),
    /// Goes to the label if it has one of these bits.
    IfAnyBit(u32, L),
    /// Ends with this verdict.
    Return(Verdict),
}

/// An instruction: an operation, how many instructions a jump passes over if its comparison holds and if
/// not, an operand.
pub type Instruction = libc::sock_filter;

/// Operations: `BPF_LD | BPF_W | BPF_ABS`, `BPF_JMP | BPF_JEQ | BPF_K`, `BPF_JMP | BPF_JGE | BPF_K`,
/// `BPF_JMP | BPF_JSET | BPF_K` and `BPF_RET | BPF_K` (linux/bpf_common.h).
pub(super) const LOAD: u16 = 0x20;
pub(super) const JUMP_EQUAL: u16 = 0x15;
pub(super) const JUMP_AT_LEAST: u16 = 0x35;
pub(super) const JUMP_ANY_BIT: u16 = 0x45;
pub(super) const RETURN: u16 = 0x06;

/// As many instructions as a program may have here; the kernel takes 4,096.
pub const MOST: usize = 96;

/// Reason that lines make no program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// There are more than [`MOST`].
    TooLong,
    /// A jump's label does not come after it.
    NoSuchLabel,
    /// A jump's label is more than 255 instructions away.
    TooFar,
}

/// An assembled program.
#[derive(Clone)]
pub struct Program {
    instructions: [Instruction; MOST],
    length: usize,
}

impl Program {
    /// Assembles `lines`. Errors: a [`Flaw`] of the lines, whatever numbers are in them.
    pub fn assemble<L: Copy + PartialEq>(
        lines: impl Iterator<Item = Line<L>> + Clone,
    ) -> Result<Program, Flaw> {
        let end = Instruction { code: RETURN, jt: 0, jf: 0, k: 0 };
        let mut program = Program { instructions: [end; MOST], length: 0 };
        let mut rest = lines;
        while let Some(line) = rest.next() {
            let target = |label| distance(rest.clone(), label);
            let (code, if_true, if_false, number) = match line {
                Line::Label(_) => continue,
                Line::Load(field) => (LOAD, 0, 0, field.offset()),
                Line::IfEqual(number, label) => (JUMP_EQUAL, target(label)?, 0, number),
                Line::IfNotEqual(number, label) => (JUMP_EQUAL, 0, target(label)?, number),
                Line::IfAtLeast(number, label) => (JUMP_AT_LEAST, target(label)?, 0, number),
                Line::IfAnyBit(bits, label) => (JUMP_ANY_BIT, target(label)?, 0, bits),
                Line::Return(verdict) => (RETURN, 0, 0, verdict.code()),
            };
            let place = program.instructions.get_mut(program.length).ok_or(Flaw::TooLong)?;
            *place = Instruction { code, jt: if_true, jf: if_false, k: number };
            program.length += 1;
        }
        Ok(program)
    }

    /// Its instructions, as the kernel takes them.
    pub fn instructions(&self) -> &[Instruction] {
        self.instructions.get(..self.length).unwrap_or_default()
    }
}

/// Number of instructions before `label` in `lines`.
fn distance<L: Copy + PartialEq>(
    lines: impl Iterator<Item = Line<L>> + Clone,
    label: L,
) -> Result<u8, Flaw> {
    let is_other = |line: &Line<L>| !matches!(line, Line::Label(found) if *found == label);
    if lines.clone().all(|line| is_other(&line)) {
        return Err(Flaw::NoSuchLabel);
    }
    let between = lines.take_while(is_other).filter(|line| !matches!(line, Line::Label(_)));
    u8::try_from(between.count()).map_err(|_| Flaw::TooFar)
}

/// The disassembly: a line an instruction, with its number and where its jumps lead.
impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, instruction) in self.instructions().iter().enumerate() {
            let Instruction { code, jt: if_true, jf: if_false, k: number } = *instruction;
            let target = |distance: u8| place + 1 + usize::from(distance);
            write!(f, "{place:3} ")?;
            match code {
                LOAD => writeln!(f, "load [{number}]")?,
                JUMP_EQUAL | JUMP_AT_LEAST | JUMP_ANY_BIT => {
                    let comparison = match code {
                        JUMP_EQUAL => "==",
                        JUMP_AT_LEAST => ">=",
                        _ => "&",
                    };
                    let (yes, no) = (target(if_true), target(if_false));
                    writeln!(f, "if {comparison} {number:#x} go to {yes}, else to {no}")?;
                }
                RETURN => writeln!(f, "return {number:#010x}")?,
                _ => writeln!(f, "{code:#x} {if_true} {if_false} {number:#x}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Program of {} instructions", self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::Line::*;
    use super::*;

    fn assemble(lines: &[Line<char>]) -> Result<Program, Flaw> {
        Program::assemble(lines.iter().copied())
    }

    #[test]
    fn jumps_lead_to_their_labels() {
        let program = assemble(&[
            Load(Field::Number),
            IfAtLeast(9, 'b'),
            IfNotEqual(7, 'a'),
            Return(Verdict::Errno(1)),
            Label('a'),
            Label('b'),
            Load(Field::High(5)),
            IfEqual(3, 'c'),
            Return(Verdict::Notify),
            Label('c'),
            Return(Verdict::Allow),
        ]);
        let expected = "  0 load [0]\n  1 if >= 0x9 go to 4, else to 2\n  2 if == 0x7 go to 3, else to 4\n  \
                        3 return 0x00050001\n  4 load [60]\n  5 if == 0x3 go to 7, else to 6\n  \
                        6 return 0x7fc00000\n  7 return 0x7fff0000\n";
        assert_eq!(program.unwrap().to_string(), expected);
    }

    #[test]
    fn lines_that_make_no_program_are_told() {
        assert_eq!(assemble(&[IfEqual(1, 'x')]).unwrap_err(), Flaw::NoSuchLabel);
        assert_eq!(assemble(&[Label('x'), IfEqual(1, 'x')]).unwrap_err(), Flaw::NoSuchLabel);
        assert_eq!(assemble(&[Load(Field::Number); MOST + 1]).unwrap_err(), Flaw::TooLong);
        let far = [&[IfEqual(1, 'x')][..], &[Load(Field::Number); 256], &[Label('x')]].concat();
        assert_eq!(assemble(&far).unwrap_err(), Flaw::TooFar);
    }

    #[test]
    fn verdicts_are_the_kernel_s() {
        assert_eq!(Verdict::Allow.code(), libc::SECCOMP_RET_ALLOW);
        assert_eq!(Verdict::Errno(libc::EACCES).code(), libc::SECCOMP_RET_ERRNO | 13);
        assert_eq!(Verdict::Notify.code(), libc::SECCOMP_RET_USER_NOTIF);
    }
}
