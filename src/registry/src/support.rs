//! The backends over the record of the tests, and registries without an owner.

use super::SlotRegistry;
use super::epoch::EpochDomain;
use super::epoch::policy::Policy;
use super::test_record::TestRecord;

pub type Slots = super::Slots<TestRecord>;
pub type SlotsBarrier = super::SlotsBarrier<TestRecord>;
pub type SlotsEpoch = super::SlotsEpoch<TestRecord>;
pub type SlotsHazard = super::SlotsHazard<TestRecord>;
pub type Counted = super::Counted<TestRecord>;
pub type TypeStable = super::TypeStable<TestRecord>;
pub type Mutex = super::Mutex<TestRecord>;
pub type MutexSlots = super::MutexSlots<TestRecord>;

/// Of the list of backends, hands `$suite` those of this crate.
macro_rules! of_this_crate {
    ($suite:ident { $($own:tt)* } $others:tt) => { $suite! { $($own)* } };
}

/// As [`Slots`], but for the process id.
pub type Bare<P> = SlotRegistry<EpochDomain<P, TestRecord>>;

/// A registry without an owner.
pub fn bare<P: Policy>() -> Bare<P> {
    SlotRegistry::over(EpochDomain::new())
}
