//! One suite for every backend. Tests are named for the property and cite the guarantee's letter.

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::test_record::TestRecord;
use super::{Handle, InsertError, Payload, Registry, SocketId};

/// Connects the record of `fd` to `port`.
fn connect(registry: &impl Registry<Payload = TestRecord>, fd: i32, port: u16) {
    assert!(registry.lookup(fd).expect("an entry").connect(port), "unconnected before");
}

/// The port that the record of `fd` leads to.
fn port(registry: &impl Registry<Payload = TestRecord>, fd: i32) -> Option<u16> {
    registry.borrow(fd, TestRecord::port)?
}

fn cookie(registry: &impl Registry<Payload = TestRecord>, fd: i32) -> Option<u64> {
    registry.borrow(fd, |record| record.id().0)
}

pub fn empty_registry_has_no_entries(registry: &impl Registry<Payload = TestRecord>) {
    for fd in [-1, i32::MIN, 0, 3, 1 << 20, i32::MAX] {
        assert!(!registry.contains(fd));
        assert!(registry.borrow(fd, |_| ()).is_none());
        assert!(registry.lookup(fd).is_none());
        assert!(!registry.remove(fd));
        assert!(registry.detach(fd).is_none());
        assert_eq!(registry.supersede(fd), Ok(false));
        assert_eq!(registry.duplicate(fd, 5), Ok(false));
    }
}

/// promise: D
pub fn inserted_entry_is_found_until_removed(registry: &impl Registry<Payload = TestRecord>) {
    assert_eq!(registry.insert(3, SocketId(30)), Ok(()));
    assert_eq!(cookie(registry, 3), Some(30));
    assert_eq!(registry.lookup(3).map(|record| record.id()), Some(SocketId(30)));
    assert!(!registry.contains(4));
    assert!(registry.remove(3));
    assert!(!registry.contains(3));
    assert!(!registry.remove(3));
}

pub fn a_descriptor_out_of_range_is_refused(registry: &impl Registry<Payload = TestRecord>) {
    for fd in [-1, i32::MIN] {
        assert_eq!(registry.insert(fd, SocketId(1)), Err(InsertError::OutOfRange));
    }
    registry.insert(3, SocketId(1)).unwrap();
    assert_eq!(registry.duplicate(3, -1), Err(InsertError::OutOfRange));
}

/// A table of two levels, and what is above it.
pub fn the_highest_descriptors_have_entries(registry: &impl Registry<Payload = TestRecord>) {
    for fd in [(1 << 20) - 1, 1 << 20, i32::MAX] {
        assert_eq!(registry.insert(fd, SocketId(2)), Ok(()));
        assert_eq!(cookie(registry, fd), Some(2));
    }
    assert_eq!(registry.duplicate(i32::MAX, 3), Ok(true));
    connect(registry, 3, 80);
    assert_eq!(registry.supersede(3), Ok(true));
    assert_eq!(port(registry, i32::MAX), None);
    assert!(registry.remove(i32::MAX));
}

/// A.
/// promise: A
pub fn connection_is_immutable_once_visible(registry: &impl Registry<Payload = TestRecord>) {
    registry.insert(3, SocketId(1)).unwrap();
    connect(registry, 3, 80);
    assert!(!registry.lookup(3).unwrap().connect(81));
    assert_eq!(port(registry, 3), Some(80));
}

/// A, through a duplicate.
/// promise: A
pub fn double_connect_through_a_duplicate_is_refused(
    registry: &impl Registry<Payload = TestRecord>,
) {
    registry.insert(3, SocketId(1)).unwrap();
    assert_eq!(registry.duplicate(3, 4), Ok(true));
    connect(registry, 3, 80);
    assert!(!registry.lookup(4).unwrap().connect(81));
    assert_eq!(port(registry, 4), Some(80));
}

