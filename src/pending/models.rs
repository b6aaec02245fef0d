//! loom models of the hand-over of a handshake between its drivers, with twins in which a mistake is
//! planted that loom must find. `tests/loom` runs them.
//!
//! A driver's look is modelled by what it must see: the number of events that have arrived. The
//! events are counted with Relaxed, so that only the baton can make them visible.

use std::sync::atomic::Ordering::Relaxed;

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

use super::{Baton, Take};
use crate::registry::models::{fails, holds};
use crate::registry::primitive::{AtomicU32, Bug};

/// A handshake: `seen` is what its drivers keep.
struct Handshake {
    baton: Baton,
    arrived: AtomicU32,
    seen: UnsafeCell<u32>,
}

// SAFETY: `seen` belongs to the baton's holder, which is what loom checks.
unsafe impl Sync for Handshake {}

impl Handshake {
    fn new() -> Arc<Handshake> {
        Arc::new(Handshake {
            baton: Baton::new(),
            arrived: AtomicU32::new(0),
            seen: UnsafeCell::new(0),
        })
    }

    /// An event comes in thread `me`, which then does what `Pending::run` does.
    fn event(&self, me: i32) {
        self.arrived.fetch_add(1, Relaxed);
        if self.baton.take(me) != Take::Taken {
            return;
        }
        loop {
            let arrived = self.arrived.load(Relaxed);
            // SAFETY: the baton; loom fails where two threads are here at once.
            self.seen.with_mut(|seen| unsafe { *seen = arrived });
            if self.baton.give_back(me) {
                return;
            }
        }
    }
}

fn drivers(count: i32) {
    let handshake = Handshake::new();
    let others: Vec<_> = (2..=count)
        .map(|me| {
            let handshake = Arc::clone(&handshake);
            thread::spawn(move || handshake.event(me))
        })
        .collect();
    handshake.event(1);
    for other in others {
        other.join().expect("a driver ends");
    }
    assert!(!handshake.baton.is_held(), "the baton is lost");
    // SAFETY: all threads are joined.
    let seen = handshake.seen.with(|seen| unsafe { *seen });
    assert_eq!(seen, count as u32, "an event is lost");
}

/// A driver takes over from one that is no more, while a third brings an event.
fn one_heir() {
    let handshake = Handshake::new();
    assert_eq!(handshake.baton.take(9), Take::Taken);
    let heirs: Vec<_> = [2, 3]
        .map(|me| {
            let handshake = Arc::clone(&handshake);
            thread::spawn(move || {
                let inherits = handshake.baton.inherit(9, me);
                if inherits {
                    // SAFETY: as in `event`.
                    handshake.seen.with_mut(|seen| unsafe { *seen += 1 });
                    while !handshake.baton.give_back(me) {}
                }
                inherits
            })
        })
        .into();
    let heirs = heirs.into_iter().filter_map(|heir| heir.join().ok()).filter(|heir| *heir).count();
    assert_eq!(heirs, 1);
}

#[test]
fn no_event_is_lost_between_drivers_and_none_drive_at_once() {
    holds(|| drivers(2));
    holds(|| drivers(3));
}

#[test]
fn a_dead_drivers_baton_has_one_heir() {
    holds(one_heir);
}

#[test]
fn loom_finds_an_event_whose_bringer_left_no_word() {
    fails(&[Bug::NoNews], || drivers(2));
}

#[test]
fn loom_finds_a_baton_given_back_in_spite_of_news() {
    fails(&[Bug::IgnoredNews], || drivers(2));
}

#[test]
fn loom_finds_news_without_a_second_look() {
    fails(&[Bug::NoSecondLook], || drivers(2));
}
