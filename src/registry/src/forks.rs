//! Children of every kind: guarantee J, and what a guard or a handle from before a fork is worth.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use scopeguard::defer;

use super::children::{child_succeeds, churn, fork};
use super::epoch::policy::{Epoch, Era, Hazard, PlainEra, Policy};
use super::support::{self, Slots, bare, expect, forbid};
use super::{Audit, Guarantee, InsertError, Payload, Registry, SocketId};

/// A child whose fork no hook has seen.
fn raw_fork() -> i32 {
    // SAFETY: as above.
    unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) as i32 }
}

/// Every operation, without a panic (which could not print in a child of many threads).
fn operations_work(registry: &impl Registry) -> bool {
    registry.lookup(3).is_some_and(|record| record.id() == SocketId(30))
        && registry.duplicate(3, 8) == Ok(true)
        && registry.supersede(8) == Ok(true)
        && registry.remove(3)
        && registry.remove(8)
        && !registry.contains(3)
        && (0..2_000).all(|cookie| {
            registry.insert(9, SocketId(cookie)).is_ok()
                && registry.borrow(9, |record| record.id()) == Some(SocketId(cookie))
                && registry.remove(9)
        })
}

/// J: while other threads of the parent were in the midst of everything.
fn forked_child_works<R: Registry>(make: fn() -> i32, registry: &R) {
    assert!(R::VARIANT.guarantees.has(Guarantee::J));
    registry.insert(3, SocketId(30)).expect("vacant");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        defer! { done.store(true, Relaxed) }
        for thread in 0..3 {
            let done = &done;
            scope.spawn(move || {
                while !done.load(Relaxed) {
                    registry.borrow(3, |record| assert_eq!(record.id(), SocketId(30)));
                    churn(registry, 100 + thread, 10);
                }
            });
        }
        let failures = (0..30)
            .filter(|_| {
                !child_succeeds(make, || {
                    if !operations_work(registry) {
                        // SAFETY: ends the child.
                        unsafe { libc::_exit(1) };
                    }
                })
            })
            .count();
        assert_eq!(failures, 0, "of 30 children");
    });
    assert!(registry.contains(3), "the parent's entry is the parent's");
}

/// promise: J
#[test]
fn forked_child_of_a_threaded_process_works_at_once() {
    forked_child_works(fork, &Slots::new());
    forked_child_works(fork, &support::SlotsBarrier::new());
    forked_child_works(fork, &support::SlotsHazard::new());
    forked_child_works(fork, &support::SlotsEpoch::new());
    forked_child_works(fork, &support::Counted::new());
    forked_child_works(fork, &support::TypeStable::new());
}

/// promise: J
#[test]
fn child_of_a_raw_clone_works_at_once() {
    forked_child_works(raw_fork, &Slots::new());
    forked_child_works(raw_fork, &support::SlotsBarrier::new());
    forked_child_works(raw_fork, &support::SlotsHazard::new());
    forked_child_works(raw_fork, &support::SlotsEpoch::new());
    forked_child_works(raw_fork, &support::Counted::new());
    forked_child_works(raw_fork, &support::TypeStable::new());
}

/// J: also where the record under the guard was removed when no arena was free.
/// promise: J
#[test]
fn a_guard_from_before_the_fork_keeps_an_orphan() {
    fn keeps<P: Policy>() {
        let registry = bare::<P>();
        registry.insert(3, SocketId(30)).expect("vacant");
        let whole = registry.borrow(3, |record| {
            registry.domain().abandon_all_cells();
            assert!(registry.remove(3));
            registry.sweep();
            child_succeeds(fork, || {
                registry.after_fork_in_child();
                for cookie in 0..500 {
                    let _ = registry.insert(9, SocketId(cookie));
                    registry.remove(9);
                }
                if record.id() != SocketId(30) {
                    // SAFETY: ends the child.
                    unsafe { libc::_exit(1) };
                }
            })
        });
        assert_eq!(whole, Some(true));
    }
    keeps::<Era>();
    keeps::<PlainEra>();
    keeps::<Epoch>();
    keeps::<Hazard>();
}

/// J: a guard and a handle from before the fork are the child's, too.
/// promise: J
#[test]
fn guards_and_handles_live_on_in_the_child() {
    let registry = Slots::new();
    registry.insert(3, SocketId(30)).expect("vacant");
    registry.insert(4, SocketId(40)).expect("vacant");
    let handle = registry.lookup(4).expect("an entry");
    let whole = registry.borrow(3, |record| {
        child_succeeds(fork, || {
            registry.remove(3);
            registry.remove(4);
            for fd in 0..200 {
                let _ = registry.insert(fd, SocketId(99));
                registry.remove(fd);
            }
            if record.id() != SocketId(30) || handle.id() != SocketId(40) {
                // SAFETY: ends the child.
                unsafe { libc::_exit(1) };
            }
        })
    });
    assert_eq!(whole, Some(true));
}

