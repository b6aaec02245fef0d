//! Each thread inserts an entry and removes it; one operation is one of the two.

use std::hint::black_box;

use super::Workload;
use crate::registry::subject::{Lane, Subject};

/// The workload.
pub struct This;

impl Workload for This {
    const NAME: &'static str = "insert-remove";
    const TITLE: &'static str = "insert, remove (each)";

    #[inline(always)]
    fn step<S: Subject>(subject: &S, lane: &Lane, step: u32) {
        let fd = black_box(lane.own());
        if step & 1 == 0 {
            black_box(subject.insert(fd, step.into()));
        } else {
            black_box(subject.remove(fd));
        }
    }
}
