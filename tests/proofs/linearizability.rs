//! Recorded histories of concurrent operations, each explained by the sequential model or found to
//! be wrong (Herlihy and Wing 1990; the search is Wing and Gong's of 1993, with the states that were
//! seen remembered, as Lowe's of 2017).
//!
//! An operation of several steps may have others between them; see `model`.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use crate::model::{Answer, FDS, Model, Operation, Run};
use crate::planted::{Planted, StoresInsteadOfSwapping};
use crate::subject::{Held, Subject, perform};

const THREADS: usize = 3;
const OPERATIONS: usize = 10;
/// Few descriptors, so that the threads meet.
const CONTENDED: usize = 3;

/// One operation as a thread saw it: between two moments of one clock.
#[derive(Clone, Copy, Debug)]
struct Call {
    operation: Operation,
    answer: Answer,
    began: usize,
    ended: usize,
}

/// A generator of numbers (xorshift64*); the same for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % limit
    }

    fn fd(&mut self) -> usize {
        self.below(CONTENDED as u64) as usize
    }

    /// An operation; `number` is told apart from every other one's.
    fn operation(&mut self, number: u64) -> Operation {
        match self.below(12) {
            0..=2 => Operation::Insert(self.fd(), number),
            3..=4 => Operation::Remove(self.fd()),
            5 => Operation::Borrow(self.fd()),
            6 => Operation::Lookup(self.fd()),
            7..=8 => Operation::Duplicate(self.fd(), self.fd()),
            9 => Operation::Reopen(self.fd()),
            10 => Operation::Connect(self.fd(), number as u16),
            _ => Operation::Supersede(self.fd()),
        }
    }
}

/// Lets threads do random operations at once on a subject that is emptied first; says what each saw.
fn record<S: Subject>(subject: &S, seed: u64) -> Vec<Call> {
    for fd in 0..CONTENDED {
        subject.remove(fd as i32);
    }
    let (clock, waiting) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let thread = |number: u64| {
        let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (number + 1));
        let operations: Vec<Operation> = (0..OPERATIONS as u64)
            .map(|turn| random.operation(1 + number * OPERATIONS as u64 + turn))
            .collect();
        meet(&waiting);
        let call = |operation| {
            let began = clock.fetch_add(1, SeqCst);
            let answer = perform(subject, &Held::default(), operation);
            Call { operation, answer, began, ended: clock.fetch_add(1, SeqCst) }
        };
        operations.into_iter().map(call).collect::<Vec<Call>>()
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..THREADS as u64).map(|number| scope.spawn(move || thread(number))).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect()
    })
}

/// Returns in all threads as nearly at once as can be: a thread that sleeps comes too late to meet another.
fn meet(waiting: &AtomicUsize) {
    waiting.fetch_add(1, SeqCst);
    let mut spins = 0;
    while waiting.load(SeqCst) < THREADS {
        std::hint::spin_loop();
        spins += 1;
        if spins % 1000 == 0 {
            std::thread::yield_now();
        }
    }
}

/// State of a call at a point of the search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Progress {
    Pending(Run),
    Answered,
}

/// A point of the search: a number of moments have passed, and these calls are under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    moment: usize,
    under_way: Vec<(usize, Progress)>,
    model: Model,
}

/// Tells whether the model can give every answer of `calls` by steps within the time of each.
fn is_linearizable(calls: &[Call]) -> bool {
    let mut moments = vec![0; 2 * calls.len()];
    for (number, call) in calls.iter().enumerate() {
        moments[call.began] = number;
        moments[call.ended] = number;
    }
    let start = State { moment: 0, under_way: Vec::new(), model: Model::default() };
    let (mut open, mut seen) = (vec![start], HashSet::new());
    while let Some(mut state) = open.pop() {
        if !pass_moments(&mut state, calls, &moments) {
            continue;
        }
        if state.moment == moments.len() {
            return true;
        }
        if seen.insert(state.clone()) {
            open.extend(
                (0..state.under_way.len()).filter_map(|place| take_step(&state, place, calls)),
            );
        }
    }
    false
}

