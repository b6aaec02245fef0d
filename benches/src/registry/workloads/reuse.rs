//! Descriptors are closed and opened again while others look them up: all threads on sixteen of them.

use std::hint::black_box;

use super::Workload;
use crate::registry::subject::{FIRST_VACANT, Lane, Subject};

/// Descriptors that all threads share, apart from those of `miss`.
const SHARED: i32 = FIRST_VACANT + 1_024;

/// The workload.
pub struct This;

impl Workload for This {
    const NAME: &'static str = "reuse";
    const TITLE: &'static str = "churn of 16 shared descriptors with lookups";

    #[inline(always)]
    fn step<S: Subject>(subject: &S, lane: &Lane, step: u32) {
        let fd = black_box(SHARED + (step.wrapping_add(7 * lane.index) / 4 % 16) as i32);
        match step % 4 {
            0 => drop(black_box(subject.insert(fd, step.into()))),
            3 => drop(black_box(subject.remove(fd))),
            _ => drop(black_box(subject.borrow(fd))),
        }
    }
}
