//! The registries: one file each, or one for a family.

mod array;
// build.rs tells which of their libraries are installed.
#[cfg(any(urcu_memb, urcu_bp, ck, ck_hp))]
mod c_peer;
mod crossbeam;
mod haphazard;
mod ours;
mod papaya;
mod scc;
mod seize;
mod sharded_slab;
mod shared;

pub use shared::count_frees;

use super::measured::Measured;
use super::subject::Kind;

/// A registry of the list.
#[derive(Clone, Copy)]
pub struct Backend {
    /// [`Kind::NAME`].
    pub name: &'static str,
    /// [`Kind::ROLE`].
    pub role: &'static str,
    /// [`Kind::ALLOCATOR`].
    pub allocator: &'static str,
    /// Makes one.
    pub new: fn() -> Box<dyn Measured>,
}

fn boxed<S: Kind>() -> Box<dyn Measured> {
    Box::new(S::new())
}

const fn backend<S: Kind>() -> Backend {
    Backend { name: S::NAME, role: S::ROLE, allocator: S::ALLOCATOR, new: boxed::<S> }
}

/// Backend that all others are compared with.
pub const BASELINE: &str = "mutex";

/// Every registry, in the report's order; the baseline is the first.
pub const ALL: &[Backend] = &[
    backend::<ours::Mutex>(),
    backend::<ours::Slots>(),
    backend::<ours::SlotsChecked>(),
    backend::<ours::SlotsBarrier>(),
    backend::<ours::SlotsEpoch>(),
    backend::<ours::SlotsHazard>(),
    backend::<ours::Counted>(),
    backend::<ours::TypeStable>(),
    backend::<ours::MutexSlots>(),
    backend::<ours::Sharded>(),
    backend::<ours::Snapshot>(),
    backend::<ours::SlotsCrossbeam>(),
    #[cfg(urcu_memb)]
    backend::<c_peer::UrcuMemb>(),
    #[cfg(urcu_bp)]
    backend::<c_peer::UrcuBp>(),
    #[cfg(ck)]
    backend::<c_peer::Ck>(),
    #[cfg(ck_hp)]
    backend::<c_peer::CkHp>(),
    backend::<haphazard::Haphazard>(),
    backend::<sharded_slab::ShardedSlab>(),
    backend::<papaya::Papaya>(),
    backend::<scc::Scc>(),
    backend::<seize::Seize>(),
    backend::<crossbeam::Crossbeam>(),
    backend::<array::Array>(),
];

/// Name and role of the peers in C, also where their headers are missing.
pub const C_PEERS: [(&str, &str); 4] = [
    ("urcu-memb", "external: liburcu's lfht, membarrier flavour, a call_rcu worker a processor"),
    (
        "urcu-bp",
        "external: liburcu's lfht, flavour without registration, a call_rcu worker a processor",
    ),
    ("ck", "external: ck_ht with ck_epoch, writers behind a spinlock, looks at 64 deferred frees"),
    ("ck-hp", "external: ck's hazard pointers under a plain array"),
];

/// Name, role and allocator of every registry in the report's order, whichever are built.
pub fn described() -> Vec<[&'static str; 3]> {
    let in_c = |name: &str| C_PEERS.iter().any(|peer| peer.0 == name);
    let rest = ALL.iter().filter(|backend| !in_c(backend.name));
    let mut all: Vec<_> = rest.map(|it| [it.name, it.role, it.allocator]).collect();
    let first = all.iter().position(|it| it[1].starts_with("external")).unwrap_or(all.len());
    all.splice(first..first, C_PEERS.map(|(name, role)| [name, role, "malloc"]));
    all
}

/// The registry called `name`.
pub fn find(name: &str) -> Option<&'static Backend> {
    ALL.iter().find(|backend| backend.name == name)
}

/// Backends that are missing here, with the reasons.
pub fn left_out() -> Vec<String> {
    let mut notes = Vec::new();
    if cfg!(not(urcu_memb)) {
        notes.push("urcu is left out: the headers of liburcu-dev are not installed".to_owned());
    }
    if cfg!(not(ck)) {
        notes.push("ck is left out: the headers of libck-dev are not installed".to_owned());
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_registry_does_what_the_workloads_rely_on() {
        for Backend { name, new, .. } in ALL {
            let subject = new();
            subject.attach();
            assert_eq!(subject.borrow(7), None, "{name}");
            assert!(subject.insert(7, 42), "{name}");
            assert!(!subject.insert(7, 43), "{name}: the second insert");
            assert_eq!((subject.borrow(7), subject.counted(7)), (Some(42), Some(42)), "{name}");
            let mut held = false;
            subject.hold(7, &mut || held = true);
            assert!(held, "{name}");
            assert!(subject.remove(7), "{name}");
            assert!(!subject.remove(7), "{name}: the second remove");
            assert_eq!((subject.borrow(7), subject.counted(7)), (None, None), "{name}");
            subject.detach();
        }
    }

    #[test]
    fn every_backend_of_this_project_is_among_them() {
        for variant in epochsocks::registry::VARIANTS {
            assert!(find(variant.name).is_some(), "{} is not measured", variant.name);
        }
    }

    #[test]
    fn the_description_does_not_depend_on_what_is_built() {
        let described = described();
        assert!(ALL.iter().all(|backend| described.iter().any(|it| it[0] == backend.name)));
        assert!(C_PEERS.iter().all(|peer| described.iter().any(|it| it[0] == peer.0)));
    }

    #[test]
    fn the_baseline_comes_first() {
        assert_eq!(ALL[0].name, BASELINE);
    }
}
