//! The backends over the record of the tests, registries without an owner, and children under a filter.

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

/// Ends a child that has seen something wrong.
pub fn expect(right: bool) {
    if !right {
        // SAFETY: ends the child.
        unsafe { libc::_exit(1) };
    }
}

/// Lets a filter give `answer` (`SECCOMP_RET_…`) to each system call `number` of this process, a child.
pub fn forbid(number: libc::c_long, answer: u32) {
    let instruction = |code: u32, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
    let instructions = [
        instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, number as u32),
        instruction(libc::BPF_RET | libc::BPF_K, 0, 0, answer),
        instruction(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog {
        len: instructions.len() as u16,
        filter: instructions.as_ptr().cast_mut(),
    };
    let mode = libc::SECCOMP_MODE_FILTER;
    // SAFETY: the kernel reads that number of instructions.
    unsafe {
        expect(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
        expect(libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const program) == 0);
    }
}
