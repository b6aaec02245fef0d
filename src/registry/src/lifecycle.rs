//! Promises of the slot registries beyond single operations: bounded memory, abandoned claims, and
//! that each record ends once.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use scopeguard::defer;

use super::audit::misplaced;
use super::children::{child_succeeds, churn, fork};
use super::conformance::after_concurrent_duplicates_every_descriptor_works;
use super::domain::Unreclaimed;
use super::epoch::policy::{Epoch, Era, Hazard, PlainEra, Policy};
use super::support::{self, Slots, bare};
use super::test_record::TestRecord;
use super::{Audit, InsertError, Payload, Registry, SocketId};
use crate::sizes::RECLAIM_AT;

fn churn_in_threads(registry: &impl Registry, threads: i32, times: u64) {
    std::thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || churn(registry, 100 + thread, times));
        }
    });
}

/// Nodes in use at most while four threads churn and `readers` are stopped inside a guard.
fn nodes_with_stopped_readers<P: Policy>(readers: usize) -> u32 {
    let registry = bare::<P>();
    for fd in 0..readers as i32 {
        registry.insert(fd, SocketId(7)).expect("vacant");
    }
    let (inside, done) = (Barrier::new(readers + 1), AtomicBool::new(false));
    std::thread::scope(|scope| {
        defer! { done.store(true, Relaxed) }
        for fd in 0..readers as i32 {
            let (registry, inside, done) = (&registry, &inside, &done);
            scope.spawn(move || {
                let cookie = registry.borrow(fd, |record| {
                    inside.wait();
                    while !done.load(Relaxed) {
                        std::thread::yield_now();
                    }
                    record.id()
                });
                assert_eq!(cookie, Some(SocketId(7)), "the record is whole after all that");
            });
        }
        inside.wait();
        for fd in 0..readers as i32 {
            assert!(registry.remove(fd));
        }
        churn_in_threads(&registry, 4, 20_000);
    });
    registry.domain().nodes()
}

#[test]
fn memory_stays_flat_under_churn() {
    fn nodes<P: Policy>() -> u32 {
        let registry = bare::<P>();
        churn(&registry, 3, 300_000);
        registry.domain().nodes()
    }
    for (name, nodes) in [
        ("era", nodes::<Era>()),
        ("barrier", nodes::<PlainEra>()),
        ("epoch", nodes::<Epoch>()),
        ("hazard", nodes::<Hazard>()),
    ] {
        assert!(nodes <= 64, "{name}: {nodes} nodes for one descriptor");
    }
}

#[test]
fn stopped_readers_cost_a_bounded_number_of_nodes() {
    for (name, nodes) in [
        ("era", nodes_with_stopped_readers::<Era>(8)),
        ("barrier", nodes_with_stopped_readers::<PlainEra>(8)),
        ("hazard", nodes_with_stopped_readers::<Hazard>(8)),
    ] {
        assert!(nodes <= 600, "{name}: {nodes} nodes");
    }
}

/// Shows why plain epochs are not the default: of 80,000 records one reader keeps nearly all.
#[test]
fn one_stopped_reader_keeps_everything_from_plain_epochs() {
    assert!(nodes_with_stopped_readers::<Epoch>(1) > 40_000);
}

/// Nodes and retired records after readers were abandoned and four threads have churned.
fn after_abandoned_readers<P: Policy>(abandoned: i32) -> (u32, u32) {
    let registry = bare::<P>();
    for fd in 0..abandoned {
        registry.insert(fd, SocketId(fd as u64)).expect("vacant");
        registry.abandon_guard(fd);
    }
    for fd in 0..abandoned {
        assert!(registry.remove(fd));
    }
    // In this thread's arena, and in others unless a thread's hash leads to the same.
    churn(&registry, 100, 10_000);
    churn_in_threads(&registry, 4, 10_000);
    let nodes = registry.domain().nodes();
    churn_in_threads(&registry, 4, 20_000);
    let grown = registry.domain().nodes() - nodes;
    assert!(grown <= 4 * ARENA, "{nodes} nodes grew by {grown}");
    assert_eq!(registry.claims(), abandoned as usize, "no other claim is left");
    (registry.domain().nodes(), registry.unreclaimed())
}

