//! loom models of the lock-free pieces, each with twins in which a mistake is planted that loom must
//! find. `tests/loom` runs them.
//!
//! The models cover every interleaving with a bounded number of preemptions, and the weak orderings
//! of C++11 except those that SeqCst accesses have and fences don't. A record's memory is modelled:
//! a read that races with its next life is found even where the values look right.

use std::sync::atomic::Ordering::SeqCst;

use loom::sync::Arc;
use loom::thread;

use super::epoch::EpochDomain;
use super::epoch::policy::{Epoch, Era, Hazard, PlainEra, Policy};
use super::node::{List, Node};
use super::slab::Slab;
use super::test_record::TestRecord;
use super::witness::ALIVE;
use super::{Payload, Registry, SlotRegistry, SocketId, Variant};
use crate::atomics::models::{fails, holds, models};
use crate::atomics::mutant::Mutant;
use crate::atomics::{AtomicU64, barrier, set_home};

mod generations;
mod last_slot;

/// A registry that a model can be made of.
trait Subject: Registry + Send + 'static {
    fn fresh() -> Self;

    /// Frees, with nothing else under way, all that may be freed.
    fn reclaim(&self);

    /// Gives up what removals have left in slots.
    fn sweep(&self) {}
}

type Slots<P> = SlotRegistry<EpochDomain<P, TestRecord>>;
type Counted = super::counted::Counted<TestRecord>;

type TypeStable = SlotRegistry<super::type_stable::Counts<TestRecord>>;

impl Subject for TypeStable {
    fn fresh() -> Self {
        SlotRegistry::over(super::type_stable::Counts::new())
    }

    /// All that may be freed is.
    fn reclaim(&self) {}
}

impl<P: Policy + Send> Subject for Slots<P> {
    fn fresh() -> Self {
        SlotRegistry::over(EpochDomain::new())
    }

    /// Retires until nothing that is free can be left in limbo.
    fn reclaim(&self) {
        // A second round for what a freed record kept.
        for home in [0, 1, 0, 1] {
            set_home(home);
            self.insert(3, SocketId(99)).expect("an unused descriptor");
            self.remove(3);
            self.sweep();
        }
    }

    fn sweep(&self) {
        SlotRegistry::sweep(self);
    }
}

impl Subject for Counted {
    fn fresh() -> Self {
        Counted::new()
    }

    /// The last reference has freed.
    fn reclaim(&self) {}
}

fn registry<S: Subject>() -> Arc<S> {
    ALIVE.store(0, SeqCst);
    Arc::new(S::fresh())
}

/// Runs in another thread while the model's own goes on.
fn beside<S: Subject, T: 'static>(
    registry: &Arc<S>,
    work: impl FnOnce(&S) -> T + Send + 'static,
) -> thread::JoinHandle<T> {
    let registry = Arc::clone(registry);
    barrier::expect_second();
    thread::spawn(move || {
        set_home(1);
        barrier::run_second(|| work(&registry))
    })
}

/// Counts what is alive when nothing is under way.
fn alive_at_rest(registry: &impl Subject) -> isize {
    registry.reclaim();
    ALIVE.load(SeqCst)
}

/// Removes the record of descriptor 0 and makes one of descriptor 1 in its memory, beside `reader`.
fn make_another_beside<S: Subject>(registry: &Arc<S>, reader: thread::JoinHandle<()>) {
    registry.remove(0);
    registry.insert(1, SocketId(11)).expect("vacant");
    registry.remove(1);
    reader.join().expect("no panic");
    assert_eq!(alive_at_rest(&**registry), 0, "both records are freed");
}

/// Reuses the memory of the record of descriptor 0 twice, beside a thread that reads it so often.
fn reuse_beside_a_reader<S: Subject>(registry: &Arc<S>, reads: u32) {
    let reader = beside(registry, move |registry| {
        for _ in 0..reads {
            if let Some(cookie) = registry.borrow(0, |record| record.id().0) {
                assert!((10..13).contains(&cookie));
            }
        }
    });
    for cookie in [11, 12] {
        registry.remove(0);
        registry.insert(0, SocketId(cookie)).expect("vacant");
    }
    registry.remove(0);
    registry.sweep();
    reader.join().expect("no panic");
}

/// F: a reader that meets the reuse of its record's memory.
fn read_while_reused<S: Subject>() {
    let registry = registry::<S>();
    registry.insert(0, SocketId(10)).expect("vacant");
    reuse_beside_a_reader(&registry, 1);
    assert_eq!(alive_at_rest(&*registry), 0, "every record is freed");
}

