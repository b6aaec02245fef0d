//! A cost model by threads: what an operation takes alone, and what the transfers of cache lines add.
//!
//! - [`programs`]: the accesses of each operation to lines that other threads access, too
//! - [`simulation`]: the same accesses, one after another, line by line
//!
//! The closed form, for `n` threads: `t` is the time of an operation by a single thread, measured; `T` the
//! time in which a line moves from one processor to another, measured as well ([`transfer`]). All threads
//! together do no more than `n` operations in `t` and what their own transfers take, and no more than one
//! in the time for which an operation has the busiest line for itself.

pub mod programs;
pub mod simulation;

use std::fmt::Write;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::time::Instant;

use crate::measure::plan::ENTRIES;
use crate::measure::processor::pin;
use crate::measure::results::{Results, Series};
use crate::measure::statistics::median;
use crate::registry::backends::BASELINE;
use programs::{Access, PROGRAMS, Step};

/// The name of the transfer's series.
pub const TRANSFER: &str = "line-transfer";
/// The subject of that series.
const MACHINE: &str = "machine";
/// Batches of one sample, which is their median: most are left alone by the rest of the machine.
const BATCHES: u32 = 200;
/// Round trips of a batch.
const TRIPS: u32 = 100;

/// Nanoseconds in which a line moves from one processor to another and is written there: half a round
/// trip between two threads. `None` on one processor.
pub fn transfer(rounds: usize) -> Option<Series> {
    if std::thread::available_parallelism().map_or(1, usize::from) < 2 {
        return None;
    }
    let samples = (0..rounds).map(|_| round_trips()).collect();
    let (workload, subject, unit) =
        (TRANSFER.to_owned(), MACHINE.to_owned(), "ns/transfer".to_owned());
    Some(Series { workload, subject, threads: 2, entries: 0, unit, samples })
}

fn round_trips() -> f64 {
    let turn = AtomicU32::new(0);
    let wait_for = |value: u32| {
        // Acquire pairs with the Release of the other thread.
        while turn.load(Acquire) != value {
            std::hint::spin_loop();
        }
    };
    let all = BATCHES * TRIPS;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            pin(1);
            for trip in 0..all {
                wait_for(2 * trip + 1);
                turn.store(2 * trip + 2, Release);
            }
        });
        let timer = scope.spawn(|| {
            pin(0);
            let batch = |batch: u32| {
                let start = Instant::now();
                for trip in batch * TRIPS..(batch + 1) * TRIPS {
                    turn.store(2 * trip + 1, Release);
                    wait_for(2 * trip + 2);
                }
                start.elapsed().as_nanos() as f64 / f64::from(2 * TRIPS)
            };
            median(&(0..BATCHES).map(batch).collect::<Vec<_>>()).unwrap_or(f64::NAN)
        });
        timer.join().expect("no panic")
    })
}

/// A machine's numbers.
#[derive(Clone, Copy, Debug)]
pub struct Calibration {
    /// Nanoseconds of a transfer.
    pub transfer: f64,
    /// It was measured, and not concluded from what two threads get of the mutex.
    pub is_measured: bool,
}

/// The time of a transfer, from the results of `registry-throughput`.
pub fn calibration(results: &Results) -> Option<Calibration> {
    if let Some(series) = results.find(TRANSFER, MACHINE, 2, 0) {
        return Some(Calibration { transfer: median(&series.samples)?, is_measured: true });
    }
    // Two threads that take turns at one lock: each operation has it for its own time and a transfer.
    let [alone, two] =
        [1, 2].map(|threads| measured(results, "borrow-distinct", BASELINE, threads));
    Some(Calibration { transfer: two? - alone?, is_measured: false })
}

/// Measured nanoseconds an operation, of all threads together.
pub fn measured(results: &Results, workload: &str, subject: &str, threads: u32) -> Option<f64> {
    median(&results.find(workload, subject, threads, ENTRIES)?.samples)
}

