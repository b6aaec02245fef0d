//! What a place of the arena is used for, and by which socket.

use core::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Release},
};

use crate::registry::Outcome;
use crate::sys::Errno;

/// What a place of the arena is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// For nothing.
    Free,
    /// An unconnected socket's registrations.
    Idle,
    /// A handshake in flight.
    Aloft,
    /// It has ended; kept for other processes until the place is needed.
    Landed(Outcome),
}

/// A stage and the serial number of the socket that is at it. Written by the baton's holder alone;
/// zeroed, it is free.
#[repr(transparent)]
pub(super) struct State(AtomicU64);

const SERIAL: u32 = 32;
const ERRNO: u32 = 16;

impl State {
    pub(super) fn stage(&self) -> Stage {
        // Acquire pairs with the Release in `set` and `take_over`.
        let word = self.0.load(Acquire);
        let errno = (word >> ERRNO) as u16;
        match word as u8 {
            0 => Stage::Free,
            1 => Stage::Idle,
            2 => Stage::Aloft,
            3 => Stage::Landed(Outcome::Established),
            4 => Stage::Landed(Outcome::Cancelled),
            _ => Stage::Landed(Outcome::Failed(Errno(errno.into()))),
        }
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
    pub(super) fn take_over(&self) {
        self.store(self.serial().wrapping_add(1), Stage::Idle);
    }

    fn store(&self, serial: u32, stage: Stage) {
        let (number, errno) = match stage {
            Stage::Free => (0, 0),
            Stage::Idle => (1, 0),
            Stage::Aloft => (2, 0),
            Stage::Landed(Outcome::Established) => (3, 0),
            Stage::Landed(Outcome::Cancelled) => (4, 0),
            Stage::Landed(Outcome::Failed(Errno(errno))) => (5, errno as u16),
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
        state.take_over();
        let stages = [
            Stage::Idle,
            Stage::Aloft,
            Stage::Landed(Outcome::Established),
            Stage::Landed(Outcome::Cancelled),
            Stage::Landed(Outcome::Failed(Errno(libc::EHOSTUNREACH))),
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
        state.take_over();
        assert_eq!((state.stage(), state.serial()), (Stage::Idle, 0));
    }
}
