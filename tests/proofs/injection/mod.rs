//! Signal handlers at every instruction boundary of every operation (guarantee H).
//!
//! An operation is single-stepped in a forked child. Behind an instruction the child forks: in the
//! copy a handler, or another thread while the first is stopped there, does another operation on the
//! same descriptors, and then frees and reuses all that may be freed. The child goes on to the next
//! instruction when its copy has ended.

mod crash_report;
mod filter;
mod process;
mod second_thread;
mod step;
mod trial;

use std::cell::Cell;
use std::fmt;
use std::ops::ControlFlow;

use crate::model::Operation;
use crate::subject::{Subject, is_signal_safe};
use step::Boundary;
use trial::{Report, Scene, Who};

pub use filter::forbid_waits;
pub use process::{End, Shared};

/// Counts the instructions of `operation`. For a process with one thread.
pub fn instructions(operation: &mut dyn FnMut()) -> u64 {
    step::step(operation, &mut |_| ControlFlow::Continue(()))
}

const OPERATIONS: [Operation; 16] = [
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
    Operation::Connect(5, 85),
    Operation::Close(5),
    Operation::Supersede(5),
    Operation::Put,
];

/// Boundaries of one pair in the short form.
const SAMPLES: u64 = if cfg!(debug_assertions) { 2 } else { 8 };
/// More records than must be retired before one of the next operations starts a reclamation.
const BATCHES: usize = 40;

/// One operation in a scene, behind one instruction.
#[derive(Clone, Copy)]
struct Trial {
    scene: Scene,
    injected: Operation,
    boundary: Boundary,
    end: End,
    report: Report,
}

impl fmt::Display for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Trial { scene, injected, boundary, end, report } = self;
        write!(f, "{injected:?} in {scene:?} at {boundary:?}: {end:?} {report:?}")
    }
}

/// Result of all the trials of a backend.
#[derive(Clone, Copy, Default)]
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
    /// Boundaries in the backend's own code at which more was seen than a deadlock. In malloc's a
    /// handler may break anything.
    own: u64,
    first_bad: Option<Trial>,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} boundaries: {} deadlocks, {} crashes, {} lost and {} doubled frees, {} unprotected \
             reads, {} out of order, {} leaked claims; {} bad in its own code but for deadlocks",
            self.boundaries,
            self.deadlocks,
            self.crashes,
            self.lost,
            self.doubled,
            self.unprotected,
            self.disordered,
            self.leaked_claims,
            self.own,
        )?;
        self.first_bad.iter().try_for_each(|first| write!(f, "; the first: {first}"))
    }
}

impl Verdict {
    /// Async-signal-safe.
    fn add(&mut self, trial: Trial) {
        let Trial { boundary, end, report, .. } = trial;
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
            self.own += u64::from(end != End::Deadlock && boundary.is_own());
            self.first_bad.get_or_insert(trial);
        }
    }
}

/// Plan of the trials: each of `operations` interrupted by each, by everyone in `who`, at all
/// boundaries or at a number of samples.
struct Plan<'p> {
    operations: &'p [Operation],
    who: &'p [Who],
    /// Records that are retired before.
    retired: &'p [usize],
    samples: Option<u64>,
}

impl Plan<'_> {
    /// Operations that are injected at one of the `boundaries`. The samples of each operation are
    /// others, so that together they try more.
    fn injected(&self, boundary: Boundary, boundaries: u64) -> impl Iterator<Item = Operation> {
        let step = self.samples.map_or(1, |samples| boundaries.div_ceil(samples)).max(1);
        let is_sample = move |turn: usize| (boundary.number - 1) % step == turn as u64 * 7 % step;
        let in_turn = self.operations.iter().enumerate();
        in_turn.filter(move |(turn, _)| is_sample(*turn)).map(|(_, injected)| *injected)
    }
}

/// Carries a plan out.
fn inject<S: Subject>(plan: &Plan) -> Verdict {
    let mut verdict = Verdict::default();
    for &interrupted in plan.operations {
        for &who in plan.who {
            for &retired in plan.retired {
                interrupt::<S>(plan, Scene { interrupted, who, retired }, &mut verdict);
            }
        }
        if crate::long() {
            eprintln!("{}: {interrupted:?} done; {verdict}", S::VARIANT.name);
        }
    }
    eprintln!("{}: {verdict}", S::VARIANT.name);
    verdict
}

