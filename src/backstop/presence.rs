//! Presence of a supervisor that serves this process: asked of the supervisor itself, by a call that means nothing
//! else. What an environment says may be of another launch, and the supervisor may have been killed.

use crate::sys::{Errno, syscall6};

/// The address of a connect that asks: no program has anything there.
pub const QUESTION: u64 = 0x6570_6f63_6873_6f63;

/// The errno that a supervisor answers, and connect(2) never gives.
pub const ANSWER: Errno = Errno(libc::EDOTDOT);

/// Tells whether a supervisor serves the calling thread, and all that it will execute. One system call: without
/// a supervisor `EBADF`. Async-signal-safe.
pub fn is_supervised() -> bool {
    let address = QUESTION as usize;
    // SAFETY: no descriptor has this number, so that the kernel looks at no address.
    let asked = unsafe { syscall6(libc::SYS_connect, usize::MAX, address, 0, 0, 0, 0) };
    Errno::check(asked) == Err(ANSWER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_answers_where_there_is_no_supervisor() {
        assert!(!is_supervised());
    }
}