/// C, E: a handle outlives the entry.
/// promise: C
/// promise: E
pub fn a_handle_keeps_its_record_after_remove(registry: &impl Registry<Payload = TestRecord>) {
    registry.insert(3, SocketId(1)).unwrap();
    connect(registry, 3, 80);
    let raw = {
        let handle = registry.lookup(3).unwrap();
        let raw = handle.into_raw();
        assert!(registry.remove(3));
        raw
    };
    for other in 0..200 {
        registry.insert(3, SocketId(100 + other)).unwrap();
        assert!(registry.remove(3));
    }
    // SAFETY: from `into_raw`, once.
    let handle = unsafe { Handle::from_raw(registry, raw) };
    assert_eq!(handle.id(), SocketId(1));
    assert_eq!(handle.port(), Some(80));
}

/// G.
/// promise: G
pub fn insert_refuses_a_descriptor_that_has_an_entry(
    registry: &impl Registry<Payload = TestRecord>,
) {
    registry.insert(3, SocketId(1)).unwrap();
    assert_eq!(registry.insert(3, SocketId(2)), Err(InsertError::Occupied));
    assert_eq!(cookie(registry, 3), Some(1));
}

/// G: of racing inserts of one descriptor exactly one wins.
/// promise: G
pub fn one_of_racing_inserts_wins(registry: &impl Registry<Payload = TestRecord>) {
    const THREADS: usize = 4;
    let barrier = Barrier::new(THREADS);
    let wins: Vec<AtomicUsize> = (0..200).map(|_| AtomicUsize::new(0)).collect();
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                barrier.wait();
                for (fd, won) in wins.iter().enumerate() {
                    if registry.insert(fd as i32, SocketId(1)).is_ok() {
                        won.fetch_add(1, Relaxed);
                    }
                }
            });
        }
    });
    assert!(wins.iter().all(|won| won.load(Relaxed) == 1), "{wins:?}");
}

/// I: a detached entry is gone at once, and back when the close failed.
/// promise: I
pub fn a_detached_entry_is_gone_until_it_is_restored(
    registry: &impl Registry<Payload = TestRecord>,
) {
    registry.insert(3, SocketId(1)).unwrap();
    connect(registry, 3, 80);
    let entry = registry.detach(3).unwrap();
    assert!(!registry.contains(3));
    registry.restore(3, entry);
    assert_eq!(port(registry, 3), Some(80));
    let entry = registry.detach(3).unwrap();
    registry.discard(entry);
    assert!(!registry.contains(3));
}

/// I: the descriptor's next user wins over a restored entry.
/// promise: I
pub fn restore_gives_way_to_a_newer_entry(registry: &impl Registry<Payload = TestRecord>) {
    registry.insert(3, SocketId(1)).unwrap();
    let entry = registry.detach(3).unwrap();
    registry.insert(3, SocketId(2)).unwrap();
    registry.restore(3, entry);
    assert_eq!(cookie(registry, 3), Some(2));
    assert!(registry.remove(3));
    assert!(!registry.contains(3));
}

/// promise: B
pub fn duplicates_share_one_record(registry: &impl Registry<Payload = TestRecord>) {
    registry.insert(3, SocketId(1)).unwrap();
    assert_eq!(registry.duplicate(3, 4), Ok(true));
    assert_eq!(registry.duplicate(4, 5), Ok(true));
    connect(registry, 4, 80);
    assert!(registry.remove(3));
    assert!(!registry.contains(3));
    for fd in [4, 5] {
        assert_eq!(port(registry, fd), Some(80));
    }
    assert!(registry.remove(4));
    assert_eq!(port(registry, 5), Some(80));
    assert!(registry.remove(5));
}

/// promise: B
pub fn duplicate_replaces_what_the_target_named(registry: &impl Registry<Payload = TestRecord>) {
    registry.insert(3, SocketId(1)).unwrap();
    registry.insert(4, SocketId(2)).unwrap();
    assert_eq!(registry.duplicate(3, 4), Ok(true));
    assert_eq!(cookie(registry, 4), Some(1));
    assert_eq!(registry.duplicate(9, 4), Ok(false));
    assert!(!registry.contains(4));
    assert_eq!(registry.duplicate(3, 3), Ok(true));
    assert_eq!(cookie(registry, 3), Some(1));
}

