//! The registry of sockets: which descriptor names which record.
//!
//! A record is what its caller makes of it: a type with the trait [`Payload`].
//!
//! # Guarantees
//! The letters are cited by tests and comments. A backend that lacks one says so in
//! [`Registry::VARIANT`].
//!
//! - **A** A connection is immutable once visible.
//! - **B** A record's refcount starts at 1, the registry's own reference, however many descriptors
//!   name it.
//! - **C** A counted lookup raises the count, and never from 0.
//! - **D** Remove makes the entry invisible first, then gives up the registry's reference (with the
//!   last descriptor) without having raised it.
//! - **E** A record is freed once, by the thread that puts the last reference.
//! - **F** Its memory is reused only when no reader that could still see it is pinned.
//! - **G** Insert refuses a descriptor that has an entry, in one atomic step.
//! - **H** No operation blocks, calls the host's malloc or uses thread-local storage; each may run
//!   in a signal handler that interrupted any other.
//! - **I** An entry is gone before the kernel can reuse its descriptor, and back if the call that
//!   would have closed it failed.
//! - **J** In a child of fork, `_Fork` or a raw clone every operation works at once; a vfork child
//!   changes nothing of its parent.
//!
//! J holds for each `vfork` child, or for each of which the caller tells, if it has said that it does
//! ([`Owned::presume_alone`]).
//!
//! # The modules
//! - `payload` is what an entry leads to: the record of one socket; `handle` a counted reference to it;
//!   `backends` lists them; `owned` refuses a vfork child's
//!   changes; `sizes` are its limits, `layout` is where entries lie in memory
//! - `atomics` and `sys`: the atomics, real and loom's, and the system calls
//! - the slot registries: `slots`, the descriptor `table` of `entry`s, over a reclamation `domain`
//!   (`epoch`, or `type_stable` counts) of `node`s from a `slab`
//! - the others: `mutex`, the proposal, and `mutex_slots`, over a `lock`; `counted`
//! - `place`: a domain by itself, without descriptors
//! - `audit` and `witness` look for lost and doubled frees in tests and models
//! - the tests: `conformance`, `equivalence` and `closes` for all, `lifecycle`, `forks`, `plain_claims`, `storm` (over `test_record`, with helpers in `support` and `children`), loom's `models`
#![cfg_attr(not(any(test, crossbeam_loom)), no_std)]

#[doc(hidden)]
pub mod atomics;
#[doc(hidden)]
pub mod sys;

mod audit;
mod backends;
mod counted;
mod domain;
mod entry;
mod epoch;
mod handle;
mod layout;
mod lock;
mod mutex;
mod mutex_slots;
mod node;
mod owned;
mod payload;
mod place;
mod sizes;
mod slab;
mod slots;
mod table;
mod type_stable;
mod witness;

#[cfg(all(test, not(crossbeam_loom)))]
#[macro_use]
mod support;
#[cfg(all(test, not(crossbeam_loom)))]
mod children;
#[cfg(all(test, not(crossbeam_loom)))]
mod closes;
#[cfg(all(test, not(crossbeam_loom)))]
mod conformance;
#[cfg(all(test, not(crossbeam_loom)))]
mod equivalence;
#[cfg(all(test, not(crossbeam_loom)))]
mod forks;
#[cfg(all(test, not(crossbeam_loom)))]
mod lifecycle;
#[cfg(all(test, crossbeam_loom))]
pub(crate) mod models;
#[cfg(all(test, not(crossbeam_loom)))]
mod plain_claims;
#[cfg(all(test, not(crossbeam_loom)))]
mod storm;
#[cfg(test)]
mod test_record;

pub use audit::{Audit, Use};
pub use backends::{Guarantee, Guarantees, VARIANTS, Variant};
pub use handle::Handle;
pub use layout::Layout;
pub use owned::Owned;
pub use payload::Payload;
pub use place::{Domain, Place};
pub use slots::SlotRegistry;

use epoch::EpochDomain;
use epoch::policy;

/// The default: eras.
pub type Slots<T> = Owned<SlotRegistry<EpochDomain<policy::Era, T>>>;
/// Eras, with readers that have no locked instruction.
pub type SlotsBarrier<T> = Owned<SlotRegistry<EpochDomain<policy::PlainEra, T>>>;
/// Plain epochs.
pub type SlotsEpoch<T> = Owned<SlotRegistry<EpochDomain<policy::Epoch, T>>>;
/// Hazard pointers.
pub type SlotsHazard<T> = Owned<SlotRegistry<EpochDomain<policy::Hazard, T>>>;
/// A split reference count in the slot's word.
pub type Counted<T> = Owned<counted::Counted<T>>;
/// A count for each reader and a second look, as the kernel has it.
pub type TypeStable<T> = Owned<SlotRegistry<type_stable::Counts<T>>>;
/// The proposal of 2013: one mutex over a chained hash table.
pub type Mutex<T> = Owned<mutex::Mutex<T>>;
/// One mutex over the descriptor table.
pub type MutexSlots<T> = Owned<mutex_slots::MutexSlots<T>>;

