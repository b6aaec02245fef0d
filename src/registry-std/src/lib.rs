//! Backends of [`epochsocks_registry`] that need the standard library and the host's malloc.
//!
//! They are peers to compare with: each lacks guarantees, as its [`Variant`] says. `sharded` is over DashMap,
//! `snapshot` over arc-swap, `slots_crossbeam` over crossbeam-epoch.
//!
//! [`Variant`]: epochsocks_registry::Variant

mod sharded;
mod slots_crossbeam;
mod snapshot;

use epochsocks_registry::{Owned, SlotRegistry};

#[doc(hidden)]
pub use sharded::DescriptorHasher;

/// DashMap, whose shards have a lock each, with frees deferred by crossbeam-epoch.
pub type Sharded<T> = Owned<sharded::Sharded<T>>;
/// A copy-on-write map behind arc-swap.
pub type Snapshot<T> = Owned<snapshot::Snapshot<T>>;
/// The descriptor table over crossbeam-epoch.
pub type SlotsCrossbeam<T> = Owned<SlotRegistry<slots_crossbeam::Crossbeam<T>>>;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
