//! One operation, interrupted at each instruction by others and by a reclaimer.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::sync::OnceLock;
use std::thread;

use epochsocks::registry::SocketId;

use crate::injection::crash_report::in_case_of_a_crash;
use crate::injection::filter;
use crate::injection::process;
use crate::injection::second_thread::SecondThread;
use crate::injection::step::{Boundary, step};
use crate::model::{Answer, FDS, Model, Operation, Run, Seen};
use crate::subject::{self, Account, Held, Subject, is_signal_safe, perform};

/// Handler or thread that does the other operation, and then reclaims and reuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// A signal handler on the same thread.
    Handler,
    /// Another thread, while the first is stopped at the boundary. It goes on reclaiming beside it.
    Thread,
}

/// Operation that is interrupted, and its start.
#[derive(Clone, Copy, Debug)]
pub struct Scene {
    pub interrupted: Operation,
    pub who: Who,
    /// Records that are retired before, so that the interrupted operation is also seen as the one
    /// that reclaims.
    pub retired: usize,
}

/// Observations of a trial.
#[derive(Clone, Copy, Debug, Default)]
pub struct Report {
    /// A record was read that was another one's by then.
    pub unprotected: bool,
    /// No order of the two explains the answers and what was there at the end.
    pub disordered: bool,
    pub account: Account,
}

impl Report {
    /// Tells whether nothing was wrong.
    pub fn is_good(&self) -> bool {
        let Account { lost, doubled, claims, .. } = self.account;
        !self.unprotected && !self.disordered && (lost, doubled, claims) == (0, 0, 0)
    }
}

/// Called in a signal handler behind each instruction. Says what is to be done there; then the
/// operation goes on to its end without another interruption.
pub type Injected<'a> = dyn FnMut(Boundary) -> Option<Operation> + 'a;

/// Cookies from here on belong to the reclaimer's records.
const FOREIGN: u64 = 1000;
/// Descriptors that the reclaimer leaves open.
const RESIDENTS: std::ops::Range<i32> = FDS as i32..FDS as i32 + 4;
/// More than one arena remembers to look at again.
const SPREAD: usize = 16;
/// The first of the reclaimer's other descriptors, and of those of the thread beside.
const CHURN: i32 = RESIDENTS.end;
const BESIDE: i32 = CHURN + SPREAD as i32;
/// Descriptors of a program with so many connections that a map of them is no small size to malloc.
const MANY: std::ops::Range<i32> = BESIDE + SPREAD as i32..BESIDE + SPREAD as i32 + 60;
/// More than any backend leaves to a later reclamation.
const ENOUGH: usize = 72;

/// The descriptors that the operations find: 0 and 1 name one record, 2 another one, 5 one without a
/// destination; 3 and 4 none.
const BEFORE: [Operation; 6] = [
    Operation::Insert(0, 10),
    Operation::Connect(0, 80),
    Operation::Duplicate(0, 1),
    Operation::Insert(2, 12),
    Operation::Connect(2, 82),
    Operation::Insert(5, 15),
];

/// Does the operation of a scene, and what is to be injected; counts what went wrong. Returns how
/// many instructions the operation took up to that. For a process of its own.
pub fn run<S: Subject>(scene: Scene, report: &Cell<Report>, injected: &mut Injected) -> u64 {
    filter::be_one_process();
    let subject = S::fresh();
    // SAFETY: a field of the report, which outlives the trial.
    let doubled = unsafe { &raw mut (*report.as_ptr()).account.doubled };
    in_case_of_a_crash(&subject, doubled, || run_on(&subject, scene, report, injected))
}

fn run_on<S: Subject>(
    subject: &S,
    scene: Scene,
    report: &Cell<Report>,
    injected: &mut Injected,
) -> u64 {
    if !is_signal_safe::<S>() {
        make_malloc_lock(subject);
    }
    let held = Held::default();
    for operation in BEFORE {
        perform(subject, &held, operation);
    }
    retire_with_a_handle(subject, &held);
    churn(subject, CHURN, scene.retired);
    if scene.who == Who::Handler {
        filter::forbid_waits();
    }

    let (mut answer, other) = (Answer::Torn, OnceLock::new());
    let second_thread = SecondThread::default();
    let boundaries = thread::scope(|scope| {
        let mut interrupted = || answer = perform(subject, &held, scene.interrupted);
        let boundaries = step(&mut interrupted, &mut |boundary| {
            process::go_on();
            let Some(operation) = injected(boundary) else { return ControlFlow::Continue(()) };
            let (held, other) = (&held, &other);
            let inject = move || {
                let _ = other.set((operation, perform(subject, held, operation)));
                reclaim_and_reuse(subject);
            };
            match scene.who {
                Who::Handler => inject(),
                Who::Thread => second_thread.begin(scope, inject, || churn(subject, BESIDE, 1)),
            }
            ControlFlow::Break(())
        });
        second_thread.end();
        boundaries
    });

    let seen = subject::seen(subject);
    let doubled = subject::account(subject).doubled;
    let found = Report {
        unprotected: is_foreign(answer) || seen.iter().flatten().any(|seen| seen.0 >= FOREIGN),
        disordered: !is_explained(scene.interrupted, answer, other.into_inner(), seen),
        account: Account { doubled, ..Account::default() },
    };
    report.set(found);
    // What is done to a node that is in two lists need not end.
    if doubled == 0 {
        empty(subject, &held);
        report.set(Report { account: subject::account(subject), ..found });
    }
    boundaries
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
        let _ = subject.insert(fd, SocketId(FOREIGN + fd as u64));
    }
}

/// A record that is retired, and that [`Operation::Put`] has the last handle of.
fn retire_with_a_handle<S: Subject>(subject: &S, held: &Held) {
    subject.insert(3, SocketId(13)).expect("3 is empty");
    held.hold(subject, 3);
    subject.remove(3);
}

/// Over so many descriptors that what was removed elsewhere is not left there.
fn churn<S: Subject>(subject: &S, first: i32, times: usize) {
    for cookie in 0..times {
        let fd = first + (cookie % SPREAD) as i32;
        let _ = subject.insert(fd, SocketId(FOREIGN + cookie as u64));
        subject.remove(fd);
    }
}

/// Frees all that may be freed, and makes other records of what was free.
fn reclaim_and_reuse<S: Subject>(subject: &S) {
    churn(subject, CHURN, ENOUGH);
    for fd in RESIDENTS {
        let _ = subject.insert(fd, SocketId(FOREIGN + fd as u64));
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

/// Tells whether the injected operation, done between two steps of the interrupted one, leads to
/// the same.
fn is_explained(
    interrupted: Operation,
    answer: Answer,
    injected: Option<(Operation, Answer)>,
    seen: [Seen; FDS],
) -> bool {
    let mut model = Model::default();
    for operation in BEFORE {
        model.perform(operation);
    }
    let explains_the_other = |model: &mut Model| {
        injected.is_none_or(|(operation, answer)| model.perform(operation) == answer)
    };
    let mut run = Run::new(interrupted);
    loop {
        let mut model_here = model.clone();
        if explains_the_other(&mut model_here)
            && run.finish(&mut model_here) == answer
            && model_here.seen() == seen
        {
            return true;
        }
        if let Some(run_answer) = run.step(&mut model) {
            return explains_the_other(&mut model) && run_answer == answer && model.seen() == seen;
        }
    }
}
