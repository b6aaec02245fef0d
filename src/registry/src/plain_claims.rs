//! Readers that claim by plain stores: who has which cell, and what happens without membarrier(2).

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use super::children::{child_succeeds, churn, fork};
use super::epoch::policy::PlainEra;
use super::support::{Bare, bare, expect, forbid};
use super::{Audit, Payload, Registry, SocketId};
use crate::sizes::PLACES;
use crate::sys;

const ENTRY: i32 = 3;

fn with_an_entry() -> Bare<PlainEra> {
    let registry = bare();
    registry.insert(ENTRY, SocketId(30)).expect("vacant");
    registry
}

/// Reads twice from one place on the stack, so that the second claim is a plain store where that may be.
/// Says what `meanwhile` answers in the second guard, and whether the record was whole then and after.
#[inline(never)]
fn read_twice<T>(registry: &Bare<PlainEra>, mut meanwhile: impl FnMut() -> T) -> (T, bool) {
    let mut answer = None;
    for round in 0..2 {
        answer = registry.borrow(ENTRY, |record| {
            let before = record.id();
            let result = (round == 1).then(&mut meanwhile);
            (result, before == SocketId(30) && record.id() == SocketId(30))
        });
    }
    match answer {
        Some((Some(result), is_whole)) => (result, is_whole),
        _ => unreachable!("the entry is there"),
    }
}

/// As a filter does that knows of no such call.
fn forbid_barriers() {
    forbid(libc::SYS_membarrier, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32);
    expect(sys::pass_barrier().is_err());
}

fn kernel_has_barriers() -> bool {
    sys::register_barrier().is_ok()
}

#[test]
fn a_place_claims_by_a_plain_store_from_the_second_time_on() {
    let registry = with_an_entry();
    let count = || (registry.domain().plain_claims(), registry.claims());
    registry.borrow(ENTRY, |_| assert_eq!(count(), (0, 1), "the first claim is another's cell"));
    let expected = if kernel_has_barriers() { (1, 1) } else { (0, 1) };
    assert_eq!(read_twice(&registry, count), (expected, true));
    assert_eq!(count(), (0, 0));
}

/// A claim that is never released keeps its cell: a caller that comes to the place later claims another.
#[test]
fn a_place_whose_claim_was_abandoned_claims_elsewhere() {
    let registry = with_an_entry();
    (0..3).for_each(|_| registry.abandon_guard(ENTRY));
    assert_eq!(registry.claims(), 3);
    assert_eq!(registry.domain().plain_claims(), usize::from(kernel_has_barriers()));
}

#[test]
fn more_places_than_cells_read_as_well() {
    fn read_at_depth(registry: &Bare<PlainEra>, depth: usize) {
        assert!(read_twice(registry, || ()).1);
        if depth > 0 {
            read_at_depth(registry, depth - 1);
            // Not a loop in disguise.
            std::hint::black_box(depth);
        }
    }
    let registry = with_an_entry();
    let deep = std::thread::Builder::new().stack_size(64 << 20);
    std::thread::scope(|scope| {
        let thread = deep.spawn_scoped(scope, || read_at_depth(&registry, 2 * PLACES));
        thread.expect("a thread").join().expect("no panic");
    });
    assert_eq!(registry.claims(), 0);
    churn(&registry, 100, 10_000);
    assert!(registry.domain().nodes() < 100);
}

#[test]
fn without_barriers_from_the_start_nobody_claims_by_a_plain_store() {
    assert!(child_succeeds(fork, || {
        forbid_barriers();
        let registry = with_an_entry();
        let read = read_twice(&registry, || {
            churn(&registry, 100, 10_000);
            (registry.domain().plain_claims(), registry.claims())
        });
        expect(read == ((0, 1), true));
        expect(registry.domain().nodes() < 100);
    }));
}

/// All that plain claims may protect when the filter comes stays, and what comes later is freed.
#[test]
fn without_barriers_from_some_time_on_plain_claims_end_and_memory_stays_flat() {
    assert!(child_succeeds(fork, || {
        let registry = with_an_entry();
        let ((), is_whole) = read_twice(&registry, || {
            expect(registry.domain().plain_claims() == usize::from(kernel_has_barriers()));
            forbid_barriers();
            expect(registry.remove(ENTRY));
            registry.sweep();
            churn(&registry, 100, 20_000);
        });
        expect(is_whole);
        expect(registry.domain().nodes() < 150);
        expect(registry.insert(ENTRY, SocketId(30)).is_ok());
        expect(read_twice(&registry, || registry.domain().plain_claims()) == (0, true));
        expect(registry.claims() == 0);
    }));
}

/// Such a thread is made by clone(2) without `CLONE_SETTLS`.
#[test]
fn threads_that_share_a_thread_pointer_have_cells_of_their_own() {
    struct Shared {
        registry: Bare<PlainEra>,
        /// The child is inside of its guard.
        is_inside: AtomicBool,
        /// The parent has seen it.
        is_seen: AtomicBool,
    }
    extern "C" fn child(shared: *mut libc::c_void) -> libc::c_int {
        // SAFETY: the parent waits for this child.
        let shared = unsafe { &*shared.cast::<Shared>() };
        let wait = || {
            shared.is_inside.store(true, SeqCst);
            while !shared.is_seen.load(SeqCst) {
                std::hint::spin_loop();
            }
        };
        let (_, is_whole) = read_twice(&shared.registry, wait);
        i32::from(!is_whole)
    }
    let shared = Shared {
        registry: with_an_entry(),
        is_inside: AtomicBool::new(false),
        is_seen: AtomicBool::new(false),
    };
    let mut stack = vec![0u128; 8192];
    let mut make = || {
        // SAFETY: the stack and what is shared outlive the child, which is waited for.
        unsafe {
            let argument = (&raw const shared).cast_mut().cast();
            let flags = libc::CLONE_VM | libc::SIGCHLD;
            libc::clone(child, stack.as_mut_ptr_range().end.cast(), flags, argument)
        }
    };
    let work_beside = |id: i32| {
        while !shared.is_inside.load(SeqCst) {
            std::thread::yield_now();
        }
        let registry = &shared.registry;
        let (claims, is_whole) = read_twice(registry, || {
            let claims = (registry.domain().plain_claims(), registry.claims());
            // Both readers keep the record, whatever is freed and used again meanwhile.
            assert!(registry.remove(ENTRY));
            registry.sweep();
            churn(registry, 100, 10_000);
            registry.insert(ENTRY, SocketId(30)).expect("vacant");
            claims
        });
        shared.is_seen.store(true, SeqCst);
        assert_eq!(claims, if kernel_has_barriers() { (2, 2) } else { (0, 2) });
        assert!(is_whole);
        id
    };
    let child = make();
    assert!(child > 0, "no child");
    assert!(child_succeeds(|| work_beside(child), || ()), "the child's record was whole");
    assert_eq!(shared.registry.claims(), 0);
}
