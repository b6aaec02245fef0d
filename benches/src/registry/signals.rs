//! Registries in signal handlers: each operation is interrupted behind some of its instructions by a
//! handler that uses the same registry. What comes out wrong, crashes or never ends is counted; what
//! memory is lost is not seen.

use super::backends::Backend;
use super::measured::{Measured, fill};
use super::subject::{FIRST, Lane};
use crate::measure::plan::{ENTRIES, Effort, Plan};
use crate::measure::progress::Progress;
use crate::measure::results::{Results, Series};
use crate::measure::stepping::{boundaries, interrupt, length, tally};

/// Pairs of an insert and a remove that a handler does.
const PAIRS: u64 = 40;
/// Pairs that bring a registry into its steady state.
const WARM_UP: u64 = 1_000;

/// An operation that is interrupted.
const OPERATIONS: [&str; 3] = ["borrow", "insert", "remove"];

/// The names of the counts that make up a series' samples.
pub const COUNTS: [&str; 4] = ["tried", "waits", "crashed", "wrong"];

/// The name of an operation's workload.
pub fn workload(operation: &str) -> String {
    format!("interrupted {operation}")
}

/// Every operation that is interrupted, by its workload.
pub fn workloads() -> [String; 3] {
    OPERATIONS.map(workload)
}

/// Interrupts `chosen`.
pub fn run(plan: &Plan, chosen: &[&Backend]) -> Results {
    let mut results = Results::new("registry-signals");
    let count = match plan.effort {
        Effort::Quick => 8,
        Effort::Normal => 32,
        Effort::Full => u64::MAX,
    };
    let mut progress = Progress::new(&results.experiment, chosen.len());
    for backend in chosen {
        progress.step(backend.name);
        for operation in OPERATIONS {
            results.series.push(Series {
                workload: workload(operation),
                subject: backend.name.to_owned(),
                threads: 1,
                entries: ENTRIES,
                unit: COUNTS.join(", "),
                samples: trials(backend, operation, count).map(|count| count as f64).to_vec(),
            });
        }
    }
    results.notes.push(format!(
        "up to {count} boundaries of each operation; the handler borrows, and inserts and removes \
         {PAIRS} times"
    ));
    results
}

fn trials(backend: &Backend, operation: &str, count: u64) -> [u64; 4] {
    let subject = (backend.new)();
    let subject = subject.as_ref();
    subject.attach();
    fill(subject, ENTRIES);
    let (own, other) = (Lane::new(0, 2, ENTRIES).own(), Lane::new(1, 2, ENTRIES).own());
    let pairs = |fd, count| {
        for number in 0..count {
            subject.insert(fd, number);
            subject.remove(fd);
        }
    };
    pairs(own, WARM_UP);
    let work = || {
        std::hint::black_box(match operation {
            "borrow" => subject.borrow(FIRST).is_some(),
            "insert" => subject.insert(own, 7),
            _ => subject.remove(own),
        });
    };
    let prepare = || {
        subject.remove(own);
        if operation == "remove" {
            subject.insert(own, 7);
        }
    };
    let handler = || {
        std::hint::black_box(subject.borrow(FIRST + 1));
        pairs(other, PAIRS);
    };
    let check = || is_right(subject, (own, other), operation);
    // The first round maps memory, which the steady state does not.
    prepare();
    work();
    prepare();
    let all = length(&work);
    prepare();
    let counts =
        tally(boundaries(all, count), |boundary| interrupt(boundary, &work, &handler, &check));
    subject.detach();
    counts
}

fn is_right(subject: &dyn Measured, (own, other): (i32, i32), operation: &str) -> bool {
    let has_own = subject.borrow(own) == (operation == "insert").then_some(7);
    let entries = (FIRST..FIRST + ENTRIES as i32).all(|fd| subject.borrow(fd) == Some(fd as u64));
    has_own && entries && subject.borrow(other).is_none()
}
