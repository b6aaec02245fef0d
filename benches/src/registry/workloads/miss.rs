//! Lookups of descriptors that have no entry: most calls of most programs.

use std::hint::black_box;

use super::Workload;
use crate::registry::subject::{FIRST_VACANT, Lane, Subject};

/// The workload.
pub struct This;

impl Workload for This {
    const NAME: &'static str = "miss";
    const TITLE: &'static str = "miss";

    #[inline(always)]
    fn step<S: Subject>(subject: &S, lane: &Lane, step: u32) {
        let _ = lane;
        black_box(subject.borrow(black_box(FIRST_VACANT + (step % 64) as i32)));
    }
}
