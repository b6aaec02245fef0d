//! Helpers of the registry's tests: the backends over the record of the tests, registries without an
//! owner, and children.

use super::epoch::EpochDomain;
use super::epoch::policy::Policy;
use super::test_record::TestRecord;
use super::{Registry, SlotRegistry, SocketId};

pub type Slots = super::Slots<TestRecord>;
pub type SlotsBarrier = super::SlotsBarrier<TestRecord>;
pub type SlotsEpoch = super::SlotsEpoch<TestRecord>;
pub type SlotsHazard = super::SlotsHazard<TestRecord>;
pub type Counted = super::Counted<TestRecord>;
pub type Mutex = super::Mutex<TestRecord>;
pub type MutexSlots = super::MutexSlots<TestRecord>;
#[cfg(feature = "std")]
pub type Sharded = super::Sharded<TestRecord>;
#[cfg(feature = "std")]
pub type Snapshot = super::Snapshot<TestRecord>;
#[cfg(feature = "std")]
pub type SlotsCrossbeam = super::SlotsCrossbeam<TestRecord>;

/// As [`Slots`], but for the process id.
pub type Bare<P> = SlotRegistry<EpochDomain<P, TestRecord>>;

/// A registry without an owner.
pub fn bare<P: Policy>() -> Bare<P> {
    SlotRegistry::over(EpochDomain::new())
}

/// Opens and closes `fd` repeatedly.
pub fn churn(registry: &impl Registry, fd: i32, times: u64) {
    for cookie in 0..times {
        registry.insert(fd, SocketId(cookie)).expect("a vacant descriptor");
        assert!(registry.remove(fd));
    }
}

/// Runs `work` in a child made by `make`, and says whether it came to its end.
pub fn child_succeeds(make: impl FnOnce() -> i32, work: impl FnOnce()) -> bool {
    match make() {
        0 => {
            work();
            // SAFETY: ends the child without the parent's exit handlers.
            unsafe { libc::_exit(0) }
        }
        child => {
            assert!(child > 0, "no child");
            let mut status = 0;
            // SAFETY: waits for the child that was just made.
            let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
            waited == child && libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0
        }
    }
}

/// fork(2), which is not told to any registry.
pub fn fork() -> i32 {
    // SAFETY: the child makes raw system calls and touches mmapped memory only.
    unsafe { libc::fork() }
}
