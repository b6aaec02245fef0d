//! Every backend against the mutex baseline: medians of interleaved rounds, in one threaded process.
//!
//! `cargo bench --bench registry [-- ROUNDS [TABLE…]]`. The tables are the backends themselves, without the
//! process id check of [`Owned`](epochsocks::registry::Owned), which costs every backend the same
//! system call.

use std::hint::black_box;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use epochsocks::registry::{
    Cookie, Counted, Mutex, MutexSlots, Registry, Slots, SlotsEpoch, SlotsHazard,
};

/// Descriptors that have an entry.
const ENTRIES: i32 = 64;
const FIRST: i32 = 100;
const OPERATIONS: u32 = 200_000;

type Work = fn(&dyn Bench, u32);

/// The operations that are measured, without the registry's type.
trait Bench: Sync {
    fn name(&self) -> &'static str;
    fn fill(&self);
    fn hit(&self, count: u32);
    fn counted(&self, count: u32);
    fn miss(&self, count: u32);
    fn churn(&self, count: u32);
    fn half(&self, count: u32);
}

fn hit_fd(step: u32) -> i32 {
    FIRST + (step.wrapping_mul(7) % ENTRIES as u32) as i32
}

/// A descriptor per thread for those who remove and insert.
fn own_fd() -> i32 {
    thread_local!(static FD: i32 = {
        static NEXT: std::sync::atomic::AtomicI32 = std::sync::atomic::AtomicI32::new(1000);
        NEXT.fetch_add(16, Relaxed)
    });
    FD.with(|fd| *fd)
}

impl<R: Registry> Bench for R {
    fn name(&self) -> &'static str {
        R::VARIANT.name
    }

    fn fill(&self) {
        for fd in FIRST..FIRST + ENTRIES {
            self.insert(fd, Cookie(1)).expect("vacant");
        }
    }

    #[inline(never)]
    fn hit(&self, count: u32) {
        for step in 0..count {
            black_box(self.borrow(black_box(hit_fd(step)), |record| record.cookie()));
        }
    }

    #[inline(never)]
    fn counted(&self, count: u32) {
        for step in 0..count {
            black_box(self.lookup(black_box(hit_fd(step))).map(|record| record.cookie()));
        }
    }

    #[inline(never)]
    fn miss(&self, count: u32) {
        for step in 0..count {
            let fd = black_box(5000 + (step % 64) as i32);
            black_box(self.borrow(fd, |record| record.cookie()));
        }
    }

    #[inline(never)]
    fn churn(&self, count: u32) {
        let fd = own_fd();
        for step in 0..count {
            black_box(self.insert(black_box(fd), Cookie(step.into()))).ok();
            black_box(self.remove(black_box(fd)));
        }
    }

    #[inline(never)]
    fn half(&self, count: u32) {
        let fd = own_fd();
        for step in 0..count {
            if step % 2 == 0 {
                black_box(self.borrow(black_box(hit_fd(step)), |record| record.cookie()));
            } else if step % 4 == 1 {
                black_box(self.insert(black_box(fd), Cookie(step.into()))).ok();
            } else {
                black_box(self.remove(black_box(fd)));
            }
        }
    }
}

/// Nanoseconds an operation takes in one thread.
fn alone(bench: &dyn Bench, work: Work) -> f64 {
    let start = Instant::now();
    work(bench, OPERATIONS);
    start.elapsed().as_nanos() as f64 / f64::from(OPERATIONS)
}

/// Nanoseconds an operation takes when two threads do the same.
fn together(bench: &dyn Bench, work: Work) -> f64 {
    let barrier = Barrier::new(2);
    let times: Vec<Duration> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    own_fd();
                    barrier.wait();
                    let start = Instant::now();
                    work(bench, OPERATIONS);
                    start.elapsed()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    let sum: f64 = times.iter().map(|time| time.as_nanos() as f64).sum();
    sum / 2.0 / f64::from(OPERATIONS)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let rounds = std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(21);
    let (mutex, mutex_slots, counted) = (Mutex::new(), MutexSlots::new(), Counted::new());
    let (slots, epoch, hazard) = (Slots::new(), SlotsEpoch::new(), SlotsHazard::new());
    let (slots, epoch, hazard) = (slots.inner(), epoch.inner(), hazard.inner());
    let benches: [&dyn Bench; 6] = [&mutex, slots, epoch, hazard, &counted, &mutex_slots];
    benches.iter().for_each(|bench| bench.fill());
    let measures: [(&str, bool, Work); 8] = [
        ("hit, borrowed", false, |bench, count| bench.hit(count)),
        ("hit, counted", false, |bench, count| bench.counted(count)),
        ("miss", false, |bench, count| bench.miss(count)),
        ("remove + insert", false, |bench, count| bench.churn(count)),
        ("2T hit, borrowed", true, |bench, count| bench.hit(count)),
        ("2T hit, counted", true, |bench, count| bench.counted(count)),
        ("2T remove + insert", true, |bench, count| bench.churn(count)),
        ("2T half reads", true, |bench, count| bench.half(count)),
    ];
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // A second thread, so that glibc's lock doesn't take its single-threaded way.
        let parked = scope.spawn(|| {
            while !stop.load(Relaxed) {
                std::thread::park();
            }
        });
        print!("{:20}", "ns (ratio)");
        benches.iter().for_each(|bench| print!("{:>18}", bench.name()));
        println!();
        for (name, threads, work) in measures {
            let mut times = vec![Vec::new(); benches.len()];
            for _ in 0..rounds {
                for (bench, times) in benches.iter().zip(&mut times) {
                    let measure = if threads { together } else { alone };
                    times.push(measure(*bench, work));
                }
            }
            let medians: Vec<f64> = times.into_iter().map(median).collect();
            print!("{name:20}");
            for time in &medians {
                print!("{:>10.1} ({:>5.2})", time, medians[0] / time);
            }
            println!();
        }
        stop.store(true, Relaxed);
        parked.thread().unpark();
    });
}
