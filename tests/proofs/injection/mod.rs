//! Signal handlers at every instruction boundary of every operation (guarantee H).
//!
//! An operation is single-stepped in a forked child; behind one of its instructions a handler, or
//! another thread while the first is stopped there, does another operation on the same descriptors,
//! and then frees and reuses all that may be freed. The next trial does the same behind the next
//! instruction.

mod beside;
mod post_mortem;
mod step;
mod trial;
mod watch;

use std::fmt;
use std::ops::ControlFlow;

use crate::model::Operation;
use crate::subject::{Subject, is_signal_safe};
use step::{Approach, Route};
use trial::{Boundary, Pair, Report, Who};

pub use watch::{End, Shared};

/// How many instructions `operation` takes. For a process with one thread.
pub fn instructions(operation: &mut dyn FnMut()) -> u64 {
    step::inject_at(u64::MAX, Approach::Step, None, operation, &mut || ())
}

const OPERATIONS: [Operation; 13] = [
    Operation::Borrow(4),
    Operation::Borrow(2),
    Operation::Lookup(2),
    Operation::Insert(4, 14),
    Operation::Remove(2),
    Operation::Remove(0),
    Operation::Duplicate(2, 4),
    Operation::Duplicate(0, 2),
    Operation::Reopen(2),
    Operation::Close(2),
    Operation::Supersede(2),
    Operation::Supersede(0),
    Operation::Put,
];

/// Boundaries of one pair in the short form.
const SAMPLES: u64 = if cfg!(debug_assertions) { 1 } else { 6 };
/// The same for a backend that waits for locks, where each deadlock takes its time.
const SAMPLES_WITH_LOCKS: u64 = 8;
/// What its short form tries.
const FEW: [Operation; 3] = [Operation::Lookup(2), Operation::Insert(4, 14), Operation::Remove(2)];
/// More records than must be retired before one of the next operations starts a reclamation.
const BATCHES: usize = 40;

/// What came of all the trials of a backend.
#[derive(Debug, Default)]
struct Verdict {
    boundaries: u64,
    deadlocks: u64,
    crashes: u64,
    lost: u64,
    doubled: u64,
    unprotected: u64,
    disordered: u64,
    leaked_claims: u64,
    /// Boundaries at which any of these was seen.
    bad: u64,
    /// Boundaries that a later run did not come to; they are not counted.
    missed: u64,
    first_bad: Option<String>,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} boundaries: {} deadlocks, {} crashes, {} lost and {} doubled frees, {} unprotected \
             reads, {} out of order, {} leaked claims, {} missed",
            self.boundaries,
            self.deadlocks,
            self.crashes,
            self.lost,
            self.doubled,
            self.unprotected,
            self.disordered,
            self.leaked_claims,
            self.missed
        )?;
        self.first_bad.iter().try_for_each(|first| write!(f, "; the first: {first}"))
    }
}

impl Verdict {
    fn add(&mut self, pair: Pair, boundary: u64, report: &Report, end: End) {
        if end == End::Done && !report.met && report.is_good() {
            self.missed += 1;
            return;
        }
        self.boundaries += 1;
        self.deadlocks += u64::from(end == End::Deadlock);
        self.crashes += u64::from(end == End::Crash);
        self.lost += u64::from(report.account.lost > 0);
        // Also where the process went down by it.
        self.doubled += u64::from(report.account.doubled > 0);
        self.unprotected += u64::from(report.unprotected);
        self.disordered += u64::from(report.disordered);
        self.leaked_claims += u64::from(report.account.claims > 0);
        if end != End::Done || !report.is_good() {
            self.bad += 1;
            self.first_bad.get_or_insert_with(|| {
                format!("{pair:?} behind instruction {boundary}: {end:?} {report:?}")
            });
        }
    }
}

/// Which boundaries of how many are tried; `turn` differs from pair to pair, so that together they
/// try others.
fn sample(boundaries: u64, samples: Option<u64>, turn: usize) -> Vec<u64> {
    let step = samples.map_or(1, |samples| boundaries.div_ceil(samples)).max(1);
    (1 + turn as u64 % step..=boundaries).step_by(step as usize).collect()
}

