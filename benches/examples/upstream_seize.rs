//! seize in signal handlers: `cargo run --release -p epochsocks-benches --example upstream_seize`.
//! design/upstream/seize.md says what is expected and seen.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use epochsocks_benches::measure::stepping::{boundaries, interrupt, length, tally};
use seize::{Collector, Guard, reclaim};

/// Drops of the interrupted record and of the handler's.
static DROPS: [AtomicU32; 2] = [AtomicU32::new(0), AtomicU32::new(0)];

/// Boundaries that are tried, at most.
const TRIALS: u64 = 512;

/// Records that were freed beside the handler's guard.
static UNPROTECTED: AtomicU32 = AtomicU32::new(0);

struct Record(Option<usize>);

impl Drop for Record {
    fn drop(&mut self) {
        if let Some(index) = self.0 {
            // Relaxed, here and below: one thread.
            DROPS[index].fetch_add(1, Relaxed);
        }
    }
}

fn retire(collector: &Collector, record: *mut Record) {
    let guard = collector.enter();
    // SAFETY: the record came from `Box`, and no other thread has its pointer.
    unsafe { guard.defer_retire(record, reclaim::boxed) };
}

fn record(index: Option<usize>) -> *mut Record {
    Box::into_raw(Box::new(Record(index)))
}

fn main() {
    println!("A retire that a handler interrupts with a retire, behind each instruction");
    // The thread's batch has so many records already: the last one of 32 tries to reclaim.
    for held in [1, 15, 30] {
        let new = || {
            let collector = Box::new(Collector::new().batch_size(32));
            (0..held).for_each(|_| retire(&collector, record(None)));
            collector
        };
        let (counted, last) = (new(), record(None));
        let all = length(&|| retire(&counted, last));
        let trial = |is_right: fn(u32) -> bool| {
            tally(boundaries(all, TRIALS), |boundary| {
                let collector = Box::into_raw(new());
                let records = [0, 1].map(|index| record(Some(index)));
                // SAFETY: it lives until the check.
                let retire = |index: usize| retire(unsafe { &*collector }, records[index]);
                interrupt(boundary, &|| retire(0), &|| retire(1), &|| {
                    // SAFETY: the child is done with it; its end frees what is retired.
                    drop(unsafe { Box::from_raw(collector) });
                    DROPS.iter().all(|drops| is_right(drops.load(Relaxed)))
                })
            })
        };
        let [tried, waits, crashed, lost] = trial(|drops| drops > 0);
        let [.., doubled] = trial(|drops| drops < 2);
        println!(
            "  batch of {held:2}: {tried} of {all} boundaries: {lost} lose one, {doubled} free one twice, {crashed} \
             crash, {waits} wait for ever"
        );
    }

    println!("A guard that a handler enters, behind each instruction of entering one");
    let collector = Collector::new().batch_size(32);
    let work = || drop(collector.enter());
    work();
    let all = length(&work);
    let [tried, .., unprotected] = tally(boundaries(all, TRIALS), |boundary| {
        let handler = || {
            let _guard = collector.enter();
            // Another thread retires; nothing of that may be freed before the guard ends.
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    retire(&collector, record(Some(0)));
                    (0..256).for_each(|_| retire(&collector, record(None)));
                });
            });
            UNPROTECTED.store(DROPS[0].load(Relaxed), Relaxed);
        };
        interrupt(boundary, &work, &handler, &|| UNPROTECTED.load(Relaxed) == 0)
    });
    println!("  {tried} boundaries: at {unprotected} the handler's guard protects nothing");
}
