//! As many lookups by borrow as inserts and removes.

use std::hint::black_box;

use super::Workload;
use crate::registry::subject::{Lane, Subject};

/// The workload.
pub struct This;

impl Workload for This {
    const NAME: &'static str = "reads-50";
    const TITLE: &'static str = "50% borrows, 50% inserts and removes";

    #[inline(always)]
    fn step<S: Subject>(subject: &S, lane: &Lane, step: u32) {
        match step % 4 {
            1 => drop(black_box(subject.insert(black_box(lane.own()), step.into()))),
            3 => drop(black_box(subject.remove(black_box(lane.own())))),
            _ => drop(black_box(subject.borrow(black_box(lane.any(step))))),
        }
    }
}