/// What is tried: each of `operations` interrupted by each, by everyone in `who`, at all boundaries
/// or so many samples.
struct Plan<'p> {
    operations: &'p [Operation],
    who: &'p [Who],
    /// Records that are retired before.
    retired: &'p [usize],
    samples: Option<u64>,
}

/// The number of the first operation to interrupt, so that a long run can go on where one has ended.
fn first() -> usize {
    let number = std::env::var("EPOCHSOCKS_PROOFS_FROM");
    number.map_or(0, |number| number.parse().expect("EPOCHSOCKS_PROOFS_FROM is a number"))
}

/// Carries a plan out.
fn inject<S: Subject>(plan: &Plan) -> Verdict {
    let mut verdict = Verdict::default();
    for &interrupted in plan.operations.iter().skip(first()) {
        for &who in plan.who {
            for &retired in plan.retired {
                interrupt::<S>(plan, interrupted, who, retired, &mut verdict);
            }
        }
        if crate::long() {
            eprintln!("{}: {interrupted:?} done; {verdict}", S::VARIANT.name);
        }
    }
    eprintln!("{}: {verdict}", S::VARIANT.name);
    verdict
}

/// One operation that nothing interrupts, after so many records were retired.
fn whole<S: Subject>(
    shared: &Shared<Report>,
    interrupted: Operation,
    retired: usize,
    route: Option<&Route>,
) -> Report {
    let idle = Pair { interrupted, injected: Operation::Put, who: Who::Handler, retired };
    let (whole, end) = shared.run(|report| {
        let all = Boundary { number: u64::MAX, approach: Approach::Step, route };
        trial::run::<S>(idle, all, report);
    });
    assert_eq!(end, End::Done, "{idle:?}, not interrupted");
    whole
}

/// How many records are retired before: none, and as many as make a removal take longest. There it
/// reclaims, and others do so about there.
fn starts<S: Subject>() -> [usize; 2] {
    let shared = Shared::<Report>::new();
    let longest =
        |retired: &usize| whole::<S>(&shared, Operation::Remove(2), *retired, None).boundaries;
    [0, (1..BATCHES).max_by_key(longest).expect("a range")]
}

