//! E: the end of a node's last slot, in three threads. The thread that empties the slot and the one that raises the
//! slot count to duplicate it race for the one "retire".

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use loom::sync::Arc;
use loom::thread;

use super::{Slots, Subject, alive_at_rest, beside, registry, take};
use crate::atomics::AtomicPtr;
use crate::atomics::models::{fails, holds, models};
use crate::atomics::mutant::Mutant;
use crate::atomics::mutant::mutant;
use crate::atomics::ordering::TotalOrder;
use crate::epoch::policy::{Epoch, Era, Hazard};
use crate::node::Node;
use crate::slab::Slab;
use crate::test_record::TestRecord;
use crate::witness::ALIVE;
use crate::{Payload, SocketId};

/// A slot, the node that it names, and how often that was to be retired.
struct Source {
    slot: AtomicPtr<Node<TestRecord>>,
    node: &'static Node<TestRecord>,
    retired: AtomicUsize,
}

impl Source {
    fn new() -> Arc<Source> {
        ALIVE.store(0, SeqCst);
        let node = take(&Slab::new());
        let slot = AtomicPtr::new(core::ptr::from_ref(node).cast_mut());
        Arc::new(Source { slot, node, retired: AtomicUsize::new(0) })
    }

    fn drop_slot(&self) {
        self.retired.fetch_add(self.node.drop_slot().into(), SeqCst);
    }

    /// The steps of `remove`.
    fn empty(&self) {
        if !self.slot.swap_total(core::ptr::null_mut()).is_null() {
            self.drop_slot();
        }
    }

    /// The steps of `duplicate` under its guard; tells whether it has a slot count now.
    fn share(&self) -> bool {
        if self.slot.load_total().is_null() {
            return false;
        }
        self.node.add_slot();
        let found = core::ptr::eq(self.slot.load_total(), self.node);
        if !found && mutant!(UnvalidatedShare: true => false) {
            self.drop_slot();
        }
        found || mutant!(UnvalidatedShare: false => true)
    }
}

/// One remover and two that share: the node is retired once, by the last who has a count, and by
/// no thread as long as one has.
fn one_retire() {
    let source = Source::new();
    let sharers = [(); 2].map(|()| {
        let source = Arc::clone(&source);
        thread::spawn(move || source.share())
    });
    source.empty();
    let shares = sharers.map(|sharer| sharer.join().expect("no panic"));
    let shares = shares.into_iter().filter(|shared| *shared).count();
    assert_eq!(source.retired.load(SeqCst), usize::from(shares == 0), "{shares} shares are left");
    (0..shares).for_each(|_| source.drop_slot());
    assert_eq!(source.retired.load(SeqCst), 1, "retired once");
}

/// The same in a registry: two duplicates are made while their source goes away.
fn two_duplicates_while_removed<S: Subject>() {
    let registry = registry::<S>();
    registry.insert(0, SocketId(10)).expect("vacant");
    let others = [1, 2].map(|target| {
        beside(&registry, move |registry| {
            registry.duplicate(0, target).expect("memory");
        })
    });
    registry.remove(0);
    registry.sweep();
    others.into_iter().for_each(|other| other.join().expect("no panic"));
    // What was retired too early is free now.
    registry.reclaim();
    for target in [1, 2] {
        if let Some(cookie) = registry.borrow(target, |record| record.id()) {
            assert_eq!(cookie, SocketId(10));
            registry.remove(target);
        }
    }
    assert_eq!(alive_at_rest(&*registry), 0, "the record is freed once");
}

models! {
    the_last_slot_is_dropped_once: holds(one_retire);
    twin_last_count_taken_away: fails(&[Mutant::LastCountTaken], one_retire);
    twin_share_without_a_second_look: fails(&[Mutant::UnvalidatedShare], one_retire);
    twin_share_without_fences: fails(&[Mutant::MissingFence], one_retire);

    era_two_duplicates_while_removed: holds(two_duplicates_while_removed::<Slots<Era>>);
    epoch_two_duplicates_while_removed: holds(two_duplicates_while_removed::<Slots<Epoch>>);
    hazard_two_duplicates_while_removed: holds(two_duplicates_while_removed::<Slots<Hazard>>);
    twin_two_unvalidated_shares:
        fails(&[Mutant::UnvalidatedShare], two_duplicates_while_removed::<Slots<Era>>);
}
