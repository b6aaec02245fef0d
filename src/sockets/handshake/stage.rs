//! The use of a slot of the table, and the socket that uses it.

use core::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Release},
};

use crate::sockets::Progress;
use crate::sys::Errno;

/// The use of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// No socket has it.
    Free,
    /// The epoll entries of a socket that is not connecting.
    Idle,
    /// A handshake is in flight.
    InFlight,
    /// The handshake has ended as `Progress` says: `Connected`, `Failed` or, if it was cancelled,
    /// `Unconnected`.
    Ended(Progress),
}

impl Stage {
    /// The stage in a word of [`State`].
    pub(super) fn of(word: u64) -> Stage {
        let errno = (word >> ERRNO) as u16;
        match word as u8 {
            0 => Stage::Free,
            1 => Stage::Idle,
            2 => Stage::InFlight,
            3 => Stage::Ended(Progress::Connected),
            4 => Stage::Ended(Progress::Unconnected),
            _ => Stage::Ended(Progress::Failed(Errno(errno.into()))),
        }
    }
}

/// A stage and the serial number of the socket that is at it. Written by the holder of the run lock
/// alone; zeroed, it is free.
#[repr(transparent)]
pub(super) struct State(AtomicU64);

const SERIAL: u32 = 32;
const ERRNO: u32 = 16;

impl State {
    pub(super) fn stage(&self) -> Stage {
        // Acquire pairs with the Release in `set` and `assign`.
        Stage::of(self.0.load(Acquire))
    }

    /// The serial number of the socket.
    pub(super) fn serial(&self) -> u32 {
        // As in `stage`.
        (self.0.load(Acquire) >> SERIAL) as u32
    }

    /// The same socket is at another stage.
    pub(super) fn set(&self, stage: Stage) {
        self.store(self.serial(), stage);
    }

    /// Another socket, which is idle, gets the next serial number.
    pub(super) fn assign(&self) {
        self.store(self.serial().wrapping_add(1), Stage::Idle);
    }

    fn store(&self, serial: u32, stage: Stage) {
        let (number, errno) = match stage {
            Stage::Free => (0, 0),
            Stage::Idle => (1, 0),
            Stage::InFlight => (2, 0),
            Stage::Ended(Progress::Connected) => (3, 0),
            Stage::Ended(Progress::Failed(Errno(errno))) => (5, errno as u16),
            Stage::Ended(_) => (4, 0),
        };
        // Release pairs with the Acquire in `stage` and `serial`.
        self.0.store(u64::from(serial) << SERIAL | u64::from(errno) << ERRNO | number, Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_is_read_as_it_was_set() {
        let state = State(AtomicU64::new(0));
        assert_eq!((state.stage(), state.serial()), (Stage::Free, 0));
        state.assign();
        let stages = [
            Stage::Idle,
            Stage::InFlight,
            Stage::Ended(Progress::Connected),
            Stage::Ended(Progress::Unconnected),
            Stage::Ended(Progress::Failed(Errno(libc::EHOSTUNREACH))),
            Stage::Free,
        ];
        for stage in stages {
            state.set(stage);
            assert_eq!((state.stage(), state.serial()), (stage, 1));
        }
    }

    #[test]
    fn serial_numbers_go_round() {
        let state = State(AtomicU64::new(u64::from(u32::MAX) << SERIAL | 5));
        state.assign();
        assert_eq!((state.stage(), state.serial()), (Stage::Idle, 0));
    }
}
