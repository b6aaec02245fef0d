//! Memory and unreclaimed records over time, without and with a reader that is stopped inside its
//! guard. Each registry is measured in a process of its own, so that its memory is its own.

use std::io;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::backends::{self, Backend};
use super::measured::{Measured, fill};
use super::subject::{FIRST, Lane};
use crate::measure::plan::{ENTRIES, Effort, Plan};
use crate::measure::progress::Progress;
use crate::measure::results::{Labelled, Results, Timeline};

const CHURNERS: u32 = 4;
/// Between two looks at the memory.
const INTERVAL: Duration = Duration::from_millis(10);
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
        "{CHURNERS} threads insert and remove, {ENTRIES} other entries; the malloc backends can't \
         tell what is unreclaimed, their memory shows it"
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
    let subject = (backend.new)();
    subject.attach();
    fill(subject.as_ref(), ENTRIES);
    subject.detach();
    let timeline = watch(subject.as_ref(), reader == READERS[1], span);
    println!("{}", serde_json::to_string(&timeline)?);
    Ok(())
}

fn watch(subject: &dyn Measured, stopped_reader: bool, span: Duration) -> Timeline {
    let (held, stop) = (AtomicBool::new(!stopped_reader), AtomicBool::new(false));
    std::thread::scope(|scope| {
        if stopped_reader {
            scope.spawn(|| hold(subject, &held, &stop));
        }
        // Relaxed, here and below: flags that pass nothing else on.
        while !held.load(Relaxed) {
            std::thread::yield_now();
        }
        let before = resident();
        for index in 0..CHURNERS {
            let stop = &stop;
            scope.spawn(move || churn(subject, index, stop));
        }
        let (start, mut timeline) = (Instant::now(), Timeline::default());
        while start.elapsed() < span {
            std::thread::sleep(INTERVAL);
            let seconds = (start.elapsed().as_secs_f64() * 1e4).round() / 1e4;
            timeline.points.push((seconds, subject.unreclaimed(), resident() - before));
        }
        stop.store(true, Relaxed);
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

fn churn(subject: &dyn Measured, index: u32, stop: &AtomicBool) {
    let lane = Lane { index, lanes: CHURNERS, entries: ENTRIES };
    subject.attach();
    for step in 0u64.. {
        if step & 63 == 0 && stop.load(Relaxed) {
            break;
        }
        let fd = lane.own() + (step % 64) as i32;
        subject.insert(fd, step);
        subject.remove(fd);
    }
    subject.detach();
}

/// Resident memory of this process in KiB.
fn resident() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<f64>().ok());
    pages.unwrap_or(0.0) * 4.0
}
