//! The seccomp filter that the program puts itself under. It may kill for calls that the program does not make
//! itself, so each is carried out here over the questions of the hooks, before it is in force. One that comes
//! about past the hooks is not known. Async-signal-safe.

use core::sync::atomic::{AtomicU8, Ordering::Relaxed};

use epochsocks::backstop::assembler::Instruction;
use epochsocks::backstop::filter::NATIVE;
use epochsocks::backstop::interpreter::{Call, run};
use epochsocks::sys::{Errno, copy_from_program};

use crate::hooks::arguments::value_at;
use crate::scratch::with_words;

/// A question to the kernel.
#[derive(Clone, Copy)]
pub enum Question {
    /// The type of a file (fstat).
    File = 1,
    /// The family of a socket, AF_UNIX or another (sendmsg).
    Unix = 2,
    /// The kind of a socket, and its peer (getsockopt, getpeername).
    Socket = 4,
    /// The number of the process (getpid).
    Process = 8,
}

const ALL: u8 = 15;

/// Questions that every filter permits. A thread that has just put itself under one may ask once more: Relaxed.
static PERMITTED: AtomicU8 = AtomicU8::new(ALL);

/// Tells whether the program's filters permit what answers `question`.
pub fn permits(question: Question) -> bool {
    PERMITTED.load(Relaxed) & question as u8 != 0
}

/// From here on only `questions` are asked, of those that were until now.
pub fn restrict_to(questions: u8) {
    PERMITTED.fetch_and(questions, Relaxed);
}

/// The questions that the filter at `program` permits; none where it can't be read.
///
/// # Safety
/// As for seccomp(2).
pub unsafe fn permitted_by(program: *const libc::sock_fprog) -> u8 {
    // SAFETY: the caller's contract; a length and an address.
    let Ok(Some(program)) = (unsafe { value_at(program) }) else { return 0 };
    let count = usize::from(program.len);
    let judged = with_words(count, |words| {
        const { assert!(size_of::<Instruction>() == size_of::<u64>()) };
        let (start, length) = (words.as_mut_ptr().cast::<u8>(), size_of_val(words));
        // SAFETY: the words' own bytes; what can't be read is an error.
        unsafe {
            let bytes = core::slice::from_raw_parts_mut(start, length);
            copy_from_program(program.filter.cast(), bytes)?;
            // Any words are instructions.
            let instructions = core::slice::from_raw_parts(start.cast::<Instruction>(), count);
            Ok::<u8, Errno>(permitted(instructions))
        }
    });
    judged.and_then(|judged| judged).unwrap_or(0)
}

fn permitted(filter: &[Instruction]) -> u8 {
    let allows = |number: i64, second: i32, third: i32| {
        // Any descriptor and address.
        const ADDRESS: u64 = 0x7f00_0000_0000;
        let [second, third] = [second, third].map(|argument| match argument {
            0 => ADDRESS,
            argument => argument as u64,
        });
        let arguments = [64, second, third, ADDRESS, ADDRESS, 0];
        let call = Call { number: number as u32, architecture: NATIVE, arguments };
        matches!(run(filter, &call).map(|verdict| verdict & ACTION), Some(ALLOW | LOG))
    };
    let option = |level, name| allows(libc::SYS_getsockopt, level, name);
    let asks_socket = || {
        let names = [libc::SO_DOMAIN, libc::SO_TYPE, libc::SO_PROTOCOL, libc::SO_COOKIE];
        names.into_iter().all(|name| option(libc::SOL_SOCKET, name))
            && option(libc::IPPROTO_TCP, libc::TCP_INFO)
            && allows(libc::SYS_getpeername, 0, 0)
    };
    let quietly = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    let mut questions = 0;
    for (question, is_permitted) in [
        (Question::File, allows(libc::SYS_fstat, 0, 0)),
        (Question::Unix, allows(libc::SYS_sendmsg, 0, quietly)),
        (Question::Socket, asks_socket()),
        (Question::Process, allows(libc::SYS_getpid, 0, 0)),
    ] {
        if is_permitted {
            questions |= question as u8;
        }
    }
    questions
}

/// `SECCOMP_RET_ACTION_FULL`, and the verdicts for which a call is carried out (linux/seccomp.h).
const ACTION: u32 = 0xffff_0000;
const ALLOW: u32 = 0x7fff_0000;
const LOG: u32 = 0x7ffc_0000;
