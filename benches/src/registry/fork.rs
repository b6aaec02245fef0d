//! Time that a registry adds to a fork.

use std::time::Instant;

use super::backends::Backend;
use super::measured::{Measured, fill};
use super::subject::FIRST;
use crate::measure::plan::Plan;
use crate::measure::progress::Progress;
use crate::measure::results::{Results, Series};
use crate::measure::rounds::interleaved;

/// Baseline of a fork: one with an empty registry that the child doesn't touch.
const NONE: &str = "none";

/// Measures fork, the child's first lookup and its end, with few and with many entries.
pub fn run(plan: &Plan, chosen: &[&Backend]) -> Results {
    let mut results = Results::new("registry-fork");
    let mut progress = Progress::new(&results.experiment, 2);
    for entries in [100, 10_000] {
        progress.step(&format!("{entries} entries"));
        // The external peers do not say that a child may go on with them.
        let chosen = chosen.iter().filter(|backend| !backend.role.starts_with("external"));
        let subjects: Vec<_> = chosen
            .map(|backend| (backend.new)())
            .filter(|subject| entries <= subject.most_entries())
            .collect();
        subjects.iter().for_each(|subject| fill(subject.as_ref(), entries));
        let names = std::iter::once(NONE).chain(subjects.iter().map(|subject| subject.name()));
        let samples = interleaved(10 * plan.rounds, subjects.len() + 1, |index| {
            fork(index.checked_sub(1).map(|index| subjects[index].as_ref()))
        });
        results.series.extend(names.zip(samples).map(|(subject, samples)| Series {
            workload: "fork".to_owned(),
            subject: subject.to_owned(),
            threads: 1,
            entries,
            unit: "µs/fork".to_owned(),
            samples,
        }));
    }
    results.notes.push(
        "from fork to the end of the child, which looks one descriptor up; all registries of a \
         row lie in the one process"
            .to_owned(),
    );
    results
}

/// Microseconds until the child has ended.
fn fork(subject: Option<&dyn Measured>) -> f64 {
    let start = Instant::now();
    // SAFETY: the child looks up and ends, without a lock of this process.
    unsafe {
        match libc::fork() {
            0 => {
                let found = subject.is_none_or(|subject| {
                    subject.after_fork_in_child();
                    subject.borrow(FIRST).is_some()
                });
                libc::_exit(i32::from(!found));
            }
            child => {
                let mut status = 0;
                libc::waitpid(child, &raw mut status, 0);
                assert_eq!(status, 0, "the child found its entry");
            }
        }
    }
    start.elapsed().as_nanos() as f64 / 1e3
}
