//! Workloads of registries: one file a workload.

use std::hint::black_box;

use super::subject::{Lane, Subject};

/// A workload.
pub trait Workload {
    /// Name in the results.
    const NAME: &'static str;
    /// Name in the report.
    const TITLE: &'static str;

    /// Does one operation. `step` goes from 0 to the sample's end; whatever was inserted must be
    /// gone after every fourth step.
    fn step<S: Subject>(subject: &S, lane: &Lane, step: u32);
}

/// One workload of the list.
#[derive(Clone, Copy, Debug)]
pub struct Description {
    /// [`Workload::NAME`].
    pub name: &'static str,
    /// [`Workload::TITLE`].
    pub title: &'static str,
}

fn each_step<W: Workload, S: Subject>(subject: &S, lane: &Lane, count: u32) {
    if lane.turns == 0 {
        for step in 0..count {
            W::step(subject, lane, step);
        }
    } else {
        for step in 0..count {
            W::step(subject, lane, step);
            local_work(lane.turns);
        }
    }
}

/// Computes something for a while, in registers.
#[inline(never)]
pub fn local_work(turns: u32) {
    let mut number = turns;
    for _ in 0..turns {
        // Each turn waits for the one before.
        number = black_box(number.wrapping_mul(0x9E37_79B9) ^ 1);
    }
}

macro_rules! workloads {
    ($($module:ident,)*) => {
        $(mod $module;)*

        /// Every workload, by index.
        pub const ALL: &[Description] = &[$(Description {
            name: <$module::This as Workload>::NAME,
            title: <$module::This as Workload>::TITLE,
        }),*];

        #[expect(non_camel_case_types, reason = "the modules' names")]
        enum Index { $($module),* }

        /// Does `count` steps, rounded up to a multiple of four, of the workload `index` of [`ALL`].
        #[inline(never)]
        pub fn run<S: Subject>(subject: &S, index: usize, lane: &Lane, count: u32) {
            let count = count.next_multiple_of(4);
            $(if index == Index::$module as usize {
                each_step::<$module::This, S>(subject, lane, count);
            })*
        }
    };
}

// In the report's order.
workloads! {
    borrow_distinct,
    counted_distinct,
    borrow_same,
    counted_same,
    miss,
    insert_remove,
    reads_95,
    reads_50,
    reuse,
}

/// The index of a workload.
pub fn index(name: &str) -> Option<usize> {
    ALL.iter().position(|workload| workload.name == name)
}
