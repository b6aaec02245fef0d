//! The request that a handshake end.

use core::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};

/// The reason for which a handshake is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cancel {
    /// None: it goes on.
    None,
    /// The program lets go of the peer: the socket is disconnected and may connect again.
    ByProgram,
    /// The last descriptor of this process is closed.
    LastClose,
}

/// A request for the socket of one serial number: a later socket in the same slot ignores it, because
/// its serial number differs. Zeroed, nothing is requested.
#[repr(transparent)]
pub(super) struct CancelRequest(AtomicU64);

const SERIAL: u32 = 32;

impl CancelRequest {
    /// Requests the end of the handshake of the socket `serial`. Every thread may.
    pub(super) fn make(&self, serial: u32, cancel: Cancel) {
        // Release pairs with the Acquire in `made`. The larger one is the newer socket's.
        self.0.fetch_max(u64::from(serial) << SERIAL | cancel as u64, Release);
    }

    /// The request for the socket `serial`.
    pub(super) fn made(&self, serial: u32) -> Cancel {
        // Acquire pairs with the Release in `make`.
        let word = self.0.load(Acquire);
        match word as u32 {
            _ if (word >> SERIAL) as u32 != serial => Cancel::None,
            0 => Cancel::None,
            1 => Cancel::ByProgram,
            _ => Cancel::LastClose,
        }
    }

    /// Forgets every request. Only the holder of the run lock may.
    pub(super) fn forget(&self) {
        // Relaxed: published with the stage that follows.
        self.0.store(0, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_for_one_socket() {
        let request = CancelRequest(AtomicU64::new(0));
        assert_eq!(request.made(0), Cancel::None);
        request.make(7, Cancel::ByProgram);
        assert_eq!((request.made(7), request.made(8)), (Cancel::ByProgram, Cancel::None));
        request.make(7, Cancel::LastClose);
        request.make(7, Cancel::ByProgram);
        assert_eq!(request.made(7), Cancel::LastClose);
        request.forget();
        assert_eq!(request.made(7), Cancel::None);
    }

    #[test]
    fn a_late_request_for_an_older_socket_leaves_the_newer_ones() {
        let request = CancelRequest(AtomicU64::new(0));
        request.make(8, Cancel::ByProgram);
        request.make(7, Cancel::LastClose);
        assert_eq!(request.made(8), Cancel::ByProgram);
    }
}
