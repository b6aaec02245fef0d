//! The last moments of a thread.

use core::ffi::CStr;
use core::fmt::Write;

use super::files::File;
use super::thread_is_alive;
use crate::bytes::Bytes;

/// Of the flags in /proc/PID/stat: the thread is about to end (the kernel's `PF_EXITING`).
const EXITING: u32 = 0x4;

/// Tells whether the thread `id` of this process has ended, or is about to. The kernel marks it so before
/// pthread_join(3) returns; for a moment more it can be found. A thread of which /proc does not tell goes on.
pub fn thread_has_ended(id: i32) -> bool {
    let is_ending = || flags(id).is_some_and(|flags| flags & EXITING != 0);
    // It may have gone before its flags were read.
    !thread_is_alive(id) || is_ending() || !thread_is_alive(id)
}

/// The kernel's flags of the thread; see proc_pid_stat(5).
fn flags(id: i32) -> Option<u32> {
    let mut path = Bytes::<40>::EMPTY;
    write!(path, "/proc/self/task/{id}/stat\0").ok()?;
    let path = CStr::from_bytes_until_nul(path.as_slice()).ok()?;
    let mut text = [0; 256];
    let length = File::open_at(libc::AT_FDCWD, path).ok()?.read(&mut text).ok()?;
    let text = text.get(..length)?;
    // Behind the name, which may hold anything: state, parent, group, session, terminal, its group, flags.
    let behind_name = text.iter().rposition(|byte| *byte == b')')? + 2;
    let field = text.get(behind_name..)?.split(|byte| *byte == b' ').nth(6)?;
    core::str::from_utf8(field).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::gettid;
    use super::*;

    #[test]
    fn a_thread_that_was_joined_has_ended() {
        for _ in 0..2_000 {
            let id = std::thread::spawn(gettid).join().unwrap();
            assert!(thread_has_ended(id));
        }
    }

    #[test]
    fn a_running_thread_has_not_ended() {
        assert!(flags(gettid()).is_some() && !thread_has_ended(gettid()));
    }
}