/// Runs `child` in a process that shares the memory and stops this one meanwhile, as vfork(2) does.
fn vfork_child_succeeds(child: extern "C" fn(*mut libc::c_void) -> libc::c_int) -> bool {
    let mut stack = vec![0u128; 4096];
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    let make = || {
        // SAFETY: the stack is the child's until it ends, for which CLONE_VFORK waits.
        unsafe {
            libc::clone(child, stack.as_mut_ptr_range().end.cast(), flags, core::ptr::null_mut())
        }
    };
    child_succeeds(make, || ())
}

/// Tries every change of the registry, which has an entry for 3; says whether all were refused.
fn is_left_alone(registry: &Slots) -> bool {
    !registry.may_change()
        && !registry.remove(3)
        && registry.detach(3).is_none()
        && registry.insert(5, SocketId(50)) == Err(InsertError::Foreign)
        && registry.duplicate(3, 5) == Err(InsertError::Foreign)
        && registry.supersede(3) == Err(InsertError::Foreign)
        && registry.borrow(3, |record| record.id()) == Some(SocketId(30))
}

/// J: a `vfork` child shares the memory and must leave it alone.
/// promise: J
#[test]
fn vfork_child_changes_nothing_of_its_parent() {
    static REGISTRY: Slots = Slots::new();
    extern "C" fn child(_: *mut libc::c_void) -> libc::c_int {
        i32::from(!is_left_alone(&REGISTRY))
    }
    REGISTRY.insert(3, SocketId(30)).expect("vacant");
    assert!(vfork_child_succeeds(child));
    assert!(REGISTRY.may_change());
    assert!(REGISTRY.contains(3) && !REGISTRY.contains(5));
}

/// J: nor may it where no process has changed anything yet.
#[test]
fn vfork_child_is_not_the_first_to_change_anything() {
    static REGISTRY: Slots = Slots::new();
    extern "C" fn child(_: *mut libc::c_void) -> libc::c_int {
        let left_alone =
            !REGISTRY.may_change() && REGISTRY.insert(5, SocketId(50)) == Err(InsertError::Foreign);
        i32::from(!left_alone)
    }
    REGISTRY.bind();
    assert!(vfork_child_succeeds(child));
    assert!(REGISTRY.may_change() && !REGISTRY.contains(5));
}

/// J: nor may that of a forked child which was told of nothing and has changed nothing.
#[test]
fn vfork_child_of_an_untold_child_is_not_the_first_to_change_the_copy() {
    static REGISTRY: Slots = Slots::new();
    extern "C" fn child(_: *mut libc::c_void) -> libc::c_int {
        let left_alone =
            !REGISTRY.may_change() && REGISTRY.insert(5, SocketId(50)) == Err(InsertError::Foreign);
        i32::from(!left_alone)
    }
    REGISTRY.insert(3, SocketId(30)).expect("vacant");
    let whole = child_succeeds(fork, || {
        if !vfork_child_succeeds(child) || !REGISTRY.may_change() {
            // SAFETY: ends the child.
            unsafe { libc::_exit(1) };
        }
    });
    assert!(whole);
}

/// J: a forked child is the first to change its copy, whether it was told of the fork or not.
/// promise: J
#[test]
fn forked_child_is_the_first_to_change_its_copy() {
    for (make, is_told) in [(fork as fn() -> i32, true), (fork, false), (raw_fork, false)] {
        let registry = Slots::new();
        registry.bind();
        let whole = child_succeeds(make, || {
            if is_told {
                registry.after_fork_in_child();
            }
            if registry.insert(3, SocketId(30)).is_err() || !operations_work(&registry) {
                // SAFETY: ends the child.
                unsafe { libc::_exit(1) };
            }
        });
        assert!(whole, "told of the fork: {is_told}");
        assert!(!registry.contains(3) && registry.may_change());
    }
}

/// J: a child that was told of the fork owns its copy although its threads share it.
#[test]
fn forked_child_that_was_told_may_have_threads() {
    let registry = Slots::new();
    registry.bind();
    let whole = child_succeeds(fork, || {
        registry.after_fork_in_child();
        let done = AtomicBool::new(false);
        let inserted = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Relaxed) {
                    std::thread::yield_now();
                }
            });
            let inserted = registry.insert(3, SocketId(30));
            done.store(true, Relaxed);
            inserted
        });
        if inserted.is_err() {
            // SAFETY: ends the child.
            unsafe { libc::_exit(1) };
        }
    });
    assert!(whole);
}

/// A registry with an entry for 3, whose caller has said that it tells of children which share the memory.
fn presumed_alone() -> Slots {
    let registry = Slots::new();
    registry.presume_alone();
    expect(registry.insert(3, SocketId(30)).is_ok());
    registry
}

