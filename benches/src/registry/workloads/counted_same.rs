//! All threads look the same descriptor up, by counted handle.

use std::hint::black_box;

use super::Workload;
use crate::registry::subject::{FIRST, Lane, Subject};

/// The workload.
pub struct This;

impl Workload for This {
    const NAME: &'static str = "counted-same";
    const TITLE: &'static str = "hit, counted handle, one descriptor";

    #[inline(always)]
    fn step<S: Subject>(subject: &S, lane: &Lane, step: u32) {
        let _ = (lane, step);
        black_box(subject.counted(black_box(FIRST)));
    }
}
