//! Signal handlers at every instruction boundary of every operation (guarantee H).
//!
//! An operation is single-stepped in a forked child; behind one of its instructions a handler does
//! another operation on the same descriptors, and then frees and reuses all that may be freed. The
//! next child does the same behind the next instruction.

mod step;
mod trial;
mod watch;

use std::fmt;

use crate::model::Operation;
use crate::subject::{Subject, is_signal_safe};
use trial::{Pair, Report};
use watch::End;

pub use watch::Shared;

/// How many instructions `operation` takes. For a process with one thread.
pub fn instructions(operation: &mut dyn FnMut()) -> u64 {
    step::inject_at(u64::MAX, operation, &mut || ())
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
/// Retired records that make the next one start a reclamation, together with the trial's own.
const ALMOST_A_BATCH: usize = 14;

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
    first_bad: Option<String>,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} boundaries: {} deadlocks, {} crashes, {} lost and {} doubled frees, {} unprotected \
             reads, {} out of order, {} leaked claims",
            self.boundaries,
            self.deadlocks,
            self.crashes,
            self.lost,
            self.doubled,
            self.unprotected,
            self.disordered,
            self.leaked_claims
        )?;
        self.first_bad.iter().try_for_each(|first| write!(f, "; the first: {first}"))
    }
}

impl Verdict {
    fn bad(&self) -> u64 {
        self.deadlocks
            + self.crashes
            + self.lost
            + self.doubled
            + self.unprotected
            + self.disordered
            + self.leaked_claims
    }

    fn add(&mut self, pair: Pair, boundary: u64, report: &Report, end: End) {
        let before = self.bad();
        self.boundaries += 1;
        match end {
            End::Deadlock => self.deadlocks += 1,
            End::Crash => self.crashes += 1,
            End::Done => {
                self.lost += u64::from(report.account.lost > 0);
                self.doubled += u64::from(report.account.doubled > 0);
                self.unprotected += u64::from(report.unprotected);
                self.disordered += u64::from(report.disordered);
                self.leaked_claims += u64::from(report.account.claims > 0);
            }
        }
        if before == 0 && self.bad() > 0 {
            self.first_bad =
                Some(format!("{pair:?} behind instruction {boundary}: {end:?} {report:?}"));
        }
    }
}

/// Which boundaries of how many are tried; `turn` differs from pair to pair, so that together they
/// try others.
fn sample(boundaries: u64, samples: Option<u64>, turn: usize) -> impl Iterator<Item = u64> {
    let step = samples.map_or(1, |samples| boundaries.div_ceil(samples)).max(1);
    (1 + turn as u64 % step..=boundaries).step_by(step as usize)
}

/// Tries each of `operations` interrupted by each.
fn inject<S: Subject>(operations: &[Operation], samples: Option<u64>) -> Verdict {
    let shared = Shared::<Report>::new();
    let mut verdict = Verdict::default();
    for &interrupted in operations {
        for retired in [0, ALMOST_A_BATCH] {
            let idle = Pair { interrupted, injected: Operation::Put, retired };
            let (whole, end) = shared.run(|report| trial::run::<S>(idle, u64::MAX, report));
            assert_eq!(end, End::Done, "{idle:?}, not interrupted");
            for (turn, &injected) in operations.iter().enumerate() {
                let pair = Pair { interrupted, injected, retired };
                for boundary in sample(whole.boundaries, samples, turn * 7) {
                    let (report, end) =
                        shared.run(|report| trial::run::<S>(pair, boundary, report));
                    verdict.add(pair, boundary, &report, end);
                }
            }
        }
    }
    eprintln!("{}: {verdict}", S::VARIANT.name);
    verdict
}

/// H, and C to G as far as one thread and its handlers can break them: where a backend promises H,
/// nothing is wrong at any boundary; where it does not, the deadlocks are there.
fn handlers_may_do_anything_anywhere<S: Subject>() {
    if is_signal_safe::<S>() {
        let verdict = inject::<S>(&OPERATIONS, (!crate::long()).then_some(SAMPLES));
        assert!(verdict.boundaries > 300, "{verdict}");
        assert_eq!(verdict.bad(), 0, "{verdict}");
    } else {
        let operations = if crate::long() { &OPERATIONS[..] } else { &FEW };
        let verdict = inject::<S>(operations, Some(SAMPLES_WITH_LOCKS));
        // Who only mallocs is seldom caught at it by a sample.
        let only_mallocs = ["snapshot", "slots-crossbeam"].contains(&S::VARIANT.name);
        assert!(only_mallocs || verdict.deadlocks > 0, "{verdict}");
    }
}

mod every_boundary {
    crate::subject::for_each_backend!(handlers_may_do_anything_anywhere);
}

mod planted_bugs {
    use super::{Verdict, inject};
    use crate::planted::{
        Bug, FreesTwice, LosesTheReference, Planted, ReadsUnguarded, StoresInsteadOfSwapping,
    };

    use crate::model::Operation;

    /// Each operation of a few against each at every boundary, or nearly so in code that was not
    /// optimised.
    fn verdict<B: Bug>(operations: &[Operation]) -> Verdict {
        inject::<Planted<B>>(operations, cfg!(debug_assertions).then_some(100))
    }

    #[test]
    fn an_unguarded_read_is_found() {
        let found = verdict::<ReadsUnguarded>(&[Operation::Borrow(2), Operation::Remove(2)]);
        assert!(found.unprotected > 0, "{found}");
    }

    #[test]
    fn a_lost_reference_is_found() {
        let found = verdict::<LosesTheReference>(&[Operation::Remove(2)]);
        assert!(found.lost > 0, "{found}");
    }

    #[test]
    fn a_doubled_free_is_found() {
        let found = verdict::<FreesTwice>(&[Operation::Remove(2)]);
        // A node that is in two lists can also end the process before it is counted.
        assert!(found.doubled + found.crashes > 0, "{found}");
    }

    #[test]
    fn an_insert_in_two_steps_is_found() {
        let found = verdict::<StoresInsteadOfSwapping>(&[Operation::Insert(4, 14)]);
        assert!(found.disordered > 0, "{found}");
    }
}