/// E, F: also when the source's descriptor has come back, many times.
/// promise: E
/// promise: F
pub fn a_duplicate_outlives_its_source(registry: &impl Registry<Payload = TestRecord>) {
    for cookie in 0..40 {
        registry.insert(9, SocketId(cookie)).expect("vacant");
        registry.remove(9);
    }
    registry.insert(3, SocketId(30)).expect("vacant");
    assert_eq!(registry.duplicate(3, 4), Ok(true));
    for cookie in 1_000..1_100 {
        assert!(registry.remove(3));
        registry.insert(3, SocketId(cookie)).expect("vacant");
        assert_eq!(registry.borrow(4, |record| record.id()), Some(SocketId(30)));
    }
}

/// A conditional removal takes the entry that was seen, and leaves one that another caller has made
/// since.
pub fn remove_if_takes_only_the_entry_that_was_seen(
    registry: &impl Registry<Payload = TestRecord>,
) {
    registry.insert(3, SocketId(1)).expect("vacant");
    let seen = registry.lookup(3).expect("an entry");
    registry.remove(3);
    registry.insert(3, SocketId(2)).expect("vacant again");
    assert!(!registry.remove_if(3, &seen));
    assert_eq!(registry.borrow(3, TestRecord::id), Some(SocketId(2)));
    let fresh = registry.lookup(3).expect("an entry");
    assert!(registry.remove_if(3, &fresh) && !registry.contains(3));
    assert!(!registry.remove_if(3, &fresh) && !registry.remove_if(-1, &fresh));
    assert_eq!((seen.id(), fresh.id()), (SocketId(1), SocketId(2)));
}

/// A: `connect(AF_UNSPEC)` gives every duplicate the same fresh record, and old handles keep theirs.
/// promise: A
pub fn supersede_reaches_every_duplicate(registry: &impl Registry<Payload = TestRecord>) {
    registry.insert(3, SocketId(1)).unwrap();
    registry.duplicate(3, 4).unwrap();
    connect(registry, 3, 80);
    let old = registry.lookup(3).unwrap();
    assert_eq!(registry.supersede(4), Ok(true));
    for fd in [3, 4] {
        assert_eq!(cookie(registry, fd), Some(1));
        assert_eq!(port(registry, fd), None);
    }
    assert_eq!(old.port(), Some(80));
    connect(registry, 3, 81);
    assert_eq!(port(registry, 4), Some(81));
    assert!(registry.remove(3));
    assert_eq!(port(registry, 4), Some(81));
    assert_eq!(registry.supersede(4), Ok(true));
    assert_eq!(port(registry, 4), None);
    assert!(registry.remove(4));
}

/// A, I: a close that failed can't bring a dissolved connection back.
/// promise: A
/// promise: I
pub fn supersede_reaches_a_detached_entry(registry: &impl Registry<Payload = TestRecord>) {
    registry.insert(3, SocketId(1)).unwrap();
    registry.duplicate(3, 4).unwrap();
    connect(registry, 3, 80);
    let entry = registry.detach(3).unwrap();
    assert_eq!(registry.supersede(4), Ok(true));
    registry.restore(3, entry);
    connect(registry, 3, 81);
    assert_eq!(port(registry, 4), Some(81));
    let entry = registry.detach(4).unwrap();
    assert_eq!(registry.supersede(3), Ok(true));
    registry.discard(entry);
    assert!(registry.remove(3));
    assert!(!registry.contains(4));
}

