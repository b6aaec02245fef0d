//! All threads look the same descriptor up, by borrow.

use std::hint::black_box;

use super::Workload;
use crate::registry::subject::{FIRST, Lane, Subject};

/// The workload.
pub struct This;

impl Workload for This {
    const NAME: &'static str = "borrow-same";
    const TITLE: &'static str = "hit, borrowed, one descriptor";

    #[inline(always)]
    fn step<S: Subject>(subject: &S, lane: &Lane, step: u32) {
        let _ = (lane, step);
        black_box(subject.borrow(black_box(FIRST)));
    }
}
