//! Lookups of descriptors that each thread has for itself, by counted handle: what the proposal does.

use std::hint::black_box;

use super::Workload;
use crate::registry::subject::{Lane, Subject};

/// The workload.
pub struct This;

impl Workload for This {
    const NAME: &'static str = "counted-distinct";
    const TITLE: &'static str = "hit, counted handle, distinct descriptors";

    #[inline(always)]
    fn step<S: Subject>(subject: &S, lane: &Lane, step: u32) {
        black_box(subject.counted(black_box(lane.distinct(step))));
    }
}
