//! The backends by name: what each is for, and which guarantees it lacks.

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

/// A backend as `epochsocks --registry` knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variant {
    /// Name that the user writes; also the end of the preload library's file name.
    pub name: &'static str,
    /// Description in a few words.
    pub role: &'static str,
    /// Guarantees that it gives.
    pub guarantees: Guarantees,
    /// True if it needs the feature `std`.
    pub needs_std: bool,
}

impl Variant {
    const fn new(name: &'static str, role: &'static str) -> Self {
        Variant { name, role, guarantees: Guarantees::ALL, needs_std: false }
    }

    const fn lacks(self, missing: &'static [(Guarantee, &'static str)]) -> Self {
        Variant { guarantees: Guarantees { missing }, ..self }
    }

    const fn with_std(self) -> Self {
        Variant { needs_std: true, ..self }
    }

    /// The variant with this name.
    pub fn find(name: &str) -> Option<&'static Variant> {
        VARIANTS.iter().copied().find(|variant| variant.name == name)
    }
}

const LOCK_IN_HANDLER: (Guarantee, &str) =
    (Guarantee::H, "a signal handler that interrupts a holder of the lock waits for ever");
const LOCK_AT_FORK: (Guarantee, &str) =
    (Guarantee::J, "a child forked while another thread holds the lock waits for ever");

const MALLOC_AT_FORK: (Guarantee, &str) = (
    Guarantee::J,
    "a child of _Fork or clone, made while another thread is in malloc, waits for ever",
);

/// Eras.
pub static SLOTS: Variant = Variant::new("slots", "epochs, with eras: the default");
/// Eras, with plain stores and membarrier(2).
pub static SLOTS_BARRIER: Variant = Variant::new(
    "slots-barrier",
    "readers without a locked instruction: who frees makes all threads pass a barrier",
);
/// Plain epochs.
pub static SLOTS_EPOCH: Variant = Variant::new(
    "slots-epoch",
    "plain epochs: one stopped reader keeps all memory from being reused",
);
/// Hazard pointers.
pub static SLOTS_HAZARD: Variant =
    Variant::new("slots-hazard", "hazard pointers over the same table");
/// Split reference counts.
pub static COUNTED: Variant =
    Variant::new("counted", "a split reference count in the slot, no epochs");
/// The proposal.
pub static MUTEX: Variant =
    Variant::new("mutex", "the 2013 proposal: one mutex over a chained hash table")
        .lacks(&[LOCK_IN_HANDLER, LOCK_AT_FORK]);
/// The proposal's mutex over the descriptor table.
pub static MUTEX_SLOTS: Variant =
    Variant::new("mutex-slots", "one mutex over the descriptor table: what locking alone costs")
        .lacks(&[LOCK_IN_HANDLER, LOCK_AT_FORK]);
/// DashMap and crossbeam-epoch.
pub static SHARDED: Variant =
    Variant::new("sharded", "DashMap with frees deferred by crossbeam-epoch")
        .lacks(&[
            (Guarantee::H, "a signal handler that interrupts a holder of a shard waits for ever"),
            (Guarantee::J, "a child forked while another thread holds a shard waits for ever"),
        ])
        .with_std();
/// arc-swap.
pub static SNAPSHOT: Variant =
    Variant::new("snapshot", "a copy-on-write map behind arc-swap: for reads only")
        .lacks(&[
            (Guarantee::H, "changes copy the map with malloc, which a handler may interrupt"),
            MALLOC_AT_FORK,
        ])
        .with_std();
/// crossbeam-epoch.
pub static SLOTS_CROSSBEAM: Variant =
    Variant::new("slots-crossbeam", "the descriptor table over crossbeam-epoch")
        .lacks(&[
            (Guarantee::H, "crossbeam collects with malloc, which a handler may interrupt"),
            MALLOC_AT_FORK,
        ])
        .with_std();

/// Every backend, the default first.
pub static VARIANTS: [&Variant; 10] = [
    &SLOTS,
    &SLOTS_BARRIER,
    &SLOTS_EPOCH,
    &SLOTS_HAZARD,
    &COUNTED,
    &MUTEX,
    &MUTEX_SLOTS,
    &SHARDED,
    &SNAPSHOT,
    &SLOTS_CROSSBEAM,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_variant_is_found_by_its_name_only() {
        for variant in VARIANTS {
            assert_eq!(Variant::find(variant.name), Some(variant));
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