/// F: the same, where the reader's place on the stack has a cell, which it claims by a plain store.
fn read_by_a_plain_claim<P: Policy + Send>() {
    let registry = registry::<Slots<P>>();
    registry.insert(0, SocketId(10)).expect("vacant");
    registry.domain().own_place_of(1);
    reuse_beside_a_reader(&registry, 1);
    assert_eq!(alive_at_rest(&*registry), 0, "every record is freed");
}

/// C, E: a handle outlives a plain claim and the entry.
fn count_by_a_plain_claim<P: Policy + Send>() {
    let registry = registry::<Slots<P>>();
    registry.insert(0, SocketId(10)).expect("vacant");
    registry.domain().own_place_of(1);
    let reader = beside(&registry, |registry| {
        if let Some(handle) = registry.lookup(0) {
            assert_eq!(handle.id(), SocketId(10));
        }
    });
    make_another_beside(&registry, reader);
}

/// F: the kernel refuses the barrier that it has promised.
fn read_when_the_barrier_is_refused<P: Policy + Send>() {
    let registry = registry::<Slots<P>>();
    barrier::refuse();
    registry.insert(0, SocketId(10)).expect("vacant");
    registry.domain().own_place_of(1);
    reuse_beside_a_reader(&registry, 2);
}

/// C, E: a handle outlives its guard and the entry.
fn count_while_removed<S: Subject>() {
    let registry = registry::<S>();
    registry.insert(0, SocketId(10)).expect("vacant");
    let reader = beside(&registry, |registry| {
        if let Some(handle) = registry.lookup(0) {
            registry.contains(0);
            assert_eq!(handle.id(), SocketId(10));
        }
    });
    make_another_beside(&registry, reader);
}

/// C: a reader whose record's memory becomes that of another descriptor sees its own or none.
fn read_while_another_is_made<S: Subject>() {
    let registry = registry::<S>();
    registry.insert(0, SocketId(10)).expect("vacant");
    let reader = beside(&registry, |registry| {
        let seen = registry.borrow(0, |record| record.id());
        assert!(seen.is_none_or(|id| id == SocketId(10)));
    });
    make_another_beside(&registry, reader);
}

/// G: of two inserts one wins.
fn insert_twice<S: Subject>() {
    let registry = registry::<S>();
    let other = beside(&registry, |registry| {
        let _ = registry.insert(0, SocketId(10));
    });
    let _ = registry.insert(0, SocketId(11));
    other.join().expect("no panic");
    assert!(registry.remove(0));
    assert!(!registry.remove(0));
    assert_eq!(alive_at_rest(&*registry), 0, "the loser's record is freed, too");
}

/// G: of two inserts one wins, and one of them takes out what a removal has left.
fn insert_twice_after_removal<S: Subject>() {
    let registry = registry::<S>();
    registry.insert(0, SocketId(9)).expect("vacant");
    registry.remove(0);
    let other = beside(&registry, |registry| registry.insert(0, SocketId(10)).is_ok());
    let won = registry.insert(0, SocketId(11)).is_ok();
    assert!(won != other.join().expect("no panic"));
    assert!(registry.remove(0));
    assert_eq!(alive_at_rest(&*registry), 0, "all three records are freed");
}

/// D, E: an entry is removed while an arena looks again at its slot.
fn remove_while_looked_at_again<S: Subject>() {
    let registry = registry::<S>();
    registry.insert(0, SocketId(10)).expect("vacant");
    let other = beside(&registry, |registry| registry.remove(0));
    // One slot is all that an arena notes here.
    registry.insert(1, SocketId(11)).expect("vacant");
    assert!(other.join().expect("no panic"));
    assert!(!registry.contains(0), "what was removed stays removed");
    assert!(registry.remove(1));
    assert_eq!(alive_at_rest(&*registry), 0, "both records are freed");
}

/// D, E: a duplicate made while its source goes away has the record, or nothing.
fn duplicate_while_removed<S: Subject>() {
    let registry = registry::<S>();
    registry.insert(0, SocketId(10)).expect("vacant");
    let other = beside(&registry, |registry| {
        registry.duplicate(0, 1).expect("memory");
    });
    registry.remove(0);
    registry.sweep();
    other.join().expect("no panic");
    alive_at_rest(&*registry);
    if let Some(cookie) = registry.borrow(1, |record| record.id()) {
        assert_eq!(cookie, SocketId(10));
        registry.remove(1);
    }
    assert_eq!(alive_at_rest(&*registry), 0, "the record is freed once");
}

