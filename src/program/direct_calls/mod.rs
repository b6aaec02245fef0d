//! Direct system calls: machine code that enters the kernel without the C library, past every hook.
//!
//! Compilers and assemblers put the call's number into its register shortly before the instruction
//! that enters the kernel, so both are looked for together. Where the number comes as an argument,
//! as in Free Pascal's run-time library, the callers are looked at. This recognises what ordinary
//! tools make; code that hides its numbers on purpose is not found. Async-signal-safe.
//!
//! - `x86_64`, `aarch64`: how one piece of code is read
//! - `remembered`: the answers for files that were looked through before

#[cfg(any(test, target_arch = "aarch64"))]
#[cfg_attr(not(target_arch = "aarch64"), allow(dead_code, reason = "a part of it is tested"))]
mod aarch64;
mod remembered;
#[cfg(target_arch = "x86_64")]
mod x86_64;

use core::ffi::CStr;

use super::ReadAt;
use crate::sys::{Errno, File};

#[cfg(target_arch = "aarch64")]
use aarch64 as native;
#[cfg(target_arch = "x86_64")]
use x86_64 as native;

/// Direct system calls that a file's code makes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DirectCalls {
    /// It connects by them: it has `connect`, and `socket` or the C library's, and does not have the C
    /// library's `connect` as well; or it has both and comes from Rust, where one crate may use those and the
    /// next these. Or it sets an io_uring up.
    pub network: bool,
    /// It waits for an epoll set by them: `epoll_wait`, `epoll_pwait`, `epoll_pwait2`.
    pub epoll_waits: bool,
}

/// The calls that matter, each a bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Calls(u8);

impl Calls {
    const SOCKET: Calls = Calls(1);
    const CONNECT: Calls = Calls(2);
    const RING_SETUP: Calls = Calls(4);
    const EPOLL_WAIT: Calls = Calls(8);
    const NONE: Calls = Calls(0);

    fn add(&mut self, calls: Calls) {
        self.0 |= calls.0;
    }

    fn has(self, calls: &[Calls]) -> bool {
        calls.iter().all(|call| self.0 & call.0 != 0)
    }
}

/// A range of a file that is loaded as code.
#[derive(Clone, Copy, Debug)]
pub(super) struct Code {
    pub(super) offset: u64,
    pub(super) length: u64,
}

/// As much code of one file is looked through, in bytes; what lies behind is taken for harmless.
const MOST: u64 = 512 << 20;
/// Number of bytes that are read at once. On the stack, as the hooks of the exec family have no
/// memory.
const PIECE: usize = 2048;
/// Number of bytes, before the instruction that enters the kernel, in which its number is looked
/// for.
const REACH: usize = 24;
/// Number of bytes of one piece that are seen again with the next: the reach and the longest two
/// instructions.
const OVERLAP: usize = 64;

/// Facts about a file whose code connects by direct system calls: whether it has the C library's
/// `connect`, too, and whether it comes from Rust.
pub(super) trait Origin {
    /// Tells whether the dynamic linker is to find the function `name` for the file.
    fn imports(&self, name: &CStr) -> Result<bool, Errno>;
    /// Tells whether Rust's standard library is linked into it.
    fn is_rust(&self) -> Result<bool, Errno>;
}

impl DirectCalls {
    /// Looks through `code`, the ranges of `file` that are loaded as code, unless the file was looked
    /// through before: none are found in the file that this process runs, as it was executed.
    /// Browsers, interpreters and shells execute themselves often. Errors: those of fstat(2) and
    /// pread(2).
    pub(super) fn of(
        file: &File,
        code: impl Iterator<Item = Result<Code, Errno>> + Clone,
        origin: &impl Origin,
    ) -> Result<DirectCalls, Errno> {
        let key = remembered::key(&file.version()?);
        if let Some(known) = remembered::get(key) {
            return Ok(known);
        }
        if file.is_running() {
            return Ok(DirectCalls::default());
        }
        let calls = calls_in(file, code)?;
        let has_both = calls.has(&[Calls::SOCKET, Calls::CONNECT]);
        let connects = calls.has(&[Calls::CONNECT])
            && (has_both || origin.imports(c"socket")?)
            && (!origin.imports(c"connect")? || has_both && origin.is_rust()?);
        let found = DirectCalls {
            network: connects || calls.has(&[Calls::RING_SETUP]),
            epoll_waits: calls.has(&[Calls::EPOLL_WAIT]),
        };
        remembered::put(key, found);
        Ok(found)
    }
}

/// Tells whether `code`, the ranges of `file` that are loaded as code, waits for epoll events by
/// direct calls. Errors: those of pread(2).
pub(super) fn waits(
    file: &File,
    code: impl Iterator<Item = Result<Code, Errno>> + Clone,
) -> Result<bool, Errno> {
    calls_in(file, code).map(|calls| calls.has(&[Calls::EPOLL_WAIT]))
}

/// The direct calls in `code`, the ranges of `file` that are loaded as code.
fn calls_in(
    file: &(impl ReadAt + ?Sized),
    code: impl Iterator<Item = Result<Code, Errno>> + Clone,
) -> Result<Calls, Errno> {
    let mut found = Calls::NONE;
    let mut gates = native::Gates::default();
    for range in code.clone() {
        in_pieces(file, range?, |piece, offset| {
            native::calls(piece, offset, &mut gates, |number| found.add(native::call(number)));
        })?;
    }
    if gates.is_empty() {
        return Ok(found);
    }
    for range in code {
        in_pieces(file, range?, |piece, offset| {
            let read = |offset| {
                let mut start = [0; 8];
                let _ = file.read_at(&mut start, offset);
                start
            };
            native::callers(piece, offset, &gates, read, |number| found.add(native::call(number)));
        })?;
    }
    Ok(found)
}

/// Tells whether `range` of the file holds `text`.
pub(super) fn contains(
    file: &(impl ReadAt + ?Sized),
    range: Code,
    text: &[u8],
) -> Result<bool, Errno> {
    let mut found = false;
    in_pieces(file, range, |piece, _| {
        found |= piece.windows(text.len()).any(|window| window == text);
    })?;
    Ok(found)
}

/// Calls `each` with the bytes of `code`, a piece at a time, and the piece's offset in the file.
fn in_pieces(
    file: &(impl ReadAt + ?Sized),
    code: Code,
    mut each: impl FnMut(&[u8], u64),
) -> Result<(), Errno> {
    let mut buffer = [0; PIECE];
    let length = code.length.min(MOST);
    let mut position = 0;
    while position < length {
        let Some(offset) = code.offset.checked_add(position) else { return Ok(()) };
        let wanted = (length - position).min(PIECE as u64) as usize;
        let count = match file.read_at(buffer.get_mut(..wanted).unwrap_or_default(), offset) {
            Ok(count) => count,
            Err(Errno(libc::EINVAL)) => return Ok(()),
            Err(errno) => return Err(errno),
        };
        let Some(piece) = buffer.get(..count).filter(|piece| piece.len() > OVERLAP) else {
            each(buffer.get(..count).unwrap_or_default(), offset);
            return Ok(());
        };
        each(piece, offset);
        if count < wanted || position + count as u64 >= length {
            return Ok(());
        }
        position += (count - OVERLAP) as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
