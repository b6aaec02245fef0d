//! The list of backends: nowhere else is one named that is not about that one.
//!
//! The preload library and its build script, `src/preload/build-variants`, `make`, the launcher and
//! the suites of tests read it.

/// One of the guarantees that the [registry](super) states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Guarantee {
    A,
    B,
    C,
    D,
    E,
    F,
    G,
    H,
    I,
    J,
}

/// Guarantees that a backend lacks, each letter with the reason; it gives all the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guarantees {
    /// The missing ones, each with a sentence for the user.
    pub missing: &'static [(Guarantee, &'static str)],
}

impl Guarantees {
    /// Every guarantee.
    pub const ALL: Guarantees = Guarantees { missing: &[] };

    /// Says whether `letter` is given.
    pub fn has(self, letter: Guarantee) -> bool {
        self.missing.iter().all(|(missing, _)| *missing != letter)
    }
}

/// A backend as it is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variant {
    /// Name that a user writes.
    pub name: &'static str,
    /// Description in a few words.
    pub role: &'static str,
    /// Guarantees that it gives.
    pub guarantees: Guarantees,
    /// True if it is of the crate `epochsocks-registry-std`.
    pub needs_std: bool,
}

impl Variant {
    /// The variant with this name.
    pub fn find(name: &str) -> Option<&'static Variant> {
        VARIANTS.iter().copied().find(|variant| variant.name == name)
    }
}

/// Hands `$reader`, behind `$first`, a row for each backend, the default first: those of this crate in one pair of braces,
/// those of `epochsocks-registry-std` in another. A row: a name for code, its [`Variant`], its name, its
/// type, and in braces what it is for and the guarantees that it lacks.
#[doc(hidden)]
#[macro_export]
macro_rules! for_each_backend { ($reader:ident $($first:tt)*) => { $reader! {
    $($first)*
    {
        slots SLOTS "slots" ($crate::Slots) {
            "epochs, with eras: the default" []
        }
        slots_barrier SLOTS_BARRIER "slots-barrier" ($crate::SlotsBarrier) {
            "readers without a locked instruction: who frees makes all threads pass a barrier" []
        }
        slots_epoch SLOTS_EPOCH "slots-epoch" ($crate::SlotsEpoch) {
            "plain epochs: one stopped reader keeps all memory from being reused" []
        }
        slots_hazard SLOTS_HAZARD "slots-hazard" ($crate::SlotsHazard) {
            "hazard pointers over the same table" []
        }
        counted COUNTED "counted" ($crate::Counted) {
            "a split reference count in the slot, no epochs" []
        }
        type_stable TYPE_STABLE "type-stable" ($crate::TypeStable) {
            "a count for each reader and a second look, as the kernel's fget, no epochs" []
        }
        mutex MUTEX "mutex" ($crate::Mutex) {
            "the 2013 proposal: one mutex over a chained hash table"
            [LOCK_IN_HANDLER, LOCK_AT_FORK]
        }
        mutex_slots MUTEX_SLOTS "mutex-slots" ($crate::MutexSlots) {
            "one mutex over the descriptor table: what locking alone costs"
            [LOCK_IN_HANDLER, LOCK_AT_FORK]
        }
    }
    {
        sharded SHARDED "sharded" (epochsocks_registry_std::Sharded) {
            "DashMap with frees deferred by crossbeam-epoch" [SHARD_IN_HANDLER, SHARD_AT_FORK]
        }
        snapshot SNAPSHOT "snapshot" (epochsocks_registry_std::Snapshot) {
            "a copy-on-write map behind arc-swap: for reads only" [COPY_IN_HANDLER, MALLOC_AT_FORK]
        }
        slots_crossbeam SLOTS_CROSSBEAM "slots-crossbeam" (epochsocks_registry_std::SlotsCrossbeam) {
            "the descriptor table over crossbeam-epoch" [COLLECTION_IN_HANDLER, MALLOC_AT_FORK]
        }
    }
} } }

type Missing = (Guarantee, &'static str);

const LOCK_IN_HANDLER: Missing =
    (Guarantee::H, "a signal handler that interrupts a holder of the lock waits for ever");
const LOCK_AT_FORK: Missing =
    (Guarantee::J, "a child forked while another thread holds the lock waits for ever");
const SHARD_IN_HANDLER: Missing =
    (Guarantee::H, "a signal handler that interrupts a holder of a shard waits for ever");
const SHARD_AT_FORK: Missing =
    (Guarantee::J, "a child forked while another thread holds a shard waits for ever");
const COPY_IN_HANDLER: Missing =
    (Guarantee::H, "changes copy the map with malloc, which a handler may interrupt");
const COLLECTION_IN_HANDLER: Missing =
    (Guarantee::H, "crossbeam collects with malloc, which a handler may interrupt");
const MALLOC_AT_FORK: Missing = (
    Guarantee::J,
    "a child of _Fork or clone, made while another thread is in malloc, waits for ever",
);

macro_rules! variants {
    (
        { $($own:ident $variant:ident $name:literal $type:tt { $role:literal [$($lacks:ident),*] })* }
        { $($std:ident $std_variant:ident $std_name:literal $std_type:tt
            { $std_role:literal [$($std_lacks:ident),*] })* }
    ) => {
        variants! { false: $($variant $name $role [$($lacks),*])* }
        variants! { true: $($std_variant $std_name $std_role [$($std_lacks),*])* }

        /// Every backend, the default first.
        pub static VARIANTS: &[&Variant] = &[$(&$variant,)* $(&$std_variant),*];
    };
    ($needs_std:literal: $($variant:ident $name:literal $role:literal [$($lacks:ident),*])*) => { $(
        #[doc = concat!("`", $name, "`")]
        pub static $variant: Variant = Variant {
            name: $name,
            role: $role,
            guarantees: Guarantees { missing: &[$($lacks),*] },
            needs_std: $needs_std,
        };
    )* };
}
for_each_backend! { variants }

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_variant_is_found_by_its_name_only() {
        for variant in VARIANTS {
            assert_eq!(Variant::find(variant.name), Some(*variant));
        }
        assert_eq!(Variant::find("slot"), None);
    }

    #[test]
    fn the_default_lacks_nothing() {
        assert_eq!(VARIANTS[0].guarantees, Guarantees::ALL);
        assert!(!MUTEX.guarantees.has(Guarantee::H));
        assert!(MUTEX.guarantees.has(Guarantee::G));
    }
}
