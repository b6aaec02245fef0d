//! x86-64: `mov $NUMBER, %eax` … `syscall`.

use super::{Calls, REACH};

/// As [`REACH`], where the number comes as an argument: the other arguments are put in their places, too.
const REACH_OF_GIVEN: usize = 40;

/// Call with this number.
pub fn call(number: u32) -> Calls {
    match libc::c_long::from(number) {
        libc::SYS_socket => Calls::SOCKET,
        libc::SYS_connect => Calls::CONNECT,
        libc::SYS_io_uring_setup => Calls::RING_SETUP,
        libc::SYS_epoll_wait | libc::SYS_epoll_pwait | libc::SYS_epoll_pwait2 => Calls::EPOLL_WAIT,
        _ => Calls::NONE,
    }
}

const SYSCALL: [u8; 2] = [0x0f, 0x05];
/// `mov $NUMBER, %edi` and `mov $NUMBER, %esi`, with four bytes of the number: the first argument of a function
/// or, as in qemu's emulation of programs, the second.
const ARGUMENTS: [u8; 2] = [0xbf, 0xbe];
/// `call`, with four bytes of the distance.
const CALL: u8 = 0xe8;
/// Length of the start of a function that enters the kernel with a number which it is given.
const GATE: u64 = 128;
/// Length of a function that returns its argument, as compilers make of wrappers without
/// optimisation.
const IDENTITY: usize = 8;

/// Places where code enters the kernel with a number that comes from elsewhere. A few are enough: a run-time
/// library has one for each number of arguments.
#[derive(Default)]
pub struct Gates {
    offsets: [u64; 32],
    count: usize,
}

impl Gates {
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn add(&mut self, offset: u64) {
        if let Some(place) = self.offsets.get_mut(self.count) {
            *place = offset;
            self.count += 1;
        }
    }

    /// Tells whether one lies in the start of the function at `offset`.
    fn are_behind(&self, offset: u64) -> bool {
        let mut gates = self.offsets.iter().take(self.count);
        gates.any(|gate| gate.checked_sub(offset).is_some_and(|distance| distance < GATE))
    }
}

/// Finds the direct calls in `text`, which stands at `offset` in its file.
pub fn calls(text: &[u8], offset: u64, gates: &mut Gates, mut note: impl FnMut(u32)) {
    each_pair::<1>(text, SYSCALL, |position| {
        let mut is_given = false;
        let mut is_known = false;
        for at in position.saturating_sub(REACH)..position {
            if let Some(number) = number_at(text, at) {
                is_known = true;
                note(number);
            }
        }
        for at in position.saturating_sub(REACH_OF_GIVEN)..position {
            is_given |= is_move_to_number(text, at);
        }
        if is_given && !is_known {
            gates.add(offset + position as u64);
        }
    });
}

/// Finds the calls of a gate with the number as an argument, directly or through a function that answers
/// its first one. `read` gives the start of the function at an offset in the file.
pub fn callers(
    text: &[u8],
    offset: u64,
    gates: &Gates,
    read: impl Fn(u64) -> [u8; IDENTITY],
    mut note: impl FnMut(u32),
) {
    for argument in ARGUMENTS {
        callers_with(argument, text, offset, gates, &read, &mut note);
    }
}

/// The same for one `argument`, of which this is the first byte of its instruction.
fn callers_with(
    argument: u8,
    text: &[u8],
    offset: u64,
    gates: &Gates,
    read: &impl Fn(u64) -> [u8; IDENTITY],
    note: &mut impl FnMut(u32),
) {
    // A number below 512: `bf NN 0h 00 00`.
    each_pair::<3>(text, [argument, 0], |at| {
        let number = match text.get(at + 1..).and_then(|rest| rest.first_chunk()) {
            Some(&[low, high @ (0 | 1), 0, 0]) => u32::from_le_bytes([low, high, 0, 0]),
            _ => return,
        };
        if call(number) == Calls::NONE {
            return;
        }
        let after = at + 5;
        for call in after..after + REACH {
            let Some(&[CALL, a, b, c, d]) = text.get(call..).and_then(|rest| rest.first_chunk())
            else {
                continue;
            };
            let distance = i64::from(i32::from_le_bytes([a, b, c, d]));
            let function = offset.wrapping_add(call as u64 + 5).wrapping_add_signed(distance);
            if gates.are_behind(function) || call == after && is_identity(read(function)) {
                note(number);
            }
        }
    });
}

/// Tells whether a function that starts so answers its argument.
fn is_identity(start: [u8; IDENTITY]) -> bool {
    // mov %edi, %eax; ret
    start.windows(3).any(|bytes| bytes == [0x89, 0xf8, 0xc3])
}

/// The number that the instruction at `at` puts into the register for it.
fn number_at(text: &[u8], at: usize) -> Option<u32> {
    let word = |bytes: &[u8]| bytes.first_chunk().map(|bytes| u32::from_le_bytes(*bytes));
    match text.get(at..)? {
        // mov $NUMBER, %eax; with another prefix it is another register.
        [0xb8, number @ ..] if !matches!(before(text, at), Some(0x41 | 0x49)) => word(number),
        // mov $NUMBER, %rax
        [0x48, 0xc7, 0xc0, number @ ..] => word(number),
        // push $NUMBER; pop %rax
        [0x6a, number, 0x58, ..] => Some(u32::from(*number)),
        _ => None,
    }
}

/// Tells whether the instruction at `at` copies a register or a place in memory to the register for
/// the number.
fn is_move_to_number(text: &[u8], at: usize) -> bool {
    match text.get(at..) {
        // mov %REGISTER, %rax
        Some([0x48 | 0x4c, 0x89, mode, ..]) => mode & 0xc7 == 0xc0,
        // mov PLACE, %rax; movslq PLACE, %rax
        Some([0x48 | 0x49, 0x8b | 0x63, mode, ..]) => mode & 0x38 == 0,
        // mov %edi, %eax
        Some([0x89, 0xf8, ..]) => true,
        _ => false,
    }
}

fn before(text: &[u8], at: usize) -> Option<u8> {
    text.get(at.checked_sub(1)?).copied()
}

/// Calls `each` with every position of two bytes that stand `APART`. A block at a time, so that the
/// compiler can compare many at once.
fn each_pair<const APART: usize>(
    text: &[u8],
    [first, second]: [u8; 2],
    mut each: impl FnMut(usize),
) {
    const BLOCK: usize = 64;
    let is_pair =
        |at: &usize| text.get(*at) == Some(&first) && text.get(at + APART) == Some(&second);
    let mut start = 0;
    while let Some(firsts) = text.get(start..).and_then(|rest| rest.first_chunk::<BLOCK>())
        && let Some(seconds) =
            text.get(start + APART..).and_then(|rest| rest.first_chunk::<BLOCK>())
    {
        let mut any = 0;
        for (one, other) in firsts.iter().zip(seconds) {
            any |= u8::from(*one == first) & u8::from(*other == second);
        }
        if any != 0 {
            (start..start + BLOCK).filter(is_pair).for_each(&mut each);
        }
        start += BLOCK;
    }
    (start..text.len()).filter(is_pair).for_each(&mut each);
}
