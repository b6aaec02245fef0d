//! Trials in processes of their own, watched: each ends, or crashes, or waits for a lock that nobody
//! will ever give back.
//!
//! A process does as many trials as it can, since making one costs more than a trial. Each trial has
//! a registry of its own; the process goes no further than the first one that leaves anything wrong.

use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use super::post_mortem;

/// How a trial ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Done,
    /// It waits for ever.
    Deadlock,
    /// It was killed by a fault, by an abort or for going round for ever, or it panicked.
    Crash,
}

/// Longer than any scheduler keeps a runnable process away from the processor.
const DEADLINE: Duration = Duration::from_secs(20);
/// Processor time of a trial: hundreds of times what one needs.
const PROCESSOR_TIME: libc::timeval = libc::timeval { tv_sec: 1, tv_usec: 0 };
/// How often a process that does many trials is looked at.
const LOOK: Duration = Duration::from_millis(4);
/// The same for one that does a single trial, and may wait for a lock in most of them.
const LOOK_AT_ONE: Duration = Duration::from_micros(500);
/// Trials of one process at most: it keeps what they map.
const BATCH: usize = 64;

/// What a process and its watcher share.
struct Batch<T> {
    finished: AtomicUsize,
    reports: [T; BATCH],
}

/// Memory that forked children share with their parent: where they leave their reports.
pub struct Shared<T>(NonNull<Batch<T>>);

impl<T: Copy + Default> Shared<T> {
    pub fn new() -> Self {
        // SAFETY: a new mapping.
        let page = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                size_of::<Batch<T>>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        assert_ne!(page, libc::MAP_FAILED, "{}", io::Error::last_os_error());
        Shared(NonNull::new(page.cast()).expect("mmap never maps page 0"))
    }

    /// Runs `work` in a forked child, which has this thread only; says what it reported last.
    pub fn run(&self, work: impl Fn(&mut T)) -> (T, End) {
        let mut outcome = None;
        let work = |_, report: &mut T| {
            work(report);
            ControlFlow::Continue(())
        };
        self.run_each(1, 1, work, |_, report, end| outcome = Some((*report, end)));
        outcome.expect("one trial has one outcome")
    }

    /// Does the trials 0 to `count`, at most `together` in one process, and tells of each, in turn.
    /// A trial that breaks is the last one of its process.
    pub fn run_each(
        &self,
        count: usize,
        together: usize,
        work: impl Fn(usize, &mut T) -> ControlFlow<()>,
        mut tell: impl FnMut(usize, &T, End),
    ) {
        let mut first = 0;
        while first < count {
            let trials = first..count.min(first + together.min(BATCH));
            let end = self.in_child(trials, &work);
            // SAFETY: the child is gone.
            let batch = unsafe { self.0.as_ref() };
            let finished = batch.finished.load(SeqCst);
            for report in &batch.reports[..finished] {
                tell(first, report, End::Done);
                first += 1;
            }
            // Or it has ended its process itself.
            if end != End::Done || finished == 0 {
                tell(first, &batch.reports[finished], end);
                first += 1;
            }
        }
    }

    fn in_child(
        &self,
        trials: std::ops::Range<usize>,
        work: &impl Fn(usize, &mut T) -> ControlFlow<()>,
    ) -> End {
        let fresh = Batch { finished: AtomicUsize::new(0), reports: [T::default(); BATCH] };
        // SAFETY: the mapping is ours, and no child lives at this point.
        unsafe { self.0.write(fresh) };
        // SAFETY: the child leaves by `_exit` and returns to nobody.
        let child = unsafe { libc::fork() };
        assert!(child >= 0, "fork: {}", io::Error::last_os_error());
        if child > 0 {
            let look = if trials.len() == 1 { LOOK_AT_ONE } else { LOOK };
            // SAFETY: `finished` may be read while the child writes it.
            return watch(child, look, unsafe { &(*self.0.as_ptr()).finished });
        }
        post_mortem::handle_crashes();
        // SAFETY: the parent reads only `finished` until the child is gone.
        let Batch { finished, reports } = unsafe { &mut *self.0.as_ptr() };
        let ended = catch_unwind(AssertUnwindSafe(|| {
            for (trial, report) in trials.zip(reports) {
                limit_processor_time();
                let flow = work(trial, report);
                finished.fetch_add(1, SeqCst);
                if flow.is_break() {
                    break;
                }
            }
        }));
        // SAFETY: ends this process.
        unsafe { libc::_exit(ended.is_err().into()) }
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        // SAFETY: the whole mapping.
        unsafe { libc::munmap(self.0.as_ptr().cast(), size_of::<Batch<T>>()) };
    }
}

/// Ends this process by SIGPROF, should the trial that begins now never end by itself.
fn limit_processor_time() {
    let timer = libc::itimerval {
        it_interval: libc::timeval { tv_sec: 0, tv_usec: 0 },
        it_value: PROCESSOR_TIME,
    };
    // SAFETY: reads one structure.
    assert_eq!(unsafe { libc::setitimer(libc::ITIMER_PROF, &timer, std::ptr::null_mut()) }, 0);
}

fn watch(child: libc::pid_t, look: Duration, finished: &AtomicUsize) -> End {
    // SAFETY: returns a new descriptor or -1; the child is not waited for yet.
    let descriptor = unsafe { libc::syscall(libc::SYS_pidfd_open, child, 0) } as i32;
    assert!(descriptor >= 0, "pidfd_open: {}", io::Error::last_os_error());
    let look = libc::timespec { tv_sec: 0, tv_nsec: look.as_nanos() as i64 };
    let (mut since, mut before, mut locked) = (Instant::now(), 0, 0);
    let deadlock = loop {
        let mut entry = libc::pollfd { fd: descriptor, events: libc::POLLIN, revents: 0 };
        // SAFETY: one pollfd of ours.
        if unsafe { libc::ppoll(&mut entry, 1, &look, std::ptr::null()) } == 1 {
            break false;
        }
        let now = finished.load(SeqCst);
        if now != before {
            (since, before, locked) = (Instant::now(), now, 0);
            continue;
        }
        // A process all of whose threads sleep on locks is never woken. Twice, so as not to catch one
        // on its way.
        locked = if waits_for_lock(child) { locked + 1 } else { 0 };
        if locked == 2 || since.elapsed() > DEADLINE {
            break true;
        }
    };
    let mut status = 0;
    // SAFETY: our own child, our own descriptor.
    unsafe {
        if deadlock {
            libc::kill(child, libc::SIGKILL);
        }
        assert_eq!(libc::waitpid(child, &mut status, 0), child);
        libc::close(descriptor);
    }
    match (deadlock, status) {
        (true, _) => End::Deadlock,
        (false, 0) => End::Done,
        (false, _) => End::Crash,
    }
}

/// Whether every thread of a process sleeps in futex(2).
fn waits_for_lock(process: libc::pid_t) -> bool {
    let number = libc::SYS_futex.to_string();
    let sleeps = |thread: io::Result<fs::DirEntry>| {
        thread
            .and_then(|thread| fs::read_to_string(thread.path().join("syscall")))
            .is_ok_and(|call| call.split(' ').next() == Some(&number))
    };
    fs::read_dir(format!("/proc/{process}/task")).is_ok_and(|mut threads| threads.all(sleeps))
}