/// C, E, F under threads: a reader sees the record of its descriptor, whole, whatever others do.
/// The cookie carries the descriptor, the destination carries the cookie.
/// promise: C
/// promise: E
/// promise: F
pub fn readers_see_whole_records_under_churn(registry: &impl Registry<Payload = TestRecord>) {
    const FDS: i32 = 8;
    const ROUNDS: u64 = 3_000;
    let destination = |cookie: u64| (cookie % 50_000) as u16 + 1;
    let check = |fd: i32, record: &TestRecord| {
        let SocketId(cookie) = record.id();
        assert_eq!(cookie % FDS as u64, fd as u64);
        if let Some(seen) = record.port() {
            assert_eq!(seen, destination(cookie));
        }
    };
    std::thread::scope(|scope| {
        for thread in 0..4u64 {
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    let fd = ((round + thread) % FDS as u64) as i32;
                    let cookie = (round * 4 + thread) * FDS as u64 + fd as u64;
                    if registry.insert(fd, SocketId(cookie)).is_ok()
                        && let Some(record) = registry.lookup(fd)
                    {
                        let SocketId(cookie) = record.id();
                        record.connect(destination(cookie));
                    }
                    let other = (fd + 1) % FDS;
                    registry.borrow(other, |record| check(other, record));
                    if let Some(handle) = registry.lookup(other) {
                        registry.remove(other);
                        check(other, &handle);
                    }
                    registry.remove(fd);
                }
            });
        }
    });
}

/// Duplicates, supersedes, detaches and removes in many threads leave a registry that works.
/// `lifecycle` counts what is left of the records.
pub fn after_concurrent_duplicates_every_descriptor_works(
    registry: &impl Registry<Payload = TestRecord>,
) {
    const FDS: u64 = 6;
    std::thread::scope(|scope| {
        for thread in 0..4u64 {
            scope.spawn(move || {
                for round in 0..3_000u64 {
                    let fd = ((round * 7 + thread) % FDS) as i32;
                    let other = ((round * 3 + thread * 5) % FDS) as i32;
                    let _ = registry.insert(fd, SocketId(round));
                    let _ = registry.duplicate(fd, other);
                    if round % 5 == thread {
                        let _ = registry.supersede(fd);
                    }
                    if let Some(entry) = registry.detach(other) {
                        if round % 2 == 0 {
                            registry.restore(other, entry);
                        } else {
                            registry.discard(entry);
                        }
                    }
                    registry.remove(fd);
                }
            });
        }
    });
    for fd in 0..FDS as i32 {
        registry.remove(fd);
        assert_eq!(cookie(registry, fd), None);
        registry.insert(fd, SocketId(70)).expect("vacant");
        assert_eq!(cookie(registry, fd), Some(70));
        assert!(registry.remove(fd));
    }
}

macro_rules! suite {
    ($registry:expr, [$($property:ident),* $(,)?]) => {
        $(
            #[test]
            fn $property() {
                super::$property(&$registry);
            }
        )*
    };
}

macro_rules! conformance {
    ($($name:ident $variant:ident $text:literal ($($backend:tt)*) $rest:tt)*) => {
        $(
            mod $name {
                suite!($($backend)*::<super::TestRecord>::new(), [
                    empty_registry_has_no_entries,
                    inserted_entry_is_found_until_removed,
                    a_descriptor_out_of_range_is_refused,
                    the_highest_descriptors_have_entries,
                    connection_is_immutable_once_visible,
                    double_connect_through_a_duplicate_is_refused,
                    a_handle_keeps_its_record_after_remove,
                    insert_refuses_a_descriptor_that_has_an_entry,
                    one_of_racing_inserts_wins,
                    a_detached_entry_is_gone_until_it_is_restored,
                    restore_gives_way_to_a_newer_entry,
                    duplicates_share_one_record,
                    duplicate_replaces_what_the_target_named,
                    a_duplicate_outlives_its_source,
                    remove_if_takes_only_the_entry_that_was_seen,
                    supersede_reaches_every_duplicate,
                    supersede_reaches_a_detached_entry,
                    readers_see_whole_records_under_churn,
                    after_concurrent_duplicates_every_descriptor_works,
                ]);
            }
        )*
    };
}

super::for_each_backend! { of_this_crate conformance }
