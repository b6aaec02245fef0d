//! The vocabulary of memory orderings, written down once.
//!
//! - **Relaxed**: the value alone matters, or another access carries the order; the comment says
//!   which.
//! - **Release / Acquire**: a hand-over. Who reads with Acquire what was written with Release sees
//!   all that the writer did before. The comment names the partner.
//! - **Sequentially consistent**: two parties that each write one place and then read the other's
//!   (Dekker's pattern): a reader publishes its claim and then reads the slot, a remover empties
//!   the slot and then reads the claims. All such accesses lie in one total order, so at least one
//!   of the two sees the other. They are the methods of the traits below and nothing else, so that
//!   the places are few and can be found.
//!
//! On x86-64 the loads are plain loads and the read-modify-writes would be locked anyway: the order
//! is free. A separate fence would not be. loom has no such accesses (it treats them as AcqRel), so
//! its models put a fence on both sides, which orders at least what the access does: see
//! design/registry.md.

use super::{AtomicI32, AtomicPtr, AtomicU64};

#[cfg(not(crossbeam_loom))]
mod fence {
    pub const ACCESS: core::sync::atomic::Ordering = core::sync::atomic::Ordering::SeqCst;
    pub const LOAD: core::sync::atomic::Ordering = core::sync::atomic::Ordering::SeqCst;
    #[inline(always)]
    pub fn around<T>(access: impl FnOnce() -> T) -> T {
        access()
    }
}

#[cfg(crossbeam_loom)]
mod fence {
    use crate::atomics::mutant::mutant;

    pub const ACCESS: core::sync::atomic::Ordering = core::sync::atomic::Ordering::AcqRel;
    pub const LOAD: core::sync::atomic::Ordering = core::sync::atomic::Ordering::Acquire;
    pub fn around<T>(access: impl FnOnce() -> T) -> T {
        mutant!(MissingFence => return access());
        loom::sync::atomic::fence(core::sync::atomic::Ordering::SeqCst);
        let result = access();
        loom::sync::atomic::fence(core::sync::atomic::Ordering::SeqCst);
        result
    }
}

use fence::{ACCESS, LOAD, around};

/// Accesses in the one total order.
pub trait TotalOrder {
    /// Type of the atomic's value.
    type Value;
    /// Reads.
    fn load_total(&self) -> Self::Value;
    /// As `load_total`; a model puts no fence around it, which would hide that one is missing.
    fn load_total_unfenced(&self) -> Self::Value;
    /// Writes and says what was there.
    fn swap_total(&self, value: Self::Value) -> Self::Value;
    /// Writes `new` if `current` is there; else says what is.
    fn replace_total(&self, current: Self::Value, new: Self::Value) -> Result<(), Self::Value>;
}

macro_rules! total_order {
    ($(($($generic:tt)*) $atomic:ty: $value:ty;)*) => {
        $(impl $($generic)* TotalOrder for $atomic {
            type Value = $value;

            #[inline(always)]
            fn load_total(&self) -> $value {
                around(|| self.load(LOAD))
            }

            #[inline(always)]
            fn load_total_unfenced(&self) -> $value {
                self.load(LOAD)
            }

            #[inline(always)]
            fn swap_total(&self, value: $value) -> $value {
                around(|| self.swap(value, ACCESS))
            }

            #[inline(always)]
            fn replace_total(&self, current: $value, new: $value) -> Result<(), $value> {
                around(|| self.compare_exchange(current, new, ACCESS, LOAD)).map(drop)
            }
        })*
    };
}

total_order! {
    () AtomicI32: i32;
    () AtomicU64: u64;
    (<T>) AtomicPtr<T>: *mut T;
}

/// Counters in the one total order.
pub trait TotalCount {
    /// Adds; says what was there.
    fn add_total(&self, value: u64) -> u64;
}

impl TotalCount for AtomicU64 {
    #[inline(always)]
    fn add_total(&self, value: u64) -> u64 {
        around(|| self.fetch_add(value, ACCESS))
    }
}

/// Marks in the one total order, which only rise.
pub trait TotalMark {
    /// Raises it to `value`, if it is lower.
    fn raise_total(&self, value: i32);
}

impl TotalMark for AtomicI32 {
    #[inline(always)]
    fn raise_total(&self, value: i32) {
        around(|| self.fetch_max(value, ACCESS));
    }
}