/// Tells whether this process, a child, changes the registry without a question for its process id, for which it
/// would be ended.
fn asks_nothing(registry: &Slots) {
    forbid(libc::SYS_getpid, libc::SECCOMP_RET_KILL_PROCESS);
    expect(operations_work(registry));
}

#[test]
fn a_process_that_is_alone_asks_the_kernel_nothing() {
    assert!(child_succeeds(fork, || asks_nothing(&presumed_alone())));
    let asks = !child_succeeds(fork, || {
        let registry = Slots::new();
        expect(registry.insert(3, SocketId(30)).is_ok());
        asks_nothing(&registry);
    });
    assert!(asks, "without a word of the caller each change asks");
}

/// J: of which the caller has told.
#[test]
fn vfork_child_that_was_told_of_changes_nothing_of_its_parent() {
    static REGISTRY: Slots = Slots::new();
    extern "C" fn child(_: *mut libc::c_void) -> libc::c_int {
        i32::from(!is_left_alone(&REGISTRY))
    }
    REGISTRY.presume_alone();
    REGISTRY.insert(3, SocketId(30)).expect("vacant");
    REGISTRY.note_sharing();
    assert!(vfork_child_succeeds(child));
    REGISTRY.presume_alone();
    assert!(vfork_child_succeeds(child), "a note stays");
    assert!(REGISTRY.contains(3) && !REGISTRY.contains(5) && REGISTRY.may_change());
}

/// J: of which the caller tells as long as it runs.
#[test]
fn process_is_alone_again_when_its_vfork_child_has_ended() {
    static REGISTRY: Slots = Slots::new();
    extern "C" fn child(_: *mut libc::c_void) -> libc::c_int {
        i32::from(!is_left_alone(&REGISTRY))
    }
    REGISTRY.presume_alone();
    REGISTRY.insert(3, SocketId(30)).expect("vacant");
    let both = || vfork_child_succeeds(child) && REGISTRY.share_during(|| true);
    assert!(REGISTRY.share_during(|| both() && vfork_child_succeeds(child)));
    let asks_nothing = child_succeeds(fork, || {
        expect(REGISTRY.insert(4, SocketId(40)).is_ok());
        asks_nothing(&REGISTRY);
    });
    assert!(asks_nothing, "neither does a child that was forked then");
}

/// J: a handler that interrupts the caller between its note and its call may fork, and its child goes on to
/// make that call.
#[test]
fn forked_child_keeps_what_its_parent_has_told() {
    static NOTED: Slots = Slots::new();
    static CALLED: Slots = Slots::new();
    extern "C" fn child_of_noted(_: *mut libc::c_void) -> libc::c_int {
        i32::from(!is_left_alone(&NOTED))
    }
    extern "C" fn child_of_called(_: *mut libc::c_void) -> libc::c_int {
        i32::from(!is_left_alone(&CALLED))
    }
    for registry in [&NOTED, &CALLED] {
        registry.presume_alone();
        registry.insert(3, SocketId(30)).expect("vacant");
    }
    NOTED.note_sharing();
    assert!(child_succeeds(fork, || {
        NOTED.after_fork_in_child();
        expect(vfork_child_succeeds(child_of_noted) && NOTED.may_change());
    }));
    let in_handler = || {
        child_succeeds(fork, || {
            CALLED.after_fork_in_child();
            expect(vfork_child_succeeds(child_of_called) && CALLED.may_change());
        })
    };
    assert!(CALLED.share_during(in_handler));
}

/// J: a forked child starts a generation of its own, however it learns of the fork.
#[test]
fn forked_child_of_a_process_that_was_alone_adopts_its_copy() {
    for (make, is_told) in [(fork as fn() -> i32, true), (fork, false), (raw_fork, false)] {
        let registry = presumed_alone();
        registry.inner().domain().abandon_all_cells();
        assert_ne!(registry.claims(), 0);
        let adopts = child_succeeds(make, || {
            if is_told {
                registry.after_fork_in_child();
            }
            expect(registry.remove(3) && registry.claims() == 0);
        });
        assert!(adopts, "told of the fork: {is_told}");
    }
    forked_child_works(fork, &{
        let registry = Slots::new();
        registry.presume_alone();
        registry
    });
}

/// J: where the kernel can't wipe a page, a child of a fork that no hook has seen shows by its id alone.
#[test]
fn forked_child_whose_page_is_not_wiped_is_not_taken_for_its_parent() {
    assert!(child_succeeds(fork, || {
        forbid(libc::SYS_madvise, libc::SECCOMP_RET_ERRNO | libc::EINVAL as u32);
        let registry = presumed_alone();
        expect(child_succeeds(raw_fork, || expect(is_left_alone(&registry))));
        expect(operations_work(&registry));
    }));
}
