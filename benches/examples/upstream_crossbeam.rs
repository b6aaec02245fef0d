//! crossbeam-epoch in signal handlers: `cargo run --release -p epochsocks-benches --example
//! upstream_crossbeam`. design/upstream/crossbeam-epoch.md says what is expected and seen.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

use epochsocks_benches::measure::stepping::{boundaries, interrupt, length, tally};

/// Runs of the interrupted function and of the handler's.
static RUNS: [AtomicU32; 2] = [AtomicU32::new(0), AtomicU32::new(0)];

fn defer(index: usize) {
    // Relaxed, here and below: one thread.
    crossbeam_epoch::pin().defer(move || RUNS[index].fetch_add(1, Relaxed));
}

/// Pins; meanwhile another thread defers, and collects. Nothing of that may run before the pin ends.
fn pin_beside_another_thread() {
    let _pin = crossbeam_epoch::pin();
    RUNS[0].store(0, Relaxed);
    let other = std::thread::spawn(|| {
        defer(0);
        collect();
    });
    other.join().expect("no panic");
}

/// Lets all that was deferred run, if no other thread is pinned.
fn collect() {
    (0..1_000).for_each(|_| crossbeam_epoch::pin().flush());
}

/// Calls of malloc and free that are made while a flag is set.
struct Watched;

static WATCHING: AtomicBool = AtomicBool::new(false);
static CALLS: AtomicU32 = AtomicU32::new(0);

// SAFETY: the system's allocator.
unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.fetch_add(WATCHING.load(Relaxed).into(), Relaxed);
        // SAFETY: the caller's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        CALLS.fetch_add(WATCHING.load(Relaxed).into(), Relaxed);
        // SAFETY: the caller's.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Watched = Watched;

fn main() {
    println!("A defer that a handler interrupts with a defer, behind each instruction");
    for held in [0, 30, 63] {
        // The thread's bag has so many deferred functions already.
        collect();
        (0..held).for_each(|_| crossbeam_epoch::pin().defer(|| ()));
        let work = || defer(0);
        // A child has a bag that is as full as this one's; the counted run below is undone by `collect`.
        let all = {
            let counted = length(&work);
            collect();
            (0..held).for_each(|_| crossbeam_epoch::pin().defer(|| ()));
            RUNS.iter().for_each(|runs| runs.store(0, Relaxed));
            counted
        };
        let trial = |is_right: fn(u32) -> bool| {
            tally(boundaries(all, u64::MAX), |boundary| {
                interrupt(boundary, &work, &|| defer(1), &|| {
                    collect();
                    RUNS.iter().all(|runs| is_right(runs.load(Relaxed)))
                })
            })
        };
        let [tried, waits, crashed, lost] = trial(|runs| runs > 0);
        let [.., doubled] = trial(|runs| runs < 2);
        println!(
            "  bag of {held:2}: {tried} boundaries: {lost} lose one, {doubled} run one twice, {crashed} \
             crash, {waits} wait for ever"
        );
    }

    println!("A pin that a handler interrupts with a pin, behind each instruction");
    let work = || drop(crossbeam_epoch::pin());
    let all = length(&work);
    let [tried, .., unprotected] = tally(boundaries(all, u64::MAX), |boundary| {
        interrupt(boundary, &work, &pin_beside_another_thread, &|| RUNS[0].load(Relaxed) == 0)
    });
    println!("  {tried} boundaries: at {unprotected} the handler's pin protects nothing");

    println!("Pins that call malloc or free, of 100,000 that each defer one function");
    let mut pins = 0;
    for _ in 0..100_000 {
        CALLS.store(0, Relaxed);
        WATCHING.store(true, Relaxed);
        let pin = crossbeam_epoch::pin();
        WATCHING.store(false, Relaxed);
        pins += u32::from(CALLS.load(Relaxed) > 0);
        let memory = Box::new(7u64);
        pin.defer(move || drop(memory));
    }
    println!("  {pins}");
}
