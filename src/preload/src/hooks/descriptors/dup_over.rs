//! Entries that go if a call succeeds and stay if it fails.

use core::ffi::c_int;

use crate::sockets::SOCKETS;
use crate::{errno, harmless};

/// Runs `call`, which closes `fds` if it succeeds and leaves them open if it answers -1: their
/// entries are gone meanwhile (guarantee I).
pub fn replaced<const N: usize>(fds: [c_int; N], call: impl FnOnce() -> c_int) -> c_int {
    fds.iter().for_each(|fd| harmless::remove(*fd));
    let before = fds.map(|fd| SOCKETS.detach(fd));
    let result = call();
    let saved = errno::get();
    for entry in before.into_iter().flatten() {
        if result < 0 {
            SOCKETS.restore(entry);
        } else {
            SOCKETS.discard(entry);
        }
    }
    errno::set(saved);
    result
}
