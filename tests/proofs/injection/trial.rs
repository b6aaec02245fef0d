//! One operation, interrupted at one instruction by another one and by a reclaimer.

use epochsocks::registry::Cookie;

use crate::injection::step::inject_at;
use crate::model::{Answer, FDS, Model, Operation, Run, Seen};
use crate::subject::{self, Account, Held, Subject, is_signal_safe, perform};

/// What interrupts what.
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    pub interrupted: Operation,
    pub injected: Operation,
    /// Records that are retired before, so that the interrupted operation is also seen as the one
    /// that reclaims.
    pub retired: usize,
}

/// What a trial has seen.
#[derive(Clone, Copy, Debug, Default)]
pub struct Report {
    pub boundaries: u64,
    /// A record was read that was another one's by then.
    pub unprotected: bool,
    /// No order of the two explains the answers and what was there at the end.
    pub disordered: bool,
    pub account: Account,
}

/// Cookies from here on belong to the reclaimer's records.
const FOREIGN: u64 = 1000;
/// The reclaimer's descriptors.
const CHURN: i32 = FDS as i32;
const RESIDENTS: std::ops::Range<i32> = CHURN + 1..CHURN + 5;
/// Descriptors of a program with many connections.
const MANY: std::ops::Range<i32> = CHURN + 5..CHURN + 200;
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

/// Interrupts behind the `boundary`th instruction and counts what went wrong. For a process of its
/// own.
pub fn run<S: Subject>(pair: Pair, boundary: u64, report: &mut Report) {
    let subject = S::fresh();
    if !is_signal_safe::<S>() {
        make_malloc_lock(&subject);
    }
    let held = Held::default();
    for operation in BEFORE {
        perform(&subject, &held, operation);
    }
    retire_with_a_handle(&subject, &held);
    churn(&subject, pair.retired);

    let (mut answer, mut injected) = (Answer::Torn, None);
    report.boundaries = inject_at(
        boundary,
        &mut || answer = perform(&subject, &held, pair.interrupted),
        &mut || {
            injected = Some(perform(&subject, &held, pair.injected));
            reclaim_and_reuse(&subject);
        },
    );

    let seen = subject::seen(&subject);
    report.unprotected = is_foreign(answer) || seen.iter().flatten().any(|seen| seen.0 >= FOREIGN);
    report.disordered = !is_explained(pair, (answer, injected), seen);
    empty(&subject, &held);
    report.account = subject::account(&subject);
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

fn churn<S: Subject>(subject: &S, times: usize) {
    for cookie in 0..times {
        let _ = subject.insert(CHURN, Cookie(FOREIGN + cookie as u64));
        subject.remove(CHURN);
    }
}

/// What a reclaimer that runs beside does: it frees all that may be freed, and what was free is
/// other records soon.
fn reclaim_and_reuse<S: Subject>(subject: &S) {
    churn(subject, ENOUGH);
    for fd in RESIDENTS {
        let _ = subject.insert(fd, Cookie(FOREIGN + fd as u64));
    }
}

fn empty<S: Subject>(subject: &S, held: &Held) {
    for fd in (0..FDS as i32).chain(RESIDENTS) {
        subject.remove(fd);
    }
    held.put(subject);
    churn(subject, ENOUGH);
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
