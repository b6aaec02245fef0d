//! Threads that make accesses to cache lines, one after another. A line is at one processor for writing
//! or at some for reading. From a processor that may write it moves for one at a time; what only
//! readers have, several get at once.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::programs::{Access, Step};

/// Operations of each thread; the first half is left out.
const OPERATIONS: u32 = 1_024;

/// A cache line.
#[derive(Clone, Default)]
struct Line {
    /// The processors that can read it, a bit each.
    readers: u128,
    /// Only one has it, and can write.
    is_owned: bool,
    /// End of the last transfer, in picoseconds.
    free_at: u64,
}

impl Line {
    /// End of the access of `thread` that begins at `now`.
    fn access(&mut self, thread: u32, now: u64, transfer: u64, is_write: bool) -> u64 {
        let own = 1u128 << thread;
        let is_here = self.readers & own != 0 && (!is_write || self.is_owned);
        if is_here {
            return now;
        }
        let done = self.free_at.max(now) + transfer;
        if is_write || self.is_owned {
            self.free_at = done;
        }
        self.is_owned = is_write;
        self.readers = if is_write { own } else { self.readers | own };
        done
    }
}

/// A thread between two accesses.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Thread {
    now: u64,
    number: u32,
    operation: u32,
    step: usize,
    /// The next line of a scan.
    scanned: u32,
}

/// Nanoseconds an operation, of all `threads` together (up to 128), of an operation that takes `alone`.
pub fn run(steps: &[Step], alone: f64, transfer: f64, threads: u32) -> f64 {
    let [alone, transfer] = [alone, transfer].map(|time| (time * 1e3) as u64);
    let mut shared = Line::default();
    let mut own = vec![Line::default(); threads as usize];
    // The end of the last operation under the lock, and who made it.
    let mut lock = (0, 0);
    // They start apart, so that they don't go in step.
    let start = |number| Thread {
        now: u64::from(number) * 7_919 % (alone + 1),
        number,
        operation: number * 13 % 64,
        step: 0,
        scanned: 0,
    };
    let mut queue: BinaryHeap<_> = (0..threads).map(|number| Reverse(start(number))).collect();
    let (mut done, mut first, mut last) = (0u64, None, 0);
    let all = u64::from(OPERATIONS) * u64::from(threads);
    while let Some(Reverse(mut thread)) = queue.pop() {
        let Some(step) = steps.get(thread.step) else {
            // The operation's own time ends it, but for one under the lock.
            let is_locked = steps.first().is_some_and(|step| step.access == Access::Lock);
            thread.now += if is_locked { 0 } else { alone };
            (thread.step, thread.operation) = (0, thread.operation + 1);
            done += 1;
            if done > all / 2 {
                first.get_or_insert(thread.now);
                last = last.max(thread.now);
            }
            if done == all {
                break;
            }
            queue.push(Reverse(thread));
            continue;
        };
        let (number, now) = (thread.number, thread.now);
        if thread.operation % step.every == 0 {
            match step.access {
                Access::Lock => {
                    let moved = if lock.1 == number { 0 } else { transfer };
                    lock = (lock.0.max(now) + moved + alone, number);
                    thread.now = lock.0;
                }
                Access::Write => thread.now = shared.access(number, now, transfer, true),
                Access::Read => thread.now = shared.access(number, now, transfer, false),
                Access::WriteOwn => {
                    thread.now = own[number as usize].access(number, now, transfer, true);
                }
                Access::Scan if thread.scanned < threads => {
                    let line = &mut own[thread.scanned as usize];
                    thread.now = line.access(number, now, transfer, false);
                    thread.scanned += 1;
                    queue.push(Reverse(thread));
                    continue;
                }
                Access::Scan => thread.scanned = 0,
            }
        }
        thread.step += 1;
        queue.push(Reverse(thread));
    }
    let counted = (all - all / 2 - 1).max(1);
    (last - first.unwrap_or(0)) as f64 / 1e3 / counted as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(accesses: &[Access]) -> Vec<Step> {
        accesses.iter().map(|access| Step { access: *access, every: 1 }).collect()
    }

    #[track_caller]
    fn is_about(found: f64, expected: f64) {
        assert!((found / expected - 1.0).abs() < 0.03, "{found}, not {expected}");
    }

    #[test]
    fn threads_that_share_nothing_do_not_wait() {
        is_about(run(&[], 10.0, 60.0, 1), 10.0);
        is_about(run(&[], 10.0, 60.0, 64), 10.0 / 64.0);
    }

    #[test]
    fn a_line_moves_for_one_thread_at_a_time() {
        let write = steps(&[Access::Write]);
        is_about(run(&write, 10.0, 60.0, 1), 10.0);
        for threads in [4, 32, 128] {
            is_about(run(&write, 10.0, 60.0, threads), 60.0);
        }
    }

    #[test]
    fn a_lock_is_one_thread_s_for_the_whole_operation() {
        let lock = steps(&[Access::Lock]);
        is_about(run(&lock, 10.0, 60.0, 1), 10.0);
        is_about(run(&lock, 10.0, 60.0, 16), 70.0);
    }

    #[test]
    fn a_line_that_is_only_read_moves_once_to_each() {
        is_about(run(&steps(&[Access::Read]), 10.0, 60.0, 16), 10.0 / 16.0);
    }
}
