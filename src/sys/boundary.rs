//! System calls of a test: before one of them another thread runs.
//!
//! A test thread asks for it by [`run_before`]. So two threads are interleaved in each way in which
//! their system calls can be, on the real kernel, one way a run.

use std::boxed::Box;
use std::cell::{Cell, RefCell};

use crate::registry::sys;

type Other = Box<dyn FnOnce() + Send>;

std::thread_local! {
    /// Number of system calls of this thread that come before the other thread runs.
    static LEFT: Cell<Option<u32>> = const { Cell::new(None) };
    /// Number of system calls of this thread.
    static COUNT: Cell<u32> = const { Cell::new(0) };
    static OTHER: RefCell<Option<Other>> = const { RefCell::new(None) };
}

/// Lets `other` run in a thread of its own, from its beginning to its end, before the system call
/// number `index` that `work` makes, counted from 0. Says whether `work` has made that many.
pub fn run_before(index: u32, other: Other, work: impl FnOnce()) -> bool {
    LEFT.set(Some(index));
    OTHER.set(Some(other));
    work();
    LEFT.set(None);
    OTHER.take().is_none()
}

/// Number of system calls that `work` makes.
pub fn count(work: impl FnOnce()) -> u32 {
    let before = COUNT.get();
    work();
    COUNT.get() - before
}

/// As the system call instruction, after the other thread if it is due.
///
/// # Safety
/// As the instruction.
pub unsafe fn syscall6(
    number: i64,
    a: usize,
    b: usize,
    c: usize,
    d: usize,
    e: usize,
    f: usize,
) -> isize {
    COUNT.set(COUNT.get() + 1);
    match LEFT.get() {
        None => {}
        Some(0) => {
            LEFT.set(None);
            if let Some(other) = OTHER.take() {
                std::thread::spawn(other).join().expect("the other thread");
            }
        }
        Some(left) => LEFT.set(Some(left - 1)),
    }
    // SAFETY: the caller's.
    unsafe { sys::syscall6(number, a, b, c, d, e, f) }
}