/// Passes every moment that can be: a call that begins narrows nothing, one that ends must have
/// answered. Says whether the next moment may still be reached.
fn pass_moments(state: &mut State, calls: &[Call], moments: &[usize]) -> bool {
    while let Some(&number) = moments.get(state.moment) {
        if calls[number].began == state.moment {
            state.under_way.push((number, Progress::Pending(Run::new(calls[number].operation))));
        } else {
            let place = state.under_way.iter().position(|(call, _)| *call == number);
            let place = place.expect("a call begins before it ends");
            if state.under_way[place].1 != Progress::Answered {
                return true;
            }
            state.under_way.remove(place);
        }
        state.moment += 1;
    }
    true
}

/// The state after one step of the call at `place`, if it has one and answers as recorded.
fn take_step(state: &State, place: usize, calls: &[Call]) -> Option<State> {
    let (number, Progress::Pending(mut run)) = state.under_way[place] else { return None };
    let mut next = state.clone();
    next.under_way[place].1 = match run.step(&mut next.model) {
        None => Progress::Pending(run),
        Some(answer) if answer == calls[number].answer => Progress::Answered,
        Some(_) => return None,
    };
    Some(next)
}

fn rounds() -> u64 {
    if crate::long() { 50_000 } else { 400 }
}

/// The first of many random histories that the model does not explain.
fn first_unexplained<S: Subject>() -> Option<(u64, Vec<Call>)> {
    let subject = S::fresh();
    let mut histories = (0..rounds()).map(|seed| (seed, record(&subject, seed)));
    histories.find(|(_, calls)| !is_linearizable(calls))
}

fn every_history_is_explained<S: Subject>() {
    const { assert!(CONTENDED <= FDS) };
    let unexplained = first_unexplained::<S>();
    assert!(unexplained.is_none(), "{unexplained:#?}");
}

mod histories {
    crate::subject::for_each_backend!(every_history_is_explained);
}

/// Answers of a registry that took the fresh record's cookie before it locked the old one away: the
/// descriptor was given another socket in between, and then named the first one again.
#[test]
fn a_superseded_record_keeps_its_own_sockets_cookie() {
    let call = |operation, answer, began, ended| Call { operation, answer, began, ended };
    let record = |cookie| Answer::Record { cookie, port: 0 };
    let history = |cookie| {
        [
            call(Operation::Insert(0, 1), Answer::Yes, 0, 1),
            call(Operation::Insert(1, 2), Answer::Yes, 2, 3),
            call(Operation::Supersede(0), Answer::Yes, 4, 7),
            call(Operation::Duplicate(1, 0), Answer::Yes, 5, 6),
            call(Operation::Borrow(0), record(cookie), 8, 9),
        ]
    };
    assert!(is_linearizable(&history(2)));
    assert!(!is_linearizable(&history(1)));
}

/// Two threads that insert at once: written down, since a machine may never record it.
#[test]
fn two_inserts_of_one_descriptor_are_not_explained() {
    let insert = |cookie, began, ended| Call {
        operation: Operation::Insert(0, cookie),
        answer: Answer::Yes,
        began,
        ended,
    };
    assert!(!is_linearizable(&[insert(1, 0, 2), insert(2, 1, 3)]));
}

/// A read that ends before the write begins must not see it; one beside it may.
#[test]
fn a_read_is_explained_within_its_own_time_only() {
    let insert = |began, ended| Call {
        operation: Operation::Insert(0, 7),
        answer: Answer::Yes,
        began,
        ended,
    };
    let read = |began, ended| Call {
        operation: Operation::Borrow(0),
        answer: Answer::Record { cookie: 7, port: 0 },
        began,
        ended,
    };
    assert!(!is_linearizable(&[read(0, 1), insert(2, 3)]));
    assert!(is_linearizable(&[read(0, 2), insert(1, 3)]));
    assert!(is_linearizable(&[insert(0, 1), read(2, 3)]));
}

#[test]
fn an_insert_in_two_steps_is_found() {
    let subject = Planted::<StoresInsteadOfSwapping>::fresh();
    let found = (0..200_000).any(|seed| !is_linearizable(&record(&subject, seed)));
    assert!(found, "a torn insert was never caught");
}
