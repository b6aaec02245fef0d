//! Operations by every registry, workload, number of threads and number of entries; and with local work
//! between them.

use std::hint::spin_loop;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{AcqRel, Acquire};
use std::time::{Duration, Instant};

use super::backends::{self, Backend};
use super::measured::{Measured, fill};
use super::subject::Lane;
use super::workloads;
use crate::measure::clock::{Clock, ThreadTime, calibrate, time};
use crate::measure::plan::Plan;
use crate::measure::processor::pin;
use crate::measure::progress::Progress;
use crate::measure::results::{Results, Series};
use crate::measure::rounds::interleaved;

/// One thread's steps in a sample, at least and at most.
const STEPS: (u32, u32) = (64, 1 << 24);
/// Turns of the start line before a thread lets others run: there may be more than processors.
const TURNS: u32 = 2_000;

/// Measures `subjects`, in a process that has threads.
pub fn run(plan: &Plan, chosen: &[&Backend]) -> Results {
    let mut results = Results::new("registry-throughput");
    results.notes = backends::left_out();
    results.series.extend(crate::scale::transfer(plan.rounds));
    let settings = plan.settings();
    let steps = settings.iter().map(|(_, threads)| threads.len()).sum::<usize>();
    let mut progress = Progress::new(&results.experiment, steps * workloads::ALL.len());
    for (entries, threads) in settings {
        let subjects = filled(chosen, entries, &mut results.notes);
        for (index, workload) in workloads::ALL.iter().enumerate() {
            for &threads in &threads {
                progress.step(&format!("{}, {threads} threads, {entries} entries", workload.name));
                let samples = compare(plan, &subjects, (index, threads, entries));
                note(&mut results, &subjects, workload.name, (threads, entries), samples);
            }
        }
    }
    drop(progress);
    println!("{}", crate::scale::table(&results));
    results
}

/// Measures what one thread does in a process that never had another: glibc's lock is quicker
/// there.
pub fn run_never_threaded(plan: &Plan, chosen: &[&Backend]) -> Results {
    let mut results = Results::new("registry-never-threaded");
    let entries = crate::measure::plan::ENTRIES;
    let subjects: Vec<_> = chosen.iter().map(|backend| (backend.new)()).collect();
    subjects.iter().for_each(|subject| fill(subject.as_ref(), entries));
    let lane = Lane::new(0, 1, entries);
    for (index, workload) in workloads::ALL.iter().enumerate() {
        let run =
            |subject: &dyn Measured, count| time(&ThreadTime, || subject.run(index, &lane, count));
        let samples = sample_all(plan, &subjects, 1, run);
        note(&mut results, &subjects, workload.name, (1, entries), samples);
    }
    results
}

fn filled(chosen: &[&Backend], entries: u32, notes: &mut Vec<String>) -> Vec<Box<dyn Measured>> {
    let mut subjects: Vec<_> = chosen.iter().map(|backend| (backend.new)()).collect();
    subjects.retain(|subject| {
        let kept = entries <= subject.most_entries();
        if !kept {
            notes.push(format!("{} was not filled with {entries} entries", subject.name()));
        }
        kept
    });
    for subject in &subjects {
        subject.attach();
        fill(subject.as_ref(), entries);
        subject.detach();
    }
    subjects
}

fn compare(
    plan: &Plan,
    subjects: &[Box<dyn Measured>],
    (workload, threads, entries): (usize, u32, u32),
) -> Vec<Vec<f64>> {
    let run =
        |subject: &dyn Measured, count| sample(subject, workload, (threads, entries, 0), count);
    sample_all(plan, subjects, threads, run)
}

/// Workloads that are measured with local work between the operations.
pub const WITH_LOCAL_WORK: [&str; 2] = ["borrow-distinct", "reads-50"];
/// Nanoseconds of local work behind each operation.
pub const LOCAL_WORK: [u32; 4] = [0, 100, 1_000, 10_000];

/// The name of a workload with local work.
pub fn with_local_work(workload: &str, nanoseconds: u32) -> String {
    format!("{workload}, {nanoseconds} ns of local work")
}

