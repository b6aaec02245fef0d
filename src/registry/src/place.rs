//! The reclamation domain by itself: places, each of which names a value or none.

use core::mem::MaybeUninit;
use core::ptr::{NonNull, null_mut};

use super::domain::Domain as _;
use super::entry::{Entry, Slot, Steps};
use super::epoch::EpochDomain;
use super::epoch::policy::Era;
use super::node::Node;
use super::{InsertError, Payload, SocketId};
use crate::atomics::{AtomicPtr, const_new};

/// Memory of the values that [places](Place) name, which is used again when no reader can see it.
///
/// A value is read without a lock while others replace it, in signal handlers, too. Readers that stop
/// keep what they read, and what lived at the same time, and no more.
///
/// ```
/// use epochsocks_registry::{Domain, Place};
///
/// static DOMAIN: Domain<[u16; 3]> = Domain::new();
/// static LIMITS: Place<'static, [u16; 3]> = Place::new(&DOMAIN);
///
/// assert_eq!(LIMITS.get(), None);
/// LIMITS.set([10, 20, 30])?;
/// assert_eq!(LIMITS.read(|limits| limits[1]), Some(20));
/// LIMITS.set([11, 21, 31])?;
/// assert_eq!(LIMITS.get(), Some([11, 21, 31]));
/// assert!(LIMITS.clear());
/// # Ok::<(), epochsocks_registry::InsertError>(())
/// ```
pub struct Domain<T>(EpochDomain<Era, Value<T>>);

/// Plain data, which needs no destructor.
struct Value<T>(MaybeUninit<T>);

impl<T: Copy + Send + Sync + 'static> Payload for Value<T> {
    fn new(_: SocketId) -> Self {
        Value(MaybeUninit::uninit())
    }

    fn id(&self) -> SocketId {
        SocketId(0)
    }

    unsafe fn renew(_: *mut Self, _: SocketId) {}
}

impl<T> core::fmt::Debug for Domain<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Domain")
    }
}

impl<T> Domain<T> {
    const_new! {
        /// A domain without memory.
        pub fn new() -> Self {
            Domain(EpochDomain::new())
        }
    }
}

impl<T> Default for Domain<T> {
    fn default() -> Self {
        Domain::new()
    }
}

impl<T: Copy + Send + Sync + 'static> Domain<T> {
    /// Lets a child of fork use again what threads that it does not have were reading. To be called in the
    /// child; without it the child works, and keeps such values. Async-signal-safe.
    pub fn after_fork_in_child(&self) {
        self.0.after_fork_in_child();
    }

    /// Gives up the place's hold on a node that was taken out of it.
    fn forget(&self, node: NonNull<Node<Value<T>>>) {
        // SAFETY: nodes are never unmapped, and the caller owns the place's count.
        if unsafe { node.as_ref() }.drop_slot() {
            self.0.retire(node);
        }
    }
}

/// A place that names a value in a [`Domain`], or none.
///
/// Every operation is lock-free and async-signal-safe.
pub struct Place<'d, T: Copy + Send + Sync + 'static> {
    domain: &'d Domain<T>,
    slot: Slot<Value<T>>,
}

impl<T: Copy + Send + Sync + 'static> core::fmt::Debug for Place<'_, T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Place").field("names", &self.slot.look().is_named()).finish()
    }
}

impl<'d, T: Copy + Send + Sync + 'static> Place<'d, T> {
    const_new! {
        /// A place that names nothing.
        pub fn new(domain: &'d Domain<T>) -> Place<'d, T> {
            Place { domain, slot: AtomicPtr::new(null_mut()) }
        }
    }

    /// Lets the place name `value`, whatever it named before. `Exhausted` without memory; then it names
    /// what it did.
    pub fn set(&self, value: T) -> Result<(), InsertError> {
        let node = self.domain.0.allocate(SocketId(0)).ok_or(InsertError::Exhausted)?;
        // SAFETY: no other thread sees the node yet.
        unsafe { Node::record_ptr(node).write(Value(MaybeUninit::new(value))) };
        // Total order: releases the value to `read`, and comes before the look at the guards.
        let before = self.slot.exchange(Entry::old(node));
        before.named().into_iter().for_each(|node| self.domain.forget(node));
        Ok(())
    }

    /// Calls `read` with the value, which stays until `read` returns.
    pub fn read<R>(&self, read: impl FnOnce(&T) -> R) -> Option<R> {
        let node = self.domain.0.protect(&self.slot)?;
        // SAFETY: `set` has written it before the place named it.
        Some(read(unsafe { node.record().0.assume_init_ref() }))
    }

    /// A copy of the value.
    pub fn get(&self) -> Option<T> {
        self.read(|value| *value)
    }

    /// Lets the place name nothing; says whether it named a value.
    pub fn clear(&self) -> bool {
        // Total order as in `set`.
        let before = self.slot.exchange(Entry::EMPTY).named();
        before.map(|node| self.domain.forget(node)).is_some()
    }
}

impl<T: Copy + Send + Sync + 'static> Drop for Place<'_, T> {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(all(test, not(crossbeam_loom)))]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

    use super::*;

    /// F: what a reader sees is whole, and memory is used again.
    #[test]
    fn readers_see_whole_values_and_few_are_kept() {
        let domain = Domain::<[u64; 8]>::new();
        let place = Place::new(&domain);
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !done.load(Relaxed) {
                        let is_whole = |value: &[u64; 8]| value.iter().all(|one| *one == value[0]);
                        assert!(place.read(is_whole).unwrap_or(true));
                    }
                });
            }
            for number in 0..20_000 {
                place.set([number; 8]).expect("memory");
                assert!(number % 3 != 0 || place.clear());
            }
            done.store(true, Relaxed);
        });
        assert!(domain.0.nodes() < 1_000, "{} nodes", domain.0.nodes());
    }

    #[test]
    fn a_value_stays_while_it_is_read_though_it_is_replaced() {
        let domain = Domain::new();
        let place = Place::new(&domain);
        place.set(1).expect("memory");
        place.read(|value| {
            (2..200).for_each(|next| place.set(next).expect("memory"));
            assert_eq!(*value, 1);
        });
        assert_eq!(place.get(), Some(199));
    }
}
