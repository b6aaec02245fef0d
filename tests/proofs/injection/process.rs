//! Processes of their own for what may crash, or wait for a lock that no thread will ever give back.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{NonNull, null_mut};

use super::crash_report;

/// End of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Done,
    /// It waits for ever.
    Deadlock,
    /// It was killed by a fault, by an abort or for going round for ever, or it panicked.
    Crash,
}

/// Processor time: hundreds of times what a trial needs.
const PROCESSOR_TIME: libc::timeval = libc::timeval { tv_sec: 1, tv_usec: 0 };
/// In seconds; longer than any scheduler keeps a runnable process away from the processor.
const DEADLINE: u32 = 20;
/// That of a process which waits for another one.
const LATER_DEADLINE: u32 = 2 * DEADLINE;

unsafe extern "C" {
    /// fork(2), and nothing else: async-signal-safe (POSIX 2024, glibc 2.34).
    fn _Fork() -> libc::pid_t;
}

/// Memory that forked children share with their parent: where they leave their reports.
pub struct Shared<T>(NonNull<T>);

impl<T> Shared<T> {
    /// A mapping has at least one byte.
    const SIZE: usize = if size_of::<T>() == 0 { 1 } else { size_of::<T>() };
}

impl<T: Default> Shared<T> {
    pub fn new() -> Self {
        // SAFETY: a new mapping.
        let memory = unsafe {
            libc::mmap(
                null_mut(),
                Self::SIZE,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        assert_ne!(memory, libc::MAP_FAILED, "{}", io::Error::last_os_error());
        Shared(NonNull::new(memory.cast()).expect("mmap never maps page 0"))
    }

    /// Runs `work` in a forked child, which has this thread only; says what it reported last.
    pub fn run(&self, work: impl FnOnce(&mut T)) -> (T, End) {
        self.run_in_child_of(libc::fork, work)
    }

    /// As [`Shared::run`], in a child of [`_Fork`]: for it libc does not set malloc's locks right.
    pub fn run_in_bare_child(&self, work: impl FnOnce(&mut T)) -> (T, End) {
        self.run_in_child_of(_Fork, work)
    }

    fn run_in_child_of(
        &self,
        fork: unsafe extern "C" fn() -> libc::pid_t,
        work: impl FnOnce(&mut T),
    ) -> (T, End) {
        // SAFETY: the mapping is ours, and no child lives at this point.
        unsafe { self.0.write(T::default()) };
        // SAFETY: the child leaves by `_exit` and does not return.
        let child = unsafe { fork() };
        if child != 0 {
            let end = wait(child);
            // SAFETY: the child is gone, and what it left is the caller's.
            return (unsafe { self.0.read() }, end);
        }
        crash_report::handle_crashes();
        limit_time(DEADLINE);
        // SAFETY: the parent does not touch it until the child is gone.
        let report = unsafe { &mut *self.0.as_ptr() };
        let ended = catch_unwind(AssertUnwindSafe(|| work(report)));
        // SAFETY: ends this process.
        unsafe { libc::_exit(ended.is_err().into()) }
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        // SAFETY: the whole mapping.
        unsafe { libc::munmap(self.0.as_ptr().cast(), Self::SIZE) };
    }
}

/// Goes on twice: in a child, which is told nothing, and here when that has ended, with how it did.
/// Async-signal-safe.
pub fn branch() -> Option<End> {
    // SAFETY: both sides go on with memory of their own.
    let child = unsafe { _Fork() };
    if child == 0 {
        limit_time(DEADLINE);
        return None;
    }
    limit_time(LATER_DEADLINE);
    Some(wait(child))
}

/// Grants a process that makes progress all its time anew. Async-signal-safe.
pub fn go_on() {
    limit_time(LATER_DEADLINE);
}

/// Ends this process by SIGPROF or SIGALRM, should what begins now never end by itself.
/// Async-signal-safe.
fn limit_time(deadline: u32) {
    let none = libc::timeval { tv_sec: 0, tv_usec: 0 };
    let timer = libc::itimerval { it_interval: none, it_value: PROCESSOR_TIME };
    // SAFETY: reads one structure.
    assert_eq!(unsafe { libc::setitimer(libc::ITIMER_PROF, &timer, null_mut()) }, 0);
    // SAFETY: takes an integer.
    unsafe { libc::alarm(deadline) };
}

/// Async-signal-safe.
fn wait(child: libc::pid_t) -> End {
    assert!(child > 0, "fork: {}", io::Error::last_os_error());
    let mut status = 0;
    // SAFETY: our own child.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    match status {
        0 => End::Done,
        _ if crash_report::has_waited(libc::WEXITSTATUS(status)) => End::Deadlock,
        _ => End::Crash,
    }
}