/// Nodes that an arena has at most besides those that guards and handles keep: three free batches, one in
/// limbo, and eight in slots.
const ARENA: u32 = 72;
/// Of those, the ones that are retired.
const RETIRED: u32 = 24;

/// Each costs its cell and the record that it protects: no arena, and none of what comes later. But
/// all these records lie in the limbo of this thread's arena, which is looked at again only when as
/// many have come.
#[test]
fn thousands_of_abandoned_readers_keep_what_they_protect_and_nothing_else() {
    const ABANDONED: i32 = 3_000;
    fn costs<P: Policy>(name: &str) {
        let (nodes, limbo) = after_abandoned_readers::<P>(0);
        let (more_nodes, more_limbo) = after_abandoned_readers::<P>(ABANDONED);
        let most = 2 * ABANDONED as u32 + 8 * ARENA;
        assert!(more_nodes <= nodes + most, "{name}: {more_nodes} nodes");
        assert!(more_limbo <= limbo + most, "{name}: {more_limbo} in limbo");
    }
    costs::<Era>("era");
    costs::<PlainEra>("barrier");
    costs::<Hazard>("hazard");
}

/// Frees what a thread has retired, although one of its readers was abandoned.
#[test]
fn an_abandoned_reader_keeps_no_arena() {
    let registry = bare::<Era>();
    registry.insert(0, SocketId(0)).expect("vacant");
    churn(&registry, 1, 10);
    let before = registry.unreclaimed();
    assert!(before > 0, "the thread's arena has retired nodes");
    registry.abandon_guard(0);
    assert_eq!(registry.unreclaimed(), before, "they can still be reached");
    churn(&registry, 1, 10_000);
    let nodes = registry.domain().nodes();
    assert!(nodes <= ARENA, "they are used again, but {nodes} nodes were");
}

/// Each costs its cell and the nodes of its arena: that and no more.
#[test]
fn an_abandoned_mutation_costs_one_arena() {
    const ABANDONED: u32 = 500;
    let registry = bare::<Era>();
    for turn in 0..ABANDONED as i32 {
        (0..12).for_each(|fd| churn(&registry, 12 * turn + fd, 10));
        registry.domain().abandon_arena();
    }
    assert_eq!(registry.claims(), ABANDONED as usize);
    let nodes = registry.domain().nodes();
    assert!(nodes <= ABANDONED * ARENA, "{nodes} nodes");
    churn_in_threads(&registry, 4, 20_000);
    let after = registry.domain().nodes();
    assert!(after <= nodes + 8 * ARENA, "{nodes} nodes became {after}");
}

/// F: a claim counts also in a cell that comes after thousands that were abandoned.
#[test]
fn a_reader_in_a_late_cell_keeps_its_record() {
    const ABANDONED: i32 = 5_000;
    let registry = bare::<Era>();
    registry.insert(0, SocketId(0)).expect("vacant");
    (0..ABANDONED).for_each(|_| registry.abandon_guard(0));
    // To an epoch that those claims do not hold back.
    churn(&registry, 1, 100);
    registry.insert(2, SocketId(7)).expect("vacant");
    registry.borrow(2, |record| {
        assert!(registry.remove(2));
        churn(&registry, 2, 100);
        assert_eq!(core::hint::black_box(record).id(), SocketId(7));
    });
}

/// F: also one that was removed while its predecessor kept it, which ends then.
#[test]
fn a_record_that_its_predecessor_kept_stays_while_it_is_read() {
    fn stays<P: Policy>() {
        const ID: SocketId = SocketId(1_000);
        let registry = bare::<P>();
        registry.insert(0, ID).expect("vacant");
        let predecessor = registry.lookup(0);
        assert_eq!(registry.supersede(0), Ok(true));
        registry.borrow(0, |record| {
            assert!(registry.remove(0));
            registry.sweep();
            drop(predecessor);
            churn(&registry, 1, 200);
            assert_eq!(core::hint::black_box(record).id(), ID);
        });
    }
    stays::<Era>();
    stays::<PlainEra>();
    stays::<Epoch>();
    stays::<Hazard>();
}