/// Counts the instructions of a scene's operation that nothing interrupts.
fn boundaries<S: Subject>(scene: Scene) -> u64 {
    let (boundaries, end) = Shared::<u64>::new().run(|boundaries| {
        let report = Cell::default();
        *boundaries = trial::run::<S>(scene, &report, &mut |_| None);
    });
    assert_eq!(end, End::Done, "{scene:?}, not interrupted");
    boundaries
}

/// Numbers of records to retire before: none, and the number at which a removal takes longest,
/// because it reclaims; other operations reclaim near it.
fn starts<S: Subject>() -> [usize; 2] {
    let (interrupted, who) = (Operation::Remove(2), Who::Handler);
    let longest = |&retired: &usize| boundaries::<S>(Scene { interrupted, who, retired });
    [0, (1..BATCHES).max_by_key(longest).expect("a range")]
}

/// Tries one operation interrupted by each.
fn interrupt<S: Subject>(plan: &Plan, scene: Scene, verdict: &mut Verdict) {
    let boundaries = boundaries::<S>(scene);
    let shared = Shared::<(Verdict, Cell<Report>)>::new();
    let ((tried, _), end) = shared.run(|(tried, report)| {
        let report = &*report;
        *tried = *verdict;
        trial::run::<S>(scene, report, &mut |boundary| {
            plan.injected(boundary, boundaries).find(|&injected| {
                report.set(Report::default());
                let Some(end) = process::branch() else { return true };
                tried.add(Trial { scene, injected, boundary, end, report: report.get() });
                false
            })
        });
    });
    assert_eq!(end, End::Done, "{scene:?}: {tried}");
    *verdict = tried;
}

/// H, and C to G as far as one thread and its handlers can break them: where a backend promises H,
/// nothing is wrong at any boundary; where it does not, the deadlocks are there, and nothing else that
/// malloc is not to blame for.
fn handlers_may_do_anything_anywhere<S: Subject>() {
    // A thread would wait for the lock of the one that is stopped.
    let everyone = [Who::Handler, Who::Thread];
    let who = if is_signal_safe::<S>() { &everyone[..] } else { &everyone[..1] };
    let samples = (!crate::long()).then_some(SAMPLES);
    let plan = Plan { operations: &OPERATIONS, who, retired: &starts::<S>(), samples };
    let verdict = inject::<S>(&plan);
    assert!(verdict.boundaries > 300, "{verdict}");
    // Who only mallocs is seldom caught at it by a sample.
    let only_mallocs = crate::subject::only_mallocs::<S>();
    if is_signal_safe::<S>() {
        assert_eq!(verdict.bad, 0, "{verdict}");
    } else {
        assert_eq!(verdict.own, 0, "{verdict}");
        assert!(only_mallocs || verdict.deadlocks > 0, "{verdict}");
    }
}

mod every_boundary {
    crate::subject::for_each_backend!(handlers_may_do_anything_anywhere);
}

/// Backends that take no lock of their own still wait for malloc's: seldom, so the moments are
/// chosen.
mod malloc {
    use epochsocks::sockets::Record;
    use epochsocks_registry_std::{SlotsCrossbeam, Snapshot};

    use super::{Operation, Plan, Subject, Who, inject};

    fn waits_for_malloc<S: Subject>(operations: &[Operation], retired: &[usize]) {
        let who = &[Who::Handler];
        let verdict = inject::<S>(&Plan { operations, who, retired, samples: Some(400) });
        assert!(verdict.deadlocks > 0, "{verdict}");
    }

    /// It copies the map.
    #[test]
    fn snapshot_waits_for_malloc() {
        waits_for_malloc::<Snapshot<Record>>(&[Operation::Insert(4, 14)], &[0]);
    }

    /// A bag of 64 deferred frees is full.
    #[test]
    fn slots_crossbeam_waits_for_malloc() {
        let retired: Vec<usize> = (62..65).collect();
        waits_for_malloc::<SlotsCrossbeam<Record>>(&[Operation::Remove(2)], &retired);
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
        assert_eq!(found.own, found.bad, "{found}");
    }
}