/// Tries one operation interrupted by each.
fn interrupt<S: Subject>(
    plan: &Plan,
    interrupted: Operation,
    who: Who,
    retired: usize,
    verdict: &mut Verdict,
) {
    let shared = Shared::<Report>::new();
    let route = Route::new();
    let whole = whole::<S>(&shared, interrupted, retired, Some(&route));
    let approaches = route.approaches(whole.boundaries);
    // A handler that comes at a bad moment can spoil the malloc that later trials would use.
    let together = if is_signal_safe::<S>() { usize::MAX } else { 1 };
    for (turn, &injected) in plan.operations.iter().enumerate() {
        let pair = Pair { interrupted, injected, who, retired };
        let boundaries = sample(whole.boundaries, plan.samples, turn * 7);
        let work = |trial: usize, report: &mut Report| {
            let number = boundaries[trial];
            let approach = approaches[number as usize - 1];
            trial::run::<S>(pair, Boundary { number, approach, route: None }, report);
            if report.is_good() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        shared.run_each(boundaries.len(), together, work, |trial, report, end| {
            verdict.add(pair, boundaries[trial], report, end);
        });
    }
}

/// H, and C to G as far as one thread and its handlers can break them: where a backend promises H,
/// nothing is wrong at any boundary; where it does not, the deadlocks are there.
fn handlers_may_do_anything_anywhere<S: Subject>() {
    let long = crate::long();
    if is_signal_safe::<S>() {
        let verdict = inject::<S>(&Plan {
            operations: &OPERATIONS,
            who: &[Who::Handler, Who::Thread],
            retired: &starts::<S>(),
            samples: (!long).then_some(SAMPLES),
        });
        assert!(verdict.boundaries > 300, "{verdict}");
        assert_eq!((verdict.bad, verdict.missed), (0, 0), "{verdict}");
    } else {
        let verdict = inject::<S>(&Plan {
            operations: if long { &OPERATIONS } else { &FEW },
            // A thread would wait for the lock of the one that is stopped.
            who: &[Who::Handler],
            retired: &starts::<S>(),
            samples: (!long).then_some(SAMPLES_WITH_LOCKS),
        });
        // Who only mallocs is seldom caught at it by a sample.
        let only_mallocs = ["snapshot", "slots-crossbeam"].contains(&S::VARIANT.name);
        assert!(only_mallocs || verdict.deadlocks > 0, "{verdict}");
    }
}

mod every_boundary {
    crate::subject::for_each_backend!(handlers_may_do_anything_anywhere);
}

/// What takes no lock of its own still waits for malloc's: seldom, so the moments are chosen.
#[cfg(feature = "std")]
mod malloc {
    use super::{Operation, Plan, Subject, Who, inject};
    use epochsocks::registry::{Owned, SlotsCrossbeam, Snapshot};

    fn waits_for_malloc<S: Subject>(operations: &[Operation], retired: &[usize]) {
        let who = &[Who::Handler];
        let verdict = inject::<S>(&Plan { operations, who, retired, samples: Some(400) });
        assert!(verdict.deadlocks > 0, "{verdict}");
    }

    /// It copies the map.
    #[test]
    fn snapshot_waits_for_malloc() {
        waits_for_malloc::<Owned<Snapshot>>(&[Operation::Insert(4, 14)], &[0]);
    }

    /// A bag of 64 deferred frees is full.
    #[test]
    fn slots_crossbeam_waits_for_malloc() {
        let retired: Vec<usize> = (62..65).collect();
        waits_for_malloc::<SlotsCrossbeam>(&[Operation::Remove(2)], &retired);
    }
}

mod planted_bugs {
    use super::{Plan, Verdict, Who, inject, starts};
    use crate::planted::{
        Bug, FreesTwice, LosesTheReference, Planted, ReadsUnguarded, StoresInsteadOfSwapping,
    };

    use crate::model::Operation;

    /// Each operation of a few against each at every boundary, or nearly so in code that was not
    /// optimised.
    fn verdict<B: Bug>(operations: &[Operation], who: Who) -> Verdict {
        let samples = cfg!(debug_assertions).then_some(100);
        let retired = &starts::<Planted<B>>();
        let plan = Plan { operations, who: &[who], retired, samples };
        let verdict = inject::<Planted<B>>(&plan);
        assert!(verdict.boundaries > 100, "{verdict}");
        verdict
    }

    #[test]
    fn an_unguarded_read_is_found() {
        for who in [Who::Handler, Who::Thread] {
            let operations = [Operation::Borrow(2), Operation::Remove(2)];
            let found = verdict::<ReadsUnguarded>(&operations, who);
            assert!(found.unprotected > 0, "{who:?}: {found}");
        }
    }

    #[test]
    fn a_lost_reference_is_found() {
        let found = verdict::<LosesTheReference>(&[Operation::Remove(2)], Who::Handler);
        assert!(found.lost > 0, "{found}");
    }

    /// Wherever the bug shows at all, also where the process goes down by it.
    #[test]
    fn a_doubled_free_is_found() {
        for who in [Who::Handler, Who::Thread] {
            let found = verdict::<FreesTwice>(&[Operation::Remove(2)], who);
            assert!(found.doubled > 0, "{who:?}: {found}");
            assert_eq!(found.doubled, found.bad, "{who:?}: {found}");
        }
    }

    #[test]
    fn an_insert_in_two_steps_is_found() {
        let operations = [Operation::Insert(4, 14)];
        let found = verdict::<StoresInsteadOfSwapping>(&operations, Who::Handler);
        assert!(found.disordered > 0, "{found}");
    }
}
