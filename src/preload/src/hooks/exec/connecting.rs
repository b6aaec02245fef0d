//! Sockets whose connect is under way: a program that is executed must not get them.

use epochsocks::sys::{self, Errno};

use crate::scratch::{Bits, with_words, words_for};
use crate::sockets::{SOCKETS, none_in_flight};

/// Runs `exec`, which starts a program: the sockets of handshakes in flight are not for it, as it
/// could neither finish nor use them. Whatever `exec` answers, they are as before here. `ENOMEM`.
pub fn without_half_spoken<R>(exec: impl FnOnce() -> R) -> Result<R, Errno> {
    if none_in_flight() {
        return Ok(exec());
    }
    let (bound, _) = SOCKETS.entries();
    with_words(words_for(bound), |changed| {
        for fd in SOCKETS.entries().1.filter(|fd| SOCKETS.drive(*fd).is_pending()) {
            let was_set = sys::set_close_on_exec(fd, true);
            changed.put(fd as usize, was_set == Ok(false));
        }
        let result = exec();
        for fd in (0..bound).filter(|fd| changed.has(*fd)) {
            let _ = sys::set_close_on_exec(fd as i32, false);
        }
        result
    })
}
