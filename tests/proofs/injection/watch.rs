//! Work in a process of its own, watched: it ends, it crashes, or it waits for a lock that nobody
//! will ever give back.

use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::time::{Duration, Instant};

/// How a process ended.
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
/// More than any trial needs.
const PROCESSOR_SECONDS: libc::rlim_t = 5;
/// How often a process that has not ended is looked at.
const LOOK: Duration = Duration::from_millis(4);

/// Memory that a forked child shares with its parent: where it leaves its report.
pub struct Shared<T>(NonNull<T>);

impl<T: Copy + Default> Shared<T> {
    pub fn new() -> Self {
        // SAFETY: a new mapping.
        let page = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                size_of::<T>(),
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
    pub fn run(&self, work: impl FnOnce(&mut T)) -> (T, End) {
        // SAFETY: the mapping is ours, and no child lives at this point.
        unsafe { self.0.write(T::default()) };
        // SAFETY: the child leaves by `_exit` and returns to nobody.
        let child = unsafe { libc::fork() };
        assert!(child >= 0, "fork: {}", io::Error::last_os_error());
        if child == 0 {
            // SAFETY: the parent only reads it when the child is gone.
            let report = unsafe { &mut *self.0.as_ptr() };
            limit_processor_time();
            let ended = catch_unwind(AssertUnwindSafe(|| work(report)));
            // SAFETY: ends this process.
            unsafe { libc::_exit(ended.is_err().into()) }
        }
        let end = watch(child);
        // SAFETY: as above.
        (unsafe { self.0.read_volatile() }, end)
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        // SAFETY: the whole mapping.
        unsafe { libc::munmap(self.0.as_ptr().cast(), size_of::<T>()) };
    }
}

/// Ends this process, should it never end by itself.
fn limit_processor_time() {
    let limit = libc::rlimit { rlim_cur: PROCESSOR_SECONDS, rlim_max: PROCESSOR_SECONDS };
    // SAFETY: reads one structure.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_CPU, &limit) }, 0);
}

fn watch(child: libc::pid_t) -> End {
    // SAFETY: returns a new descriptor or -1; the child is not waited for yet.
    let descriptor = unsafe { libc::syscall(libc::SYS_pidfd_open, child, 0) } as i32;
    assert!(descriptor >= 0, "pidfd_open: {}", io::Error::last_os_error());
    let started = Instant::now();
    let mut locked = 0;
    let deadlock = loop {
        let mut entry = libc::pollfd { fd: descriptor, events: libc::POLLIN, revents: 0 };
        // SAFETY: one pollfd of ours.
        if unsafe { libc::poll(&mut entry, 1, LOOK.as_millis() as i32) } == 1 {
            break false;
        }
        // A process with one thread that sleeps on a lock is never woken. Twice, so as not to catch
        // it on its way.
        locked = if waits_for_lock(child) { locked + 1 } else { 0 };
        if locked == 2 || started.elapsed() > DEADLINE {
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

/// Whether a process sleeps in futex(2).
fn waits_for_lock(process: libc::pid_t) -> bool {
    let number = libc::SYS_futex.to_string();
    fs::read_to_string(format!("/proc/{process}/syscall"))
        .is_ok_and(|call| call.split(' ').next() == Some(&number))
}