/// Parts that backends are made of, for backends in other crates. They may change with any version.
#[doc(hidden)]
pub mod parts {
    pub use crate::backends::{SHARDED, SLOTS_CROSSBEAM, SNAPSHOT};
    pub use crate::domain::Domain;
    pub use crate::entry::{Entry, Slot, Steps};
    pub use crate::node::{List, Node};
    pub use crate::owned::Empty;
    pub use crate::sizes::BATCH;
    pub use crate::slab::Slab;
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

use core::ptr::NonNull;

/// The kernel's `SO_COOKIE` of a socket: 64 bits that it never gives to another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SocketId(pub u64);

/// Reason that an entry could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InsertError {
    /// The descriptor has an entry (guarantee G).
    Occupied,
    /// The descriptor is negative or above what the table can hold.
    OutOfRange,
    /// No memory for another record (`ENOBUFS`).
    Exhausted,
    /// This is a vfork child, which must leave its parent's registry alone (guarantee J).
    Foreign,
}

/// An entry taken out of the registry while a call decides whether its descriptor is closed
/// (guarantee I). Plain data without a destructor: it is carried across a real libc call and ends
/// in [`Registry::restore`] or [`Registry::discard`].
#[must_use = "a detached entry must be restored or discarded"]
#[derive(Debug)]
pub struct Detached(NonNull<()>);

impl Detached {
    /// The entry that a backend knows by `entry`.
    ///
    /// # Safety
    /// The backend has just detached it.
    pub unsafe fn from_raw(entry: NonNull<()>) -> Detached {
        Detached(entry)
    }

    /// The mark that the backend knows the entry by.
    pub fn into_raw(self) -> NonNull<()> {
        self.0
    }
}

/// The registry: descriptor -> record.
///
/// # Safety
/// An implementation keeps every guarantee that its [`Variant`] does not list as missing.
pub unsafe trait Registry: Sync + Sized {
    /// Target of an entry.
    type Payload: Payload;

    /// The backend's name, and which of the lettered guarantees it gives.
    const VARIANT: &'static Variant;

    /// Places of its entries, if another process can read them.
    const LAYOUT: Option<Layout> = None;

    /// Tells whether this process may change the registry; a vfork child may not (guarantee J).
    /// Makes a system call.
    fn may_change(&self) -> bool {
        true
    }

    /// Tells whether `fd` has an entry. Takes no guard and writes nothing.
    fn contains(&self, fd: i32) -> bool {
        self.borrow(fd, |_| ()).is_some()
    }

    /// Makes `fd` name a new record of the socket `cookie`.
    fn insert(&self, fd: i32, cookie: SocketId) -> Result<(), InsertError>;

    /// Calls `read` with the record of `fd`, without touching its count. `read` is short and makes
    /// no blocking call. A miss writes nothing.
    fn borrow<S>(&self, fd: i32, read: impl FnOnce(&Self::Payload) -> S) -> Option<S>;

    /// Raises the count of the record of `fd` (guarantee C); gives the record. The reference ends in
    /// [`Registry::release`].
    fn acquire(&self, fd: i32) -> Option<NonNull<Self::Payload>>;

    /// Gives up a counted reference (guarantees D, E).
    ///
    /// # Safety
    /// The reference came from [`Registry::acquire`] of this registry, and is given up once.
    unsafe fn release(&self, record: NonNull<Self::Payload>);

    /// Gives the record of a counted reference. A backend over nodes goes by the node, so that a
    /// model sees the read.
    ///
    /// # Safety
    /// The reference came from [`Registry::acquire`] of this registry, and lasts while the record is
    /// used.
    #[inline(always)]
    unsafe fn record(&self, record: NonNull<Self::Payload>) -> &Self::Payload {
        // SAFETY: the count keeps the record.
        unsafe { record.as_ref() }
    }

    /// A counted reference to the record of `fd`.
    #[inline(always)]
    fn lookup(&self, fd: i32) -> Option<Handle<'_, Self>> {
        let record = self.acquire(fd)?;
        // SAFETY: just raised.
        Some(unsafe { Handle::from_raw(self, record) })
    }

    /// Forgets `fd`; says whether it had an entry.
    fn remove(&self, fd: i32) -> bool;

    /// Forgets `fd` if it names `record` itself, of which the caller holds a counted reference; says
    /// whether it did. An entry that another caller has made meanwhile stays.
    fn remove_if(&self, fd: i32, record: &Self::Payload) -> bool;

    /// Takes the entry of `fd` out for the time of a call that may close it.
    fn detach(&self, fd: i32) -> Option<Detached>;

    /// Puts a detached entry back: the call failed and `fd` is still open. If another entry has
    /// come meanwhile, that one stays and the detached one is discarded.
    fn restore(&self, fd: i32, entry: Detached);

    /// Gives a detached entry up: the call succeeded.
    fn discard(&self, entry: Detached);

    /// Makes `target` name the record that `source` names, or nothing if `source` names none.
    /// Whatever `target` named before is forgotten. Says whether `target` names a record now.
    fn duplicate(&self, source: i32, target: i32) -> Result<bool, InsertError>;

    /// Replaces the record of `fd`, in every descriptor that names it, by a fresh one of the same
    /// socket: `connect(AF_UNSPEC)` has dissolved the connection (guarantee A forbids to edit it).
    /// Says whether `fd` has an entry. Errors: `Exhausted`, and then all of them name nothing, which
    /// is better than a dissolved connection; `Foreign`.
    fn supersede(&self, fd: i32) -> Result<bool, InsertError>;

    /// Called in the child after `fork`.
    fn after_fork_in_child(&self);
}
