//! Mutants: mistakes on purpose, by which the tests are tested. In a program there are none.

#[cfg(crossbeam_loom)]
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

/// A mistake that a model's twin makes on purpose, and that loom must find.
#[cfg(any(crossbeam_loom, epochsocks_planted))]
#[cfg_attr(not(crossbeam_loom), expect(dead_code, reason = "one is planted in a library"))]
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
pub enum Mutant {
    /// Accesses in the total order have no fence.
    MissingFence = 1,
    /// The reclaimer doesn't look at the counter of readers without a cell.
    IgnoredOverflow = 2,
    /// The reclaimer frees what a handle still counts.
    IgnoredCount = 4,
    /// Insert stores where it should compare and swap.
    StoreOnInsert = 8,
    /// A pop of the spill stack doesn't change the tag.
    NoTag = 16,
    /// The raise of a slot count is not followed by a second look at the slot.
    UnvalidatedShare = 32,
    /// The last slot count is forgotten without a retire.
    LostRetire = 64,
    /// A freshly duplicated slot is not brought up to date.
    NoSettle = 128,
    /// A thread that doesn't get the run lock leaves no notice with its holder.
    NoNotice = 256,
    /// The run lock is given back whether or not there is a notice.
    IgnoredNotice = 512,
    /// The notice is taken off without another look.
    NoSecondLook = 1024,
    /// A generation is taken for the current one although a fork has put another in its place.
    SwitchIgnored = 1 << 11,
    /// A record that was inherited by a fork is freed as any other.
    InheritedFreed = 1 << 12,
    /// The last slot count is taken away, too, instead of being left standing.
    LastCountTaken = 1 << 16,
    /// A reference is taken from the node that a slot named a moment ago, instead of from the slot.
    BlindIncrement = 1 << 17,
    /// The node is made up for what its slot gave only when the slot has forgotten it.
    LateSettlement = 1 << 18,
    /// Two callers may read the end of what is taken before either moves it.
    TornCursor = 1 << 19,
    /// The place of a name is told without the name.
    EarlyName = 1 << 20,
    /// The guard of a borrow ends before the read.
    UnguardedRead = 1 << 21,
    /// A reclaimer does not make the other threads pass a barrier.
    NoBarrier = 1 << 23,
    /// A reclaimer does not wait until the other threads have passed the barrier.
    BarrierNotAwaited = 1 << 24,
    /// A reclaimer frees what plain claims protect although no barrier could be had.
    RefusalIgnored = 1 << 25,
    /// Places keep their cells when no barrier is to be had any more.
    PlacesKeepCells = 1 << 26,
    /// A count is raised although it is 0.
    CountFromZero = 1 << 27,
    /// The slot is not looked at again when the count of its node was raised.
    NoLookAfterCount = 1 << 28,
    /// The count of a node in use again is stored before its record, without a release.
    EarlyCount = 1 << 29,
    /// A young entry is made old by a store where it should be compared and swapped.
    StoreOnSecondLook = 1 << 22,
}

#[cfg(crossbeam_loom)]
static PLANTED: AtomicU32 = AtomicU32::new(0);

#[cfg(crossbeam_loom)]
/// Plants these, and no others.
pub fn plant(mutants: &[Mutant]) {
    PLANTED.store(mutants.iter().fold(0, |all, mutant| all | *mutant as u32), SeqCst);
}

/// Tells whether the mistake is to be made.
#[cfg(crossbeam_loom)]
pub fn planted(mutant: Mutant) -> bool {
    PLANTED.load(SeqCst) & mutant as u32 != 0
}

/// Tells whether the mistake is to be made: the one that the signal injection must find, in the
/// library that it builds.
#[cfg(all(epochsocks_planted, not(crossbeam_loom)))]
pub const fn planted(mutant: Mutant) -> bool {
    matches!(mutant, Mutant::UnguardedRead)
}

/// A mutant, on one line of the code that it is planted in.
///
/// `mutant!(NAME => STATEMENT)` runs the statement if the mutant is planted.
/// `mutant!(NAME: VALUE => OTHER)` is the other value then, and otherwise the value.
#[doc(hidden)]
#[macro_export]
macro_rules! mutant {
    ($name:ident => $statement:expr) => {
        #[cfg(any(crossbeam_loom, epochsocks_planted))]
        if $crate::atomics::mutant::planted($crate::atomics::mutant::Mutant::$name) {
            $statement
        }
    };
    ($name:ident: $value:expr => $other:expr) => {{
        #[cfg(not(any(crossbeam_loom, epochsocks_planted)))]
        let value = $value;
        #[cfg(any(crossbeam_loom, epochsocks_planted))]
        let value = if $crate::atomics::mutant::planted($crate::atomics::mutant::Mutant::$name) {
            $other
        } else {
            $value
        };
        value
    }};
}
pub use crate::mutant;
