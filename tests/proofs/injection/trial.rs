//! One operation, interrupted at one instruction by another one and by a reclaimer.

use epochsocks::registry::Cookie;

use crate::injection::beside::{Ask, beside};
use crate::injection::post_mortem::in_case_of_a_crash;
use crate::injection::step::{Approach, Route, inject_at};
use crate::model::{Answer, FDS, Model, Operation, Run, Seen};
use crate::subject::{self, Account, Held, Subject, is_signal_safe, perform};

/// Who does the other operation, and then reclaims and reuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// A signal handler on the same thread.
    Handler,
    /// Another thread, while the first is stopped at the boundary. It goes on reclaiming beside it.
    Thread,
}

/// What interrupts what.
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    pub interrupted: Operation,
    pub injected: Operation,
    pub who: Who,
    /// Records that are retired before, so that the interrupted operation is also seen as the one
    /// that reclaims.
    pub retired: usize,
}

/// Behind which instruction, and how it is come to.
#[derive(Clone, Copy)]
pub struct Boundary<'r> {
    pub number: u64,
    pub approach: Approach,
    /// Where the instructions are noted.
    pub route: Option<&'r Route>,
}

/// What a trial has seen.
#[derive(Clone, Copy, Debug, Default)]
pub struct Report {
    /// The boundary, or how many there are if it was not met.
    pub boundaries: u64,
    pub met: bool,
    /// A record was read that was another one's by then.
    pub unprotected: bool,
    /// No order of the two explains the answers and what was there at the end.
    pub disordered: bool,
    pub account: Account,
}

impl Report {
    /// Whether nothing was wrong.
    pub fn is_good(&self) -> bool {
        let Account { lost, doubled, claims, .. } = self.account;
        !self.unprotected && !self.disordered && (lost, doubled, claims) == (0, 0, 0)
    }
}

/// Cookies from here on belong to the reclaimer's records.
const FOREIGN: u64 = 1000;
/// Descriptors that the reclaimer leaves open.
const RESIDENTS: std::ops::Range<i32> = FDS as i32..FDS as i32 + 4;
/// More than one arena remembers to look at again.
const SPREAD: usize = 16;
/// The first of the reclaimer's other descriptors, and of those of the thread beside.
const CHURN: i32 = RESIDENTS.end;
const BESIDE: i32 = CHURN + SPREAD as i32;
/// Descriptors of a program with many connections.
const MANY: std::ops::Range<i32> = BESIDE + SPREAD as i32..BESIDE + SPREAD as i32 + 195;
/// More than any backend leaves to a later reclamation.
const ENOUGH: usize = 72;

/// The descriptors that the operations find: 0 and 1 name one record, 2 and 3 one each; 4 none.
const BEFORE: [Operation; 5] = [
    Operation::Insert(0, 10),
    Operation::Connect(0, 80),
    Operation::Duplicate(0, 1),
    Operation::Insert(2, 12),
    Operation::Connect(2, 82),
];

/// Interrupts at a boundary and counts what went wrong. For a process of its own.
pub fn run<S: Subject>(pair: Pair, boundary: Boundary, report: &mut Report) {
    let subject = S::fresh();
    let report = &raw mut *report;
    // SAFETY: the report outlives the trial, and a crash ends what else writes to it.
    let (trial, doubled) = unsafe { (&mut *report, &raw mut (*report).account.doubled) };
    in_case_of_a_crash(&subject, doubled, || run_on(&subject, pair, boundary, trial));
}

fn run_on<S: Subject>(subject: &S, pair: Pair, boundary: Boundary, report: &mut Report) {
    if !is_signal_safe::<S>() {
        make_malloc_lock(subject);
    }
    let held = Held::default();
    for operation in BEFORE {
        perform(subject, &held, operation);
    }
    retire_with_a_handle(subject, &held);
    churn(subject, CHURN, pair.retired);

    let (mut answer, mut injected) = (Answer::Torn, None);
    let mut interrupt = |other: &mut Ask| {
        let mut interrupted = || answer = perform(subject, &held, pair.interrupted);
        let Boundary { number, approach, route } = boundary;
        report.boundaries = inject_at(number, approach, route, &mut interrupted, &mut || {
            other(&mut || {
                injected = Some(perform(subject, &held, pair.injected));
                reclaim_and_reuse(subject);
            })
        });
    };
    match pair.who {
        Who::Handler => interrupt(&mut |work| work()),
        Who::Thread => beside(&|| churn(subject, BESIDE, 1), &mut interrupt),
    }

    report.met = injected.is_some();
    let seen = subject::seen(subject);
    report.unprotected = is_foreign(answer) || seen.iter().flatten().any(|seen| seen.0 >= FOREIGN);
    report.disordered = !is_explained(pair, (answer, injected), seen);
    report.account.doubled = subject::account(subject).doubled;
    // What is done to a node that is in two lists need not end.
    if report.account.doubled == 0 {
        empty(subject, &held);
        report.account = subject::account(subject);
    }
}

/// malloc takes its lock only in a process that has had a second thread, and not for the smallest
/// sizes.
fn make_malloc_lock<S: Subject>(subject: &S) {
    std::thread::spawn(|| {
        loop {
            std::thread::park();
        }
    });
    for fd in MANY {
        let _ = subject.insert(fd, Cookie(FOREIGN + fd as u64));
    }
}

/// A record that is retired, and that [`Operation::Put`] has the last handle of.
fn retire_with_a_handle<S: Subject>(subject: &S, held: &Held) {
    subject.insert(3, Cookie(13)).expect("3 is empty");
    held.hold(subject, 3);
    subject.remove(3);
}

/// Over so many descriptors that what was removed elsewhere is not left there.
fn churn<S: Subject>(subject: &S, first: i32, times: usize) {
    for cookie in 0..times {
        let fd = first + (cookie % SPREAD) as i32;
        let _ = subject.insert(fd, Cookie(FOREIGN + cookie as u64));
        subject.remove(fd);
    }
}

/// Frees all that may be freed, and makes other records of what was free.
fn reclaim_and_reuse<S: Subject>(subject: &S) {
    churn(subject, CHURN, ENOUGH);
    for fd in RESIDENTS {
        let _ = subject.insert(fd, Cookie(FOREIGN + fd as u64));
    }
}

fn empty<S: Subject>(subject: &S, held: &Held) {
    for fd in (0..FDS as i32).chain(RESIDENTS).chain(MANY) {
        subject.remove(fd);
    }
    held.put(subject);
    churn(subject, CHURN, ENOUGH);
}

fn is_foreign(answer: Answer) -> bool {
    matches!(answer, Answer::Torn | Answer::Record { cookie: FOREIGN.., .. })
}

/// Whether the injected operation, done between two steps of the interrupted one, leads to the same.
fn is_explained(pair: Pair, answers: (Answer, Option<Answer>), seen: [Seen; FDS]) -> bool {
    let mut model = Model::default();
    for operation in BEFORE {
        model.perform(operation);
    }
    let mut run = Run::new(pair.interrupted);
    loop {
        let (mut model_here, run_here) = (model.clone(), run);
        let injected = answers.1.map(|_| model_here.perform(pair.injected));
        let answer = run_here.finish(&mut model_here);
        if (answer, injected) == answers && model_here.seen() == seen {
            return true;
        }
        if let Some(answer) = run.step(&mut model) {
            let injected = answers.1.map(|_| model.perform(pair.injected));
            return (answer, injected) == answers && model.seen() == seen;
        }
    }
}
