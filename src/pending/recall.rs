//! The demand that a handshake end.

use core::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};

/// What is demanded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Demand {
    /// Nothing.
    None,
    /// The end of the handshake; the socket is disconnected by who demands it.
    Cancel,
    /// The end of the handshake, and an error for whoever still has the socket.
    Abort,
}

/// A demand for the socket of one serial number: a later one at the same place does not meet it.
/// Zeroed, nothing is demanded.
#[repr(transparent)]
pub(super) struct Recall(AtomicU64);

const SERIAL: u32 = 32;

impl Recall {
    /// Demands something of the socket `serial`. Anyone may.
    pub(super) fn demand(&self, serial: u32, demand: Demand) {
        // Release pairs with the Acquire in `demanded`. The larger one is the newer socket's.
        self.0.fetch_max(u64::from(serial) << SERIAL | demand as u64, Release);
    }

    /// What is demanded of the socket `serial`.
    pub(super) fn demanded(&self, serial: u32) -> Demand {
        // Acquire pairs with the Release in `demand`.
        let word = self.0.load(Acquire);
        match word as u32 {
            _ if (word >> SERIAL) as u32 != serial => Demand::None,
            0 => Demand::None,
            1 => Demand::Cancel,
            _ => Demand::Abort,
        }
    }

    /// Forgets every demand. Only the baton's holder may.
    pub(super) fn forget(&self) {
        // Relaxed: published with the stage that follows.
        self.0.store(0, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_demand_is_for_one_socket() {
        let recall = Recall(AtomicU64::new(0));
        assert_eq!(recall.demanded(0), Demand::None);
        recall.demand(7, Demand::Cancel);
        assert_eq!((recall.demanded(7), recall.demanded(8)), (Demand::Cancel, Demand::None));
        recall.demand(7, Demand::Abort);
        recall.demand(7, Demand::Cancel);
        assert_eq!(recall.demanded(7), Demand::Abort);
        recall.forget();
        assert_eq!(recall.demanded(7), Demand::None);
    }

    #[test]
    fn a_late_demand_for_an_older_socket_leaves_the_newer_ones() {
        let recall = Recall(AtomicU64::new(0));
        recall.demand(8, Demand::Cancel);
        recall.demand(7, Demand::Abort);
        assert_eq!(recall.demanded(8), Demand::Cancel);
    }
}
