//! loom models of the run lock between the drivers of a handshake, with twins in which a mistake is
//! planted that loom must find. `tests/loom` runs them.
//!
//! A driver's look is modelled by what it must see: the number of events that have arrived. The
//! events are counted with Relaxed, so that only the run lock can make them visible.

use std::sync::atomic::Ordering::Relaxed;

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

use super::{RunLock, TryLock};
use crate::registry::atomics::AtomicU32;
use crate::registry::atomics::models::{fails, holds};
use crate::registry::atomics::mutant::Mutant;

/// A handshake: `seen` is what its drivers keep.
struct Handshake {
    lock: RunLock,
    arrived: AtomicU32,
    seen: UnsafeCell<u32>,
}

// SAFETY: `seen` belongs to the holder of the run lock, which is what loom checks.
unsafe impl Sync for Handshake {}

impl Handshake {
    fn new() -> Arc<Handshake> {
        Arc::new(Handshake {
            lock: RunLock::new(),
            arrived: AtomicU32::new(0),
            seen: UnsafeCell::new(0),
        })
    }

    /// An event comes in a thread, which then does what `Slot::drive` does.
    fn event(&self) {
        self.arrived.fetch_add(1, Relaxed);
        if self.lock.try_lock() != TryLock::Locked {
            return;
        }
        loop {
            let arrived = self.arrived.load(Relaxed);
            // SAFETY: the run lock; loom fails where two threads are here at once.
            self.seen.with_mut(|seen| unsafe { *seen = arrived });
            if self.lock.unlock() {
                return;
            }
        }
    }
}

fn drivers(count: i32) {
    let handshake = Handshake::new();
    let others: Vec<_> = (2..=count)
        .map(|_| {
            let handshake = Arc::clone(&handshake);
            thread::spawn(move || handshake.event())
        })
        .collect();
    handshake.event();
    for other in others {
        other.join().expect("a driver ends");
    }
    assert!(!handshake.lock.is_locked(), "the lock is lost");
    // SAFETY: all threads are joined.
    let seen = handshake.seen.with(|seen| unsafe { *seen });
    assert_eq!(seen, count as u32, "an event is lost");
}

#[test]
fn no_event_is_lost_between_drivers_and_none_drive_at_once() {
    holds(|| drivers(2));
    holds(|| drivers(3));
}

#[test]
fn loom_finds_an_event_whose_thread_left_no_notice() {
    fails(&[Mutant::NoNotice], || drivers(2));
}

#[test]
fn loom_finds_an_unlock_in_spite_of_a_notice() {
    fails(&[Mutant::IgnoredNotice], || drivers(2));
}

#[test]
fn loom_finds_a_notice_without_a_second_look() {
    fails(&[Mutant::NoSecondLook], || drivers(2));
}