/// A: a duplicate made while the connection is dissolved doesn't keep the old record.
fn duplicate_while_superseded<S: Subject>() {
    let registry = registry::<S>();
    registry.insert(0, SocketId(10)).expect("vacant");
    let other = beside(&registry, |registry| {
        registry.duplicate(0, 1).expect("memory");
    });
    assert_eq!(registry.supersede(0), Ok(true));
    other.join().expect("no panic");
    name_one_record_and_free_both(&*registry);
}

/// A: an entry that is put back while the connection is dissolved doesn't keep the old record.
fn restore_while_superseded<S: Subject>() {
    let registry = registry::<S>();
    registry.insert(0, SocketId(10)).expect("vacant");
    registry.duplicate(0, 1).expect("memory");
    let other = beside(&registry, |registry| {
        let entry = registry.detach(1).expect("an entry");
        registry.restore(1, entry);
    });
    assert_eq!(registry.supersede(0), Ok(true));
    other.join().expect("no panic");
    name_one_record_and_free_both(&*registry);
}

/// Final state of a superseded record's two descriptors.
fn name_one_record_and_free_both<S: Subject>(registry: &S) {
    let first = registry.lookup(0).expect("an entry");
    let second = registry.lookup(1).expect("an entry");
    assert!(core::ptr::eq(&*first, &*second), "both descriptors name the fresh record");
    drop((first, second));
    registry.remove(0);
    registry.remove(1);
    assert_eq!(alive_at_rest(registry), 0, "both records are freed");
}

/// F, when every claim cell is taken for good.
fn read_without_a_cell<P: Policy + Send>() {
    let registry = registry::<Slots<P>>();
    registry.domain().abandon_all_cells();
    registry.insert(0, SocketId(10)).expect("vacant");
    let reader = beside(&registry, |registry| {
        if let Some(cookie) = registry.borrow(0, |record| record.id()) {
            assert!(cookie == SocketId(10) || cookie == SocketId(11));
        }
    });
    registry.remove(0);
    registry.insert(0, SocketId(11)).expect("vacant");
    registry.remove(0);
    reader.join().expect("no panic");
    assert_eq!(alive_at_rest(&*registry), 0, "every record is freed");
}

/// C: readers take so many references through a slot that they settle them with the node, while the
/// slot is emptied.
fn settle_while_removed() {
    let registry = registry::<Counted>();
    registry.insert(0, SocketId(10)).expect("vacant");
    let reader = beside(&registry, |registry| {
        let handles = [registry.lookup(0), registry.lookup(0)];
        for handle in handles.iter().flatten() {
            assert_eq!(handle.id(), SocketId(10));
        }
    });
    if let Some(handle) = registry.lookup(0) {
        assert_eq!(handle.id(), SocketId(10));
    }
    registry.remove(0);
    reader.join().expect("no panic");
    assert_eq!(alive_at_rest(&*registry), 0, "the record is freed once");
}

/// The spill stack gives each node to one arena.
fn share_nodes() {
    let slab = Arc::new(Slab::new());
    ALIVE.store(0, SeqCst);
    for node in [take(&slab), take(&slab)] {
        node.died();
        slab.push(List::one(node.into()));
    }
    let other = Arc::clone(&slab);
    let popper = thread::spawn(move || {
        take(&other).died();
    });
    let (first, second) = (take(&slab), take(&slab));
    first.died();
    slab.push(List::one(first.into()));
    take(&slab).died();
    popper.join().expect("no panic");
    second.died();
}

/// A node of the slab, alive.
fn take(slab: &Slab<TestRecord>) -> &'static Node<TestRecord> {
    let mut list = List::new();
    slab.refill(&mut list);
    let node = list.pop().expect("memory");
    // SAFETY: nodes are never unmapped.
    let node = unsafe { node.as_ref() };
    node.revive(SocketId(0), 0);
    node
}

/// A policy that a reclaimer pays no attention to.
struct Disregarded;

impl Policy for Disregarded {
    const VARIANT: &'static Variant = Era::VARIANT;
    const TICKS: bool = true;
    const WATCHES_GENERATION: bool = false;

    fn word<T>(clock: &AtomicU64, node: *const Node<T>) -> u64 {
        Era::word(clock, node)
    }

    fn protects<T>(word: u64, node: &Node<T>) -> bool {
        Era::protects(word, node)
    }

    fn holds_back<T>(_: u64, _: &Node<T>) -> bool {
        false
    }
}

/// A policy `P` whose readers don't look whether what they found is what they protect.
struct Unvalidated<P>(P);

