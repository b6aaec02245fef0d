//! The accesses of each operation to cache lines that other threads access, too; counted from the code.

/// An access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Takes the one lock, for the rest of the operation.
    Lock,
    /// Writes the one line that all threads write: a record's count, the clock, the slab's stack.
    Write,
    /// Reads that line.
    Read,
    /// Writes a line that is the thread's own and that others scan: its cell.
    WriteOwn,
    /// Reads such a line of each other thread.
    Scan,
}

/// An access that is made once in so many operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The access.
    pub access: Access,
    /// Operations from one to the next.
    pub every: u32,
}

/// The accesses of a backend in a workload.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// The workload.
    pub workload: &'static str,
    /// The backend.
    pub backend: &'static str,
    /// The accesses, in their order.
    pub steps: &'static [Step],
}

/// Removes from one reclamation of an arena to the next.
const BATCH: u32 = 16;

macro_rules! programs {
    ($($workload:literal: { $($backend:literal [$($access:ident / $every:expr),*])* })*) => {
        /// Every program. A line that is written by one thread and seldom read by others is left out.
        pub const PROGRAMS: &[Program] = &[$($(Program {
            workload: $workload,
            backend: $backend,
            steps: &[$(Step { access: Access::$access, every: $every }),*],
        }),*),*];
    };
}

// An operation of `insert-remove` is one of the two, one of `reads-50` is in one of four cases a remove, in
// two a borrow.
programs! {
    "borrow-distinct": {
        "mutex" [Lock / 1]
        "mutex-slots" [Lock / 1]
        "slots" []
        "counted" []
        "type-stable" []
        "array" []
    }
    "miss": {
        "mutex" [Lock / 1]
        "slots" []
        "array" []
    }
    "counted-same": {
        "mutex" [Lock / 1]
        "slots" [Write / 1, Write / 1]
        "counted" [Write / 1, Write / 1]
        "type-stable" [Write / 1, Write / 1]
    }
    "insert-remove": {
        "mutex" [Lock / 1]
        "slots" [Read / 1, Write / 2 * BATCH]
        "array" []
    }
    "reads-50": {
        "mutex" [Lock / 1]
        "slots" [WriteOwn / 2, Read / 1, Write / 4 * BATCH, Scan / 4 * BATCH]
        "array" []
    }
}
