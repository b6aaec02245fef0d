//! A registry whose kind is known at run time only.

use super::subject::{FIRST, Kind, Lane, Subject};
use super::workloads;

/// A subject of any kind.
pub trait Measured: Subject {
    /// [`Kind::NAME`].
    fn name(&self) -> &'static str;
    /// [`Kind::MOST_ENTRIES`].
    fn most_entries(&self) -> u32;
    /// Does `count` steps of the workload with this index, on a thread that is attached.
    fn run(&self, workload: usize, lane: &Lane, count: u32);
}

impl<S: Kind> Measured for S {
    fn name(&self) -> &'static str {
        S::NAME
    }

    fn most_entries(&self) -> u32 {
        S::MOST_ENTRIES
    }

    fn run(&self, workload: usize, lane: &Lane, count: u32) {
        workloads::run(self, workload, lane, count);
    }
}

/// Gives the first `entries` descriptors an entry each. The thread is attached.
pub fn fill(subject: &dyn Measured, entries: u32) {
    for fd in FIRST..FIRST + entries as i32 {
        assert!(subject.insert(fd, fd as u64), "{}: {fd} was vacant", subject.name());
    }
}
