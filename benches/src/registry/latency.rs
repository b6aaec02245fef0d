//! Latency of single lookups while descriptors come and go, also with more threads than processors.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use hdrhistogram::Histogram;

use super::backends::Backend;
use super::measured::{Measured, fill};
use super::subject::Lane;
use crate::measure::clock::{Monotonic, Ticks};
use crate::measure::latency::{distribution, histogram, record};
use crate::measure::plan::{ENTRIES, Effort, Plan};
use crate::measure::processor::pin;
use crate::measure::progress::Progress;
use crate::measure::results::{Labelled, Results};

/// Lookups between an insert and the remove that follows.
const LOOKUPS: u32 = 9;

/// Measures `chosen` with each number of threads.
pub fn run(plan: &Plan, chosen: &[&Backend]) -> Results {
    let mut results = Results::new("registry-latency");
    let (rounds, span, threads) = match plan.effort {
        Effort::Quick => (1, Duration::from_millis(50), vec![2]),
        Effort::Normal => (3, Duration::from_millis(250), vec![1, 2, 8]),
        Effort::Full => (5, Duration::from_secs(2), vec![1, 2, 8, 16]),
    };
    let ticks = Ticks::calibrated(&Monotonic::start(), Duration::from_millis(20));
    let mut progress = Progress::new(&results.experiment, threads.len() * rounds);
    for threads in threads {
        let subjects: Vec<_> = chosen.iter().map(|backend| prepared(backend)).collect();
        let mut histograms: Vec<_> = subjects.iter().map(|_| histogram()).collect();
        for round in 0..rounds {
            progress.step(&format!("{threads} threads, round {}", round + 1));
            for turn in 0..subjects.len() {
                let index = (turn + round) % subjects.len();
                let times = churn(subjects[index].as_ref(), threads, span, ticks);
                histograms[index].add(times).expect("histograms of one kind");
            }
        }
        let labelled = subjects.iter().zip(&histograms).map(|(subject, times)| Labelled {
            workload: format!("lookup-under-churn-{threads}"),
            subject: subject.name().to_owned(),
            value: distribution(times, span.as_secs_f64() * rounds as f64),
        });
        results.distributions.extend(labelled);
    }
    results.notes.push(format!(
        "each time includes two readings of the processor's counter between fences; the floor shows what \
         they take; the counter's least difference is {:.1} ns; {LOOKUPS} lookups of {ENTRIES} entries \
         follow each insert and each remove",
        ticks.step()
    ));
    results
}

fn prepared(backend: &Backend) -> Box<dyn Measured> {
    let subject = (backend.new)();
    subject.attach();
    fill(subject.as_ref(), ENTRIES);
    subject.detach();
    subject
}

fn churn(subject: &dyn Measured, threads: u32, span: Duration, ticks: Ticks) -> Histogram<u64> {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let handles: Vec<_> = (0..threads)
            .map(|index| {
                let (lane, stop) = (Lane::new(index, threads, ENTRIES), &stop);
                scope.spawn(move || one_thread(subject, &lane, stop, ticks))
            })
            .collect();
        std::thread::sleep(span);
        // Relaxed: nothing else is passed on.
        stop.store(true, Relaxed);
        let mut all = histogram();
        for handle in handles {
            all.add(handle.join().expect("no lookup panics")).expect("histograms of one kind");
        }
        all
    })
}

fn one_thread(
    subject: &dyn Measured,
    lane: &Lane,
    stop: &AtomicBool,
    ticks: Ticks,
) -> Histogram<u64> {
    let mut times = histogram();
    let mut step = 0u32;
    pin(lane.index);
    subject.attach();
    // Relaxed: nothing else is passed on.
    while !stop.load(Relaxed) {
        subject.insert(lane.own(), step.into());
        step = timed_lookups(subject, lane, step, ticks, &mut times);
        subject.remove(lane.own());
        step = timed_lookups(subject, lane, step, ticks, &mut times);
    }
    subject.detach();
    times
}

fn timed_lookups(
    subject: &dyn Measured,
    lane: &Lane,
    first: u32,
    ticks: Ticks,
    times: &mut Histogram<u64>,
) -> u32 {
    for step in first..first.wrapping_add(LOOKUPS) {
        let start = Ticks::now();
        std::hint::black_box(subject.counted(std::hint::black_box(lane.any(step))));
        let end = Ticks::now();
        record(times, ticks.nanoseconds(end - start));
    }
    first.wrapping_add(LOOKUPS)
}