/// Readers that stop one after the other, in epochs of their own: each keeps the records of one
/// epoch, which ends after sixteen retirements however many survive; and survivors are looked at
/// again when as many have come.
#[test]
fn readers_abandoned_at_different_times_keep_one_epochs_records_each() {
    const READERS: i32 = 14;
    let registry = bare::<Era>();
    for fd in 0..READERS {
        registry.insert(fd, SocketId(7)).expect("vacant");
        registry.abandon_guard(fd);
        churn(&registry, 100, 20_000);
    }
    let limbo = registry.domain().in_limbo();
    assert!(limbo <= 2 * READERS as u32 * (RECLAIM_AT + 1) + RETIRED, "{limbo} in limbo");
}

/// A removed record stays in its slot for a while, also if the descriptor is never used again.
#[test]
fn no_removed_record_waits_for_its_descriptor_to_come_back() {
    let registry = bare::<Era>();
    let left_in_slots = || registry.unreclaimed() - registry.domain().in_limbo();
    churn(&registry, 7, 1);
    assert_eq!(left_in_slots(), 1);
    for fd in 100..120 {
        registry.insert(fd, SocketId(0)).expect("vacant");
    }
    assert_eq!(left_in_slots(), 0);
}

#[test]
fn few_records_are_unreclaimed_however_many_descriptors_come_and_go() {
    const THREADS: u32 = 4;
    let registry = bare::<Era>();
    std::thread::scope(|scope| {
        for thread in 0..THREADS as i32 {
            let registry = &registry;
            scope.spawn(move || {
                for round in 0..20_000 {
                    churn(registry, 1_000 * thread + round % 777, 1);
                }
            });
        }
    });
    let unreclaimed = registry.unreclaimed();
    assert!(unreclaimed <= 2 * THREADS * RETIRED, "{unreclaimed} records");
}

/// Those that have been open for long are not left in their slots.
#[test]
fn few_records_are_unreclaimed_when_all_are_closed_at_last() {
    const RECORDS: i32 = 1_000;
    let registry = bare::<Era>();
    for fd in 0..RECORDS {
        registry.insert(fd, SocketId(0)).expect("vacant");
    }
    for fd in 0..RECORDS {
        assert!(registry.remove(fd));
    }
    let unreclaimed = registry.unreclaimed();
    assert!(unreclaimed <= RETIRED, "{unreclaimed} records");
}

/// However many nodes come back at once, other threads get all but a few of them.
#[test]
fn an_arena_keeps_few_free_nodes() {
    const RECORDS: i32 = 2_000;
    let registry = bare::<Era>();
    for fd in 0..RECORDS {
        registry.insert(fd, SocketId(0)).expect("vacant");
    }
    registry.borrow(0, |_| {
        for fd in 1..RECORDS {
            assert!(registry.remove(fd));
        }
    });
    churn(&registry, 1, 200);
    let nodes = registry.domain().nodes();
    registry.domain().abandon_arena();
    for fd in 1..RECORDS - ARENA as i32 {
        registry.insert(fd, SocketId(0)).expect("vacant");
    }
    assert_eq!(registry.domain().nodes(), nodes, "what the arena kept is not missed");
}

/// In a child, whose address space is short of a chunk for more nodes.
#[test]
fn what_failed_for_lack_of_memory_works_when_there_is_some() {
    let limit_memory = |bytes| {
        let limit = libc::rlimit { rlim_cur: bytes, rlim_max: libc::RLIM_INFINITY };
        // SAFETY: reads the limit.
        unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) };
    };
    let recovered = child_succeeds(fork, || {
        let registry = bare::<Era>();
        let _ = registry.insert(0, SocketId(0));
        limit_memory(1 << 20);
        let failed = (1..100_000).filter(|fd| registry.insert(*fd, SocketId(0)).is_err()).count();
        let nodes = registry.domain().nodes();
        limit_memory(libc::RLIM_INFINITY);
        let works = (0..100).all(|fd| registry.insert(200_000 + fd, SocketId(0)).is_ok());
        if failed < 90_000 || nodes > 10_000 || !works {
            // SAFETY: ends the child.
            unsafe { libc::_exit(1) };
        }
    });
    assert!(recovered);
}

