//! Memory and unreclaimed records over time, without and with a reader that is stopped inside its
//! guard. Each registry is measured in a process of its own, so that its memory is its own.

use std::io;
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
use std::time::{Duration, Instant};

use super::backends::{self, Backend};
use super::measured::{Measured, fill};
use super::subject::{FIRST, Lane};
use crate::measure::plan::{ENTRIES, Effort, Plan};
use crate::measure::progress::Progress;
use crate::measure::results::{Labelled, Results, Timeline};

const CHURNERS: u32 = 4;
/// Between two looks at the memory.
const INTERVAL: Duration = Duration::from_millis(20);
/// The word that makes the command line a child of this experiment.
pub const CHILD: &str = "garbage-child";

/// Names of the two settings, without and with a reader stopped inside its guard, in results and in
/// the child's command line.
const READERS: [&str; 2] = ["no-reader", "stopped-reader"];

/// Measures `chosen`, each in a process of its own.
pub fn run(plan: &Plan, chosen: &[&Backend]) -> io::Result<Results> {
    let mut results = Results::new("registry-garbage");
    let span = match plan.effort {
        Effort::Quick => 200,
        Effort::Normal => 1_000,
        Effort::Full => 5_000,
    };
    let mut progress = Progress::new(&results.experiment, chosen.len() * READERS.len());
    for reader in READERS {
        for backend in chosen {
            progress.step(&format!("{}, {reader}", backend.name));
            let output = Command::new(std::env::current_exe()?)
                .args([CHILD, backend.name, reader, &span.to_string()])
                .stderr(Stdio::inherit())
                .output()?;
            match serde_json::from_slice::<Timeline>(&output.stdout) {
                Ok(timeline) => results.timelines.push(Labelled {
                    workload: reader.to_owned(),
                    subject: backend.name.to_owned(),
                    value: timeline,
                }),
                Err(_) => results.notes.push(format!(
                    "{}, {reader}: the process ended with {}",
                    backend.name, output.status
                )),
            }
        }
    }
    results.notes.push(format!(
        "{CHURNERS} threads insert and remove, {ENTRIES} other entries; unreclaimed is retired and not \
         freed; this project's registries are counted while no churner is inside an operation; of \
         sharded, snapshot and slots-crossbeam only the memory tells"
    ));
    Ok(results)
}

/// The child: measures one registry and prints its timeline.
pub fn child(arguments: &[String]) -> io::Result<()> {
    let [name, reader, milliseconds] = arguments else {
        return Err(io::Error::other("a registry, a reader and milliseconds"));
    };
    let backend = backends::find(name).ok_or_else(|| io::Error::other("no such registry"))?;
    let span = Duration::from_millis(milliseconds.parse().map_err(io::Error::other)?);
    super::backends::count_frees();
    let subject = (backend.new)();
    subject.attach();
    fill(subject.as_ref(), ENTRIES);
    subject.detach();
    let timeline = watch(subject.as_ref(), reader == READERS[1], span);
    println!("{}", serde_json::to_string(&timeline)?);
    Ok(())
}

/// Flags and counts that the churners and their watcher share.
#[derive(Default)]
struct Churn {
    stop: AtomicBool,
    /// The churners shall wait between two operations.
    rest: AtomicBool,
    resting: AtomicU32,
    /// Removes of each churner.
    retired: [Retired; CHURNERS as usize],
}

/// A count on a cache line of its own.
#[derive(Default)]
#[repr(align(128))]
struct Retired(AtomicU64);

impl Churn {
    /// Removes until now.
    fn retired(&self) -> u64 {
        // Relaxed: exact while the churners rest, and a look while they go on.
        self.retired.iter().map(|count| count.0.load(Relaxed)).sum()
    }

    /// Calls `look` while no churner is inside an operation.
    fn at_rest<T>(&self, look: impl FnOnce() -> T) -> T {
        self.rest.store(true, Release);
        // Acquire pairs with the churners' AcqRel: all that they did is done.
        while self.resting.load(Acquire) < CHURNERS {
            std::thread::yield_now();
        }
        let seen = look();
        self.rest.store(false, Release);
        while self.resting.load(Acquire) > 0 {
            std::thread::yield_now();
        }
        seen
    }

    fn may_rest(&self) {
        // Acquire, AcqRel: as in `at_rest`.
        if self.rest.load(Acquire) {
            self.resting.fetch_add(1, AcqRel);
            while self.rest.load(Acquire) {
                std::thread::yield_now();
            }
            self.resting.fetch_sub(1, AcqRel);
        }
    }
}

fn watch(subject: &dyn Measured, stopped_reader: bool, span: Duration) -> Timeline {
    let (held, churn) = (AtomicBool::new(!stopped_reader), Churn::default());
    std::thread::scope(|scope| {
        if stopped_reader {
            scope.spawn(|| hold(subject, &held, &churn.stop));
        }
        // Relaxed, here and below: flags that pass nothing else on.
        while !held.load(Relaxed) {
            std::thread::yield_now();
        }
        let before = resident();
        for index in 0..CHURNERS {
            let churn = &churn;
            scope.spawn(move || one_churner(subject, index, churn));
        }
        let (start, mut timeline) = (Instant::now(), Timeline::default());
        let look = || (subject.unreclaimed(churn.retired()), churn.retired());
        while start.elapsed() < span {
            std::thread::sleep(INTERVAL);
            let seconds = (start.elapsed().as_secs_f64() * 1e4).round() / 1e4;
            let resident = resident() - before;
            let (unreclaimed, retired) =
                if subject.counts_at_rest() { churn.at_rest(look) } else { look() };
            timeline.points.push((seconds, unreclaimed, resident));
            timeline.retired.push(retired);
        }
        churn.stop.store(true, Relaxed);
        timeline
    })
}

fn hold(subject: &dyn Measured, held: &AtomicBool, stop: &AtomicBool) {
    subject.attach();
    subject.hold(FIRST, &mut || {
        held.store(true, Relaxed);
        while !stop.load(Relaxed) {
            std::thread::sleep(INTERVAL);
        }
    });
    subject.detach();
}

fn one_churner(subject: &dyn Measured, index: u32, churn: &Churn) {
    let lane = Lane::new(index, CHURNERS, ENTRIES);
    subject.attach();
    for step in 0u64.. {
        if step & 63 == 0 && churn.stop.load(Relaxed) {
            break;
        }
        churn.may_rest();
        let fd = lane.own() + (step % 64) as i32;
        subject.insert(fd, step);
        subject.remove(fd);
        churn.retired[index as usize].0.store(step + 1, Relaxed);
    }
    subject.detach();
}

/// Resident memory of this process in KiB.
fn resident() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<f64>().ok());
    pages.unwrap_or(0.0) * 4.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_retired_and_not_freed_is_counted_while_all_rest() {
        let backend = backends::find("slots").expect("the default");
        let subject = (backend.new)();
        fill(subject.as_ref(), ENTRIES);
        let timeline = watch(subject.as_ref(), false, 5 * INTERVAL);
        assert!(!timeline.points.is_empty());
        assert!(timeline.retired.iter().is_sorted());
        // 24 of each arena, of which the churners have one each.
        for (_, unreclaimed, _) in timeline.points {
            assert!(unreclaimed.is_some_and(|count| count <= 24 * u64::from(CHURNERS)));
        }
    }
}