/// Predicted nanoseconds an operation of `threads` together.
pub fn predicted(steps: &[Step], alone: f64, transfer: f64, threads: u32) -> f64 {
    if threads == 1 {
        return alone;
    }
    let (n, others) = (f64::from(threads), f64::from(threads - 1));
    // Operations from one access of this kind to the next.
    let every = |access: Access| {
        steps
            .iter()
            .filter(|step| step.access == access)
            .map(|step| 1.0 / f64::from(step.every))
            .sum()
    };
    let writes: f64 = every(Access::Write);
    let [scans, own, reads]: [f64; 3] = [Access::Scan, Access::WriteOwn, Access::Read].map(every);
    if steps.iter().any(|step| step.access == Access::Lock) {
        return alone + transfer * (1.0 + writes);
    }
    // The odds that another thread has done something that happens `rate` times an operation since.
    let lost = |rate: f64, every: f64| 1.0 - (-others * rate / every).exp();
    let (mut added, mut busy) = (writes, writes);
    if reads > 0.0 {
        added += reads * lost(writes, reads);
        // The first of those who read it after a write takes it from the writer.
        busy += writes;
    }
    if own > 0.0 {
        added += own * lost(scans, own) + scans * others * (1.0 - (-own / scans.max(1e-9)).exp());
    }
    ((alone + transfer * added) / n).max(transfer * busy)
}

/// A row of the comparison.
#[derive(Clone, Debug)]
pub struct Row {
    /// The workload.
    pub workload: &'static str,
    /// The backend.
    pub backend: &'static str,
    /// Number of threads.
    pub threads: u32,
    /// Nanoseconds an operation of all threads together, by the closed form.
    pub predicted: f64,
    /// By the simulation.
    pub simulated: f64,
    /// As measured, where there are so many processors.
    pub measured: Option<f64>,
}

/// Thread counts that are predicted.
pub const THREADS: [u32; 8] = [1, 2, 4, 8, 16, 32, 64, 128];

/// Prediction, simulation and measurement of every program that was measured alone.
pub fn rows(results: &Results) -> Vec<Row> {
    let Some(Calibration { transfer, .. }) = calibration(results) else { return Vec::new() };
    // Beyond, threads take turns.
    let processors = results.machine.processors as u32;
    let mut rows = Vec::new();
    for program in PROGRAMS {
        let Some(alone) = measured(results, program.workload, program.backend, 1) else { continue };
        rows.extend(THREADS.map(|threads| {
            Row {
                workload: program.workload,
                backend: program.backend,
                threads,
                predicted: predicted(program.steps, alone, transfer, threads),
                simulated: simulation::run(program.steps, alone, transfer, threads),
                measured: measured(results, program.workload, program.backend, threads)
                    .filter(|_| threads <= processors),
            }
        }));
    }
    rows
}

/// The rows that were measured, for a terminal.
pub fn table(results: &Results) -> String {
    let Some(calibration) = calibration(results) else { return String::new() };
    let mut text = format!(
        "A line moves in {:.0} ns. Nanoseconds an operation, of all threads together:\n\
         {:<18} {:<14} {:>7} {:>9} {:>9} {:>9}\n",
        calibration.transfer,
        "workload",
        "registry",
        "threads",
        "predicted",
        "simulated",
        "measured"
    );
    for row in rows(results).iter().filter(|row| row.threads > 1) {
        if let Some(measured) = row.measured {
            let _ = writeln!(
                text,
                "{:<18} {:<14} {:>7} {:>9.1} {:>9.1} {measured:>9.1}",
                row.workload, row.backend, row.threads, row.predicted, row.simulated
            );
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closed_form_agrees_with_the_simulation_to_128_threads() {
        let mut wrong = Vec::new();
        for program in PROGRAMS {
            for threads in THREADS {
                let predicted = predicted(program.steps, 10.0, 60.0, threads);
                let simulated = simulation::run(program.steps, 10.0, 60.0, threads);
                if !(0.6..1.4).contains(&(predicted / simulated)) {
                    wrong.push(format!(
                        "{} {} {threads}: {predicted:.2} {simulated:.2}",
                        program.workload, program.backend
                    ));
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn what_shares_no_line_grows_with_the_threads_and_a_lock_does_not() {
        let time = |steps: &[Step], threads| predicted(steps, 10.0, 60.0, threads);
        assert_eq!(time(&[], 64), 10.0 / 64.0);
        let lock = [Step { access: Access::Lock, every: 1 }];
        assert_eq!([time(&lock, 1), time(&lock, 2), time(&lock, 64)], [10.0, 70.0, 70.0]);
    }

    #[test]
    fn without_a_measured_transfer_it_follows_from_the_lock() {
        let series = |threads, sample| Series {
            workload: "borrow-distinct".to_owned(),
            subject: BASELINE.to_owned(),
            threads,
            entries: ENTRIES,
            unit: "ns/operation".to_owned(),
            samples: vec![sample],
        };
        let results =
            Results { series: vec![series(1, 9.0), series(2, 40.0)], ..Results::default() };
        let found = calibration(&results).expect("both were measured");
        assert_eq!((found.transfer, found.is_measured), (31.0, false));
    }
}