/// Takes what malloc has mapped already, which the limit of the address space does not cover.
fn use_up_the_heap() {
    for size in [1 << 20, 1 << 14, 1 << 8, 16] {
        // SAFETY: the memory is not used; the child ends soon.
        while !unsafe { libc::malloc(size) }.is_null() {}
    }
}

/// In a child that has no memory for another record.
fn superseded_without_memory<R: Registry>(registry: &R) {
    let is_forgotten = child_succeeds(fork, || {
        registry.insert(3, SocketId(1)).expect("vacant");
        let _ = registry.duplicate(3, 4);
        let _ = registry.duplicate(3, 5);
        let detached = registry.detach(5);
        let limit = libc::rlimit { rlim_cur: 1 << 20, rlim_max: libc::RLIM_INFINITY };
        // SAFETY: reads the limit.
        unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) };
        use_up_the_heap();
        let full = (10..1 << 20).any(|fd| registry.insert(fd, SocketId(2)).is_err());
        let refused = registry.supersede(3) == Err(InsertError::Exhausted);
        if let Some(entry) = detached {
            registry.restore(5, entry);
        }
        if !(full && refused) || (3..6).any(|fd| registry.contains(fd)) {
            // SAFETY: ends the child.
            unsafe { libc::_exit(1) };
        }
    });
    assert!(is_forgotten, "{}", R::VARIANT.name);
}

#[test]
fn without_memory_no_descriptor_keeps_a_dissolved_connection() {
    superseded_without_memory(&bare::<Era>());
    superseded_without_memory(&bare::<PlainEra>());
    superseded_without_memory(&bare::<Hazard>());
    superseded_without_memory(support::Counted::new().inner());
    superseded_without_memory(support::TypeStable::new().inner());
    superseded_without_memory(support::Mutex::new().inner());
    superseded_without_memory(support::MutexSlots::new().inner());
}

#[test]
fn without_a_free_cell_everything_works_and_memory_stays_flat() {
    fn nodes<P: Policy>() -> u32 {
        let registry = bare::<P>();
        registry.domain().abandon_all_cells();
        registry.insert(5, SocketId(5)).expect("vacant");
        churn_in_threads(&registry, 2, 2_000);
        assert_eq!(registry.lookup(5).map(|record| record.id()), Some(SocketId(5)));
        assert_eq!(registry.duplicate(5, 6), Ok(true));
        assert_eq!(registry.supersede(6), Ok(true));
        assert!(registry.remove(5) && registry.remove(6));
        churn(&registry, 3, 2_000);
        registry.domain().nodes()
    }
    for (name, nodes) in
        [("era", nodes::<Era>()), ("barrier", nodes::<PlainEra>()), ("hazard", nodes::<Hazard>())]
    {
        assert!(nodes <= 1_000, "{name}: {nodes} nodes");
    }
}

/// E: after operations of many threads at once, each record's memory is in one place.
fn concurrency_loses_no_node<R: Registry<Payload = TestRecord> + Audit>(registry: &R) {
    after_concurrent_duplicates_every_descriptor_works(registry);
    assert_eq!(misplaced(registry), (0, 0), "{}: lost, doubled", R::VARIANT.name);
    assert_eq!(registry.claims(), 0, "{}", R::VARIANT.name);
}

/// promise: E
#[test]
fn no_record_is_lost_or_freed_twice_by_threads() {
    concurrency_loses_no_node(&Slots::new());
    concurrency_loses_no_node(&support::SlotsEpoch::new());
    concurrency_loses_no_node(&support::SlotsBarrier::new());
    concurrency_loses_no_node(&support::SlotsHazard::new());
    concurrency_loses_no_node(&support::Counted::new());
    concurrency_loses_no_node(&support::TypeStable::new());
    concurrency_loses_no_node(&support::MutexSlots::new());
}
