//! A registry under measurement.

/// The first descriptor that has an entry.
pub const FIRST: i32 = 1_024;
/// The first descriptor of those that threads insert and remove, 64 for each.
const FIRST_OWN: i32 = FIRST + 131_072;
/// The first descriptor of those that never have an entry.
pub const FIRST_VACANT: i32 = FIRST_OWN + 16_384;

/// Data of one thread.
#[derive(Clone, Copy, Debug)]
pub struct Lane {
    /// The thread's number.
    pub index: u32,
    /// Number of threads.
    pub lanes: u32,
    /// Number of descriptors that have an entry.
    pub entries: u32,
    /// Turns of local work behind each operation.
    pub turns: u32,
}

impl Lane {
    /// A thread that does nothing else between its operations.
    pub fn new(index: u32, lanes: u32, entries: u32) -> Lane {
        Lane { index, lanes, entries, turns: 0 }
    }

    /// A descriptor with an entry, from all of them.
    #[inline(always)]
    pub fn any(&self, step: u32) -> i32 {
        FIRST + scatter(step, self.entries) as i32
    }

    /// A descriptor with an entry, from this thread's share of them.
    #[inline(always)]
    pub fn distinct(&self, step: u32) -> i32 {
        let share = (self.entries / self.lanes).max(1);
        let first = (self.index * share) % self.entries;
        FIRST + (first + scatter(step, share)) as i32
    }

    /// A descriptor that this thread alone inserts and removes.
    #[inline(always)]
    pub fn own(&self) -> i32 {
        FIRST_OWN + 64 * self.index as i32
    }
}

/// A number below `range`, another for each step, without a division.
#[inline(always)]
fn scatter(step: u32, range: u32) -> u32 {
    ((u64::from(step.wrapping_mul(0x9E37_79B9)) * u64::from(range)) >> 32) as u32
}

/// A registry under measurement: descriptor to a record that holds a number.
pub trait Subject: Sync {
    /// A thread begins to use it.
    fn attach(&self) {}

    /// The thread ends.
    fn detach(&self) {}

    /// Makes `fd` name a new record; says whether it had none.
    fn insert(&self, fd: i32, number: u64) -> bool;

    /// Forgets `fd`; says whether it named a record.
    fn remove(&self, fd: i32) -> bool;

    /// Reads the record of `fd` without keeping it.
    fn borrow(&self, fd: i32) -> Option<u64>;

    /// Takes a reference to the record of `fd` that could be kept, reads, and gives it back.
    fn counted(&self, fd: i32) -> Option<u64>;

    /// Calls `meanwhile` from a reader that is inside its guard of `fd`.
    fn hold(&self, fd: i32, meanwhile: &mut dyn FnMut());

    /// Records that are retired but not free, if it can tell. `retired` is the number of removes until
    /// now, for a registry that only counts frees.
    fn unreclaimed(&self, retired: u64) -> Option<u64> {
        let _ = retired;
        None
    }

    /// Tells whether `unreclaimed` is right only while no thread is inside an operation.
    fn counts_at_rest(&self) -> bool {
        false
    }

    /// Called in the child of a fork.
    fn after_fork_in_child(&self) {}
}

/// A kind of registry, of ours or of others.
pub trait Kind: Subject + Sized + 'static {
    /// Name in the report.
    const NAME: &'static str;
    /// Description in a few words.
    const ROLE: &'static str;
    /// Origin of its records.
    const ALLOCATOR: &'static str;
    /// The most entries that it can be filled with in reasonable time.
    const MOST_ENTRIES: u32 = u32::MAX;

    /// An empty registry.
    fn new() -> Self;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distinct_descriptors_of_two_threads_never_meet() {
        let lane = |index| Lane::new(index, 2, 100);
        let of = |index| (0..1_000).map(move |step| lane(index).distinct(step));
        assert!(of(0).all(|fd| (FIRST..FIRST + 50).contains(&fd)));
        assert!(of(1).all(|fd| (FIRST + 50..FIRST + 100).contains(&fd)));
    }

    #[test]
    fn a_lane_reaches_every_entry_and_no_other() {
        let lane = Lane::new(0, 1, 37);
        let reached: std::collections::BTreeSet<_> =
            (0..10_000).map(|step| lane.any(step)).collect();
        assert_eq!(reached, (FIRST..FIRST + 37).collect());
    }

    #[test]
    fn more_threads_than_entries_still_find_entries() {
        let lane = Lane::new(15, 16, 1);
        assert_eq!(lane.distinct(12_345), FIRST);
    }
}
