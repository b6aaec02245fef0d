//! Time that a registry adds to a fork, in a process that has nothing but the registry.

use std::io;
use std::process::{Command, Stdio};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::backends::{self, Backend};
use super::measured::{Measured, fill};
use super::subject::FIRST;
use crate::measure::clock::{Monotonic, Ticks};
use crate::measure::plan::Plan;
use crate::measure::progress::Progress;
use crate::measure::results::{Results, Series};
use crate::measure::rounds::interleaved;
use crate::measure::statistics::median;

/// Baseline of a fork: a process without a registry.
pub const NONE: &str = "none";
/// The word that makes the command line a child of this experiment.
pub const CHILD: &str = "fork-child";
/// Forks of one process, of which a sample is the median.
const FORKS: usize = 20;
/// The two quantities, in results.
const WORKLOADS: [(&str, &str); 2] =
    [("fork", "µs/fork"), ("the child's first lookup", "µs/lookup")];

/// A sample: microseconds of each of the quantities.
#[derive(Serialize, Deserialize)]
struct Sample([f64; 2]);

/// Measures fork and the child's first lookup, with few and with many entries.
pub fn run(plan: &Plan, chosen: &[&Backend]) -> io::Result<Results> {
    let mut results = Results::new("registry-fork");
    // The external peers do not say that a child may go on with them.
    let ours = chosen.iter().filter(|backend| !backend.role.starts_with("external"));
    let ours: Vec<_> = ours.map(|it| (it.name, (it.new)().most_entries())).collect();
    let mut progress = Progress::new(&results.experiment, 2);
    for entries in [100, 10_000] {
        progress.step(&format!("{entries} entries"));
        let holds_them = ours.iter().filter(|it| entries <= it.1);
        let names: Vec<_> = std::iter::once(NONE).chain(holds_them.map(|it| it.0)).collect();
        let mut lookups = vec![Vec::new(); names.len()];
        let mut failure = None;
        let forks =
            interleaved(plan.rounds, names.len(), |index| match sample(names[index], entries) {
                Ok(Sample([fork, lookup])) => {
                    lookups[index].push(lookup);
                    fork
                }
                Err(error) => {
                    failure = Some(format!("{}, {entries} entries: {error}", names[index]));
                    f64::NAN
                }
            });
        results.notes.extend(failure);
        for ((workload, unit), samples) in WORKLOADS.iter().zip([forks, lookups]) {
            results.series.extend(names.iter().zip(samples).map(|(subject, samples)| Series {
                workload: (*workload).to_owned(),
                subject: (*subject).to_owned(),
                threads: 1,
                entries,
                unit: (*unit).to_owned(),
                samples: samples.into_iter().filter(|sample| !sample.is_nan()).collect(),
            }));
        }
    }
    results.notes.push(format!(
        "each sample is the median of {FORKS} forks of a process of its own; a fork is from its call to \
         the end of the child, which looks one descriptor up; what a child looks up first, {NONE:?} \
         does not"
    ));
    Ok(results)
}

fn sample(name: &str, entries: u32) -> io::Result<Sample> {
    let output = Command::new(std::env::current_exe()?)
        .args([CHILD, name, &entries.to_string()])
        .stderr(Stdio::inherit())
        .output()?;
    serde_json::from_slice(&output.stdout).map_err(io::Error::other)
}

/// The child: forks beside one registry and prints a sample.
pub fn child(arguments: &[String]) -> io::Result<()> {
    let [name, entries] = arguments else {
        return Err(io::Error::other("a registry and entries"));
    };
    let subject = backends::find(name).map(|backend| (backend.new)());
    let entries = entries.parse().map_err(io::Error::other)?;
    if let Some(subject) = &subject {
        fill(subject.as_ref(), entries);
    }
    let ticks = Ticks::calibrated(&Monotonic::start(), Duration::from_millis(5));
    let shared = shared_word()?;
    let mut samples = [Vec::new(), Vec::new()];
    for _ in 0..FORKS {
        let fork = fork(subject.as_deref(), shared);
        samples[0].push(fork.as_nanos() as f64 / 1e3);
        // Relaxed: the child has ended.
        samples[1].push(ticks.nanoseconds(shared.load(Relaxed)) / 1e3);
    }
    let sample = Sample(samples.map(|samples| median(&samples).unwrap_or(f64::NAN)));
    println!("{}", serde_json::to_string(&sample)?);
    Ok(())
}

/// A word that a child shares with its parent.
fn shared_word() -> io::Result<&'static AtomicU64> {
    let (access, kind) =
        (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
    // SAFETY: a fresh mapping, which is never unmapped.
    unsafe {
        let word = libc::mmap(null_mut(), size_of::<AtomicU64>(), access, kind, -1, 0);
        if word == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(&*word.cast()) }
    }
}

/// Time until the child has ended, which leaves the ticks of its first lookup in `shared`.
fn fork(subject: Option<&dyn Measured>, shared: &AtomicU64) -> Duration {
    let start = Instant::now();
    // SAFETY: the child looks up and ends, without a lock of this process.
    unsafe {
        match libc::fork() {
            0 => {
                let found = subject.is_none_or(|subject| {
                    subject.after_fork_in_child();
                    let first = Ticks::now();
                    let found = subject.borrow(FIRST).is_some();
                    // Relaxed: the parent reads it after the end.
                    shared.store(Ticks::now() - first, Relaxed);
                    found
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
    start.elapsed()
}