impl<P: Policy> Policy for Unvalidated<P> {
    const VARIANT: &'static Variant = P::VARIANT;
    const TICKS: bool = P::TICKS;
    const WATCHES_GENERATION: bool = P::WATCHES_GENERATION;

    fn word<T>(clock: &AtomicU64, node: *const Node<T>) -> u64 {
        P::word(clock, node)
    }

    fn protects<T>(_: u64, _: &Node<T>) -> bool {
        true
    }

    fn holds_back<T>(word: u64, node: &Node<T>) -> bool {
        P::holds_back(word, node)
    }
}

models! {
    era_protects_a_reader_from_reuse: holds(read_while_reused::<Slots<Era>>);
    epoch_protects_a_reader_from_reuse: holds(read_while_reused::<Slots<Epoch>>);
    hazard_protects_a_reader_from_reuse: holds(read_while_reused::<Slots<Hazard>>);
    twin_free_without_epoch: fails(&[], read_while_reused::<Slots<Disregarded>>);
    twin_era_without_validation: fails(&[], read_while_reused::<Slots<Unvalidated<Era>>>);
    twin_hazard_without_validation: fails(&[], read_while_reused::<Slots<Unvalidated<Hazard>>>);
    twin_era_without_fences: fails(&[Mutant::MissingFence], read_while_reused::<Slots<Era>>);
    twin_epoch_without_fences: fails(&[Mutant::MissingFence], read_while_reused::<Slots<Epoch>>);
    twin_hazard_without_fences: fails(&[Mutant::MissingFence], read_while_reused::<Slots<Hazard>>);
    twin_unguarded_read: fails(&[Mutant::UnguardedRead], read_while_reused::<Slots<Era>>);
    twin_lost_retire: fails(&[Mutant::LostRetire], read_while_reused::<Slots<Era>>);

    barrier_protects_a_plain_claim_from_reuse: holds(read_by_a_plain_claim::<PlainEra>);
    twin_no_barrier: fails(&[Mutant::NoBarrier], read_by_a_plain_claim::<PlainEra>);
    twin_barrier_not_awaited: fails(&[Mutant::BarrierNotAwaited], read_by_a_plain_claim::<PlainEra>);
    barrier_keeps_a_record_counted_by_a_plain_claim: holds(count_by_a_plain_claim::<PlainEra>);
    twin_no_barrier_for_a_count: fails(&[Mutant::NoBarrier], count_by_a_plain_claim::<PlainEra>);
    refused_barrier_frees_nothing_that_a_plain_claim_protects:
        holds(read_when_the_barrier_is_refused::<PlainEra>);
    twin_refused_barrier_is_not_noticed:
        fails(&[Mutant::RefusalIgnored], read_when_the_barrier_is_refused::<PlainEra>);
    twin_places_keep_their_cells:
        fails(&[Mutant::PlacesKeepCells], read_when_the_barrier_is_refused::<PlainEra>);

    era_keeps_a_counted_record: holds(count_while_removed::<Slots<Era>>);
    epoch_keeps_a_counted_record: holds(count_while_removed::<Slots<Epoch>>);
    hazard_keeps_a_counted_record: holds(count_while_removed::<Slots<Hazard>>);
    twin_era_count_ignored: fails(&[Mutant::IgnoredCount], count_while_removed::<Slots<Era>>);
    twin_epoch_count_ignored: fails(&[Mutant::IgnoredCount], count_while_removed::<Slots<Epoch>>);
    twin_hazard_count_ignored: fails(&[Mutant::IgnoredCount], count_while_removed::<Slots<Hazard>>);

    one_of_two_inserts_wins: holds(insert_twice::<Slots<Era>>);
    twin_store_on_insert: fails(&[Mutant::StoreOnInsert], insert_twice::<Slots<Era>>);
    one_of_two_inserts_after_a_removal_wins: holds(insert_twice_after_removal::<Slots<Era>>);
    twin_store_on_insert_after_a_removal:
        fails(&[Mutant::StoreOnInsert], insert_twice_after_removal::<Slots<Era>>);
    removed_stays_removed: holds(remove_while_looked_at_again::<Slots<Era>>);
    twin_store_on_second_look:
        fails(&[Mutant::StoreOnSecondLook], remove_while_looked_at_again::<Slots<Era>>);

    era_duplicate_while_removed: holds(duplicate_while_removed::<Slots<Era>>);
    hazard_duplicate_while_removed: holds(duplicate_while_removed::<Slots<Hazard>>);
    twin_era_unvalidated_share:
        fails(&[Mutant::UnvalidatedShare], duplicate_while_removed::<Slots<Era>>);
    twin_hazard_unvalidated_share:
        fails(&[Mutant::UnvalidatedShare], duplicate_while_removed::<Slots<Hazard>>);

    supersede_reaches_a_fresh_duplicate: holds(duplicate_while_superseded::<Slots<Era>>);
    twin_duplicate_not_settled: fails(&[Mutant::NoSettle], duplicate_while_superseded::<Slots<Era>>);

    twin_duplicate_of_superseded_without_fences:
        fails(&[Mutant::MissingFence], duplicate_while_superseded::<Slots<Era>>);
    supersede_reaches_a_restored_entry: holds(restore_while_superseded::<Slots<Era>>);
    twin_restored_not_settled: fails(&[Mutant::NoSettle], restore_while_superseded::<Slots<Era>>);

    era_protects_a_reader_without_a_cell: holds(read_without_a_cell::<Era>);
    hazard_protects_a_reader_without_a_cell: holds(read_without_a_cell::<Hazard>);
    twin_era_overflow_ignored: fails(&[Mutant::IgnoredOverflow], read_without_a_cell::<Era>);
    twin_hazard_overflow_ignored: fails(&[Mutant::IgnoredOverflow], read_without_a_cell::<Hazard>);
    twin_era_overflow_without_fences: fails(&[Mutant::MissingFence], read_without_a_cell::<Era>);
    twin_hazard_overflow_without_fences: fails(&[Mutant::MissingFence], read_without_a_cell::<Hazard>);

    count_protects_a_reader_from_reuse: holds(read_while_reused::<TypeStable>);
    twin_count_from_zero: fails(&[Mutant::CountFromZero], read_while_reused::<TypeStable>);
    second_look_tells_whose_record_it_is: holds(read_while_another_is_made::<TypeStable>);
    twin_no_look_after_count:
        fails(&[Mutant::NoLookAfterCount], read_while_another_is_made::<TypeStable>);
    twin_early_count: fails(&[Mutant::EarlyCount], read_while_reused::<TypeStable>);
    count_keeps_a_counted_record: holds(count_while_removed::<TypeStable>);
    one_of_two_inserts_of_counted_nodes_wins: holds(insert_twice::<TypeStable>);
    count_duplicate_while_removed: holds(duplicate_while_removed::<TypeStable>);
    twin_count_unvalidated_share:
        fails(&[Mutant::UnvalidatedShare], duplicate_while_removed::<TypeStable>);
    supersede_reaches_a_fresh_duplicate_of_a_count: holds(duplicate_while_superseded::<TypeStable>);
    supersede_reaches_a_restored_count: holds(restore_while_superseded::<TypeStable>);

    spill_stack_gives_each_node_once: holds(share_nodes);
    twin_spill_stack_without_tag: fails(&[Mutant::NoTag], share_nodes);

    share_protects_a_reader_from_reuse: holds(read_while_reused::<Counted>);
    share_keeps_a_counted_record: holds(count_while_removed::<Counted>);
    twin_share_is_not_taken_first: fails(&[Mutant::BlindIncrement], read_while_reused::<Counted>);
    twin_share_is_not_taken_first_for_a_handle:
        fails(&[Mutant::BlindIncrement], count_while_removed::<Counted>);
    share_is_made_up_for_in_time: holds(settle_while_removed);
    twin_share_made_up_for_too_late: fails(&[Mutant::LateSettlement], settle_while_removed);
    one_of_two_inserts_into_shares_wins: holds(insert_twice::<Counted>);
    twin_store_on_insert_into_a_share: fails(&[Mutant::StoreOnInsert], insert_twice::<Counted>);
    share_duplicate_while_removed: holds(duplicate_while_removed::<Counted>);
    twin_share_duplicate_is_not_counted:
        fails(&[Mutant::UnvalidatedShare], duplicate_while_removed::<Counted>);
    supersede_reaches_a_fresh_duplicates_share: holds(duplicate_while_superseded::<Counted>);
    twin_share_duplicate_not_settled:
        fails(&[Mutant::NoSettle], duplicate_while_superseded::<Counted>);
    twin_share_of_superseded_without_fences:
        fails(&[Mutant::MissingFence], duplicate_while_superseded::<Counted>);
    supersede_reaches_a_restored_share: holds(restore_while_superseded::<Counted>);
    twin_restored_share_not_settled: fails(&[Mutant::NoSettle], restore_while_superseded::<Counted>);
}