/// Measures `chosen` by as many threads as processors, with local work behind each operation.
pub fn run_local_work(plan: &Plan, chosen: &[&Backend]) -> Results {
    let mut results = Results::new("registry-local-work");
    // A sample must hold enough of the longest operations.
    let plan = Plan { sample: 4 * plan.sample, ..plan.clone() };
    let threads = plan.threads.last().copied().unwrap_or(1);
    let entries = crate::measure::plan::ENTRIES;
    let subjects = filled(chosen, entries, &mut results.notes);
    let each = turn();
    let steps = WITH_LOCAL_WORK.len() * LOCAL_WORK.len();
    let mut progress = Progress::new(&results.experiment, steps);
    for name in WITH_LOCAL_WORK {
        let workload = workloads::index(name).expect("a workload of the list");
        for nanoseconds in LOCAL_WORK {
            let title = with_local_work(name, nanoseconds);
            progress.step(&title);
            let turns = (f64::from(nanoseconds) / each).round() as u32;
            let run = |subject: &dyn Measured, count| {
                sample(subject, workload, (threads, entries, turns), count)
            };
            let samples = sample_all(&plan, &subjects, threads, run);
            note(&mut results, &subjects, &title, (threads, entries), samples);
        }
    }
    results
}

/// Nanoseconds of one turn of local work.
fn turn() -> f64 {
    const TURNS: u32 = 1_000_000;
    let each = (0..5).map(|_| time(&ThreadTime, || workloads::local_work(TURNS)).as_nanos() as f64);
    each.fold(f64::INFINITY, f64::min) / f64::from(TURNS)
}

/// Nanoseconds an operation of each subject in each round: what [`sample`] took by the operations of
/// all threads.
fn sample_all(
    plan: &Plan,
    subjects: &[Box<dyn Measured>],
    threads: u32,
    run: impl Fn(&dyn Measured, u32) -> Duration,
) -> Vec<Vec<f64>> {
    let counts: Vec<_> = subjects
        .iter()
        .map(|subject| calibrate(plan.sample, STEPS, |count| run(subject.as_ref(), count)))
        .collect();
    interleaved(plan.rounds, subjects.len(), |index| {
        let time = run(subjects[index].as_ref(), counts[index]);
        time.as_nanos() as f64 / f64::from(counts[index]) / f64::from(threads)
    })
}

/// Begin and end of a thread, and the time for which it had a processor.
struct Span {
    start: Instant,
    end: Instant,
    busy: Duration,
}

/// The time from the first start to the last end. Of one thread it is the processor time, which no
/// other program disturbs.
fn sample(
    subject: &dyn Measured,
    workload: usize,
    (threads, entries, turns): (u32, u32, u32),
    count: u32,
) -> Duration {
    let line = AtomicU32::new(0);
    let spans: Vec<Span> = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..threads)
            .map(|index| {
                let lane = Lane { turns, ..Lane::new(index, threads, entries) };
                let line = &line;
                scope.spawn(move || {
                    pin(index);
                    subject.attach();
                    wait_for_all(line, threads);
                    let (start, busy) = (Instant::now(), ThreadTime.now());
                    subject.run(workload, &lane, count);
                    let (end, busy) = (Instant::now(), ThreadTime.now() - busy);
                    subject.detach();
                    Span { start, end, busy }
                })
            })
            .collect();
        handles.into_iter().map(|handle| handle.join().expect("no workload panics")).collect()
    });
    if let [alone] = spans.as_slice() {
        return alone.busy;
    }
    let first = spans.iter().map(|span| span.start).min().expect("at least one thread");
    let last = spans.iter().map(|span| span.end).max().expect("at least one thread");
    last - first
}

/// Comes back when all threads are here; spins, since a sleeper would start late.
fn wait_for_all(line: &AtomicU32, threads: u32) {
    // AcqRel and Acquire: no thread starts before the last one has come.
    line.fetch_add(1, AcqRel);
    let mut turns = 0;
    while line.load(Acquire) < threads {
        spin_loop();
        turns += 1;
        if turns % TURNS == 0 {
            std::thread::yield_now();
        }
    }
}

fn note(
    results: &mut Results,
    subjects: &[Box<dyn Measured>],
    workload: &str,
    (threads, entries): (u32, u32),
    samples: Vec<Vec<f64>>,
) {
    results.series.extend(subjects.iter().zip(samples).map(|(subject, samples)| Series {
        workload: workload.to_owned(),
        subject: subject.name().to_owned(),
        threads,
        entries,
        unit: "ns/operation".to_owned(),
        samples: samples.into_iter().map(|sample| (sample * 1e3).round() / 1e3).collect(),
    }));
}
