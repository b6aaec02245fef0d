//! loom models of the lock-free pieces, each with twins in which a mistake is planted that loom must
//! find. `tests/loom` runs them.
//!
//! What they cover: every interleaving with a bounded number of preemptions, and the weak orderings
//! of C++11 except those that SeqCst accesses have and fences don't. A record's memory is modelled:
//! a read that races with its next life is found even where the values look right.

use std::sync::atomic::Ordering::SeqCst;

use loom::sync::Arc;
use loom::thread;

use super::epoch::EpochDomain;
use super::epoch::policy::{Epoch, Era, Hazard, Policy};
use super::node::{List, Node};
use super::primitive::{ALIVE, AtomicU64, Bug, plant, set_home};
use super::slab::Slab;
use super::{Cookie, Registry, SlotRegistry, Variant};

type Model<P> = SlotRegistry<EpochDomain<P>>;

fn registry<P: Policy>() -> Arc<Model<P>> {
    ALIVE.store(0, SeqCst);
    Arc::new(SlotRegistry::over(EpochDomain::new()))
}

/// Runs a model in every interleaving, without bugs.
pub(crate) fn holds(model: impl Fn() + Sync + Send + 'static) {
    check(&[], model);
}

fn check(bugs: &'static [Bug], model: impl Fn() + Sync + Send + 'static) {
    let _one_at_a_time = RUNNING.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    plant(bugs);
    loom::model(model);
}

static RUNNING: std::sync::Mutex<()> = std::sync::Mutex::new(());

/// Runs a model with mistakes planted: some interleaving must fail.
pub(crate) fn fails(bugs: &'static [Bug], model: impl Fn() + Sync + Send + 'static) {
    let run = std::panic::AssertUnwindSafe(move || check(bugs, model));
    assert!(std::panic::catch_unwind(run).is_err(), "the planted mistake was not found");
}

/// Runs in a second thread while the model's own goes on.
fn beside<P: Policy>(
    registry: &Arc<Model<P>>,
    work: impl FnOnce(&Model<P>) + Send + 'static,
) -> thread::JoinHandle<()> {
    let registry = Arc::clone(registry);
    thread::spawn(move || {
        set_home(1);
        work(&registry);
    })
}

/// Retires until nothing that is free can be left in limbo, and counts what is alive.
fn alive_at_rest<P: Policy>(registry: &Model<P>) -> isize {
    // A second round for what a freed record kept.
    for home in [0, 1, 0, 1] {
        set_home(home);
        registry.insert(3, Cookie(99)).expect("an unused descriptor");
        registry.remove(3);
    }
    ALIVE.load(SeqCst)
}

/// F: a reader that meets the reuse of its record's memory.
fn read_while_reused<P: Policy>() {
    let registry = registry::<P>();
    registry.insert(0, Cookie(10)).expect("vacant");
    let reader = beside(&registry, |registry| {
        if let Some(cookie) = registry.borrow(0, |record| record.cookie().0) {
            assert!((10..13).contains(&cookie));
        }
    });
    for cookie in [11, 12] {
        registry.remove(0);
        registry.insert(0, Cookie(cookie)).expect("vacant");
    }
    registry.remove(0);
    reader.join().expect("no panic");
    assert_eq!(alive_at_rest(&registry), 0, "every record is freed");
}

/// C, E: a handle outlives its guard and the entry.
fn count_while_removed<P: Policy>() {
    let registry = registry::<P>();
    registry.insert(0, Cookie(10)).expect("vacant");
    let reader = beside(&registry, |registry| {
        if let Some(handle) = registry.lookup(0) {
            registry.contains(0);
            assert_eq!(handle.cookie(), Cookie(10));
        }
    });
    registry.remove(0);
    registry.insert(1, Cookie(11)).expect("vacant");
    registry.remove(1);
    reader.join().expect("no panic");
    assert_eq!(alive_at_rest(&registry), 0, "every record is freed");
}

/// G: of two inserts one wins.
fn insert_twice() {
    let registry = registry::<Era>();
    let other = beside(&registry, |registry| {
        let _ = registry.insert(0, Cookie(10));
    });
    let _ = registry.insert(0, Cookie(11));
    other.join().expect("no panic");
    assert!(registry.remove(0));
    assert!(!registry.remove(0));
    assert_eq!(alive_at_rest(&registry), 0, "the loser's record is freed, too");
}

/// D, E: a duplicate made while its source goes away has the record, or nothing.
fn duplicate_while_removed<P: Policy>() {
    let registry = registry::<P>();
    registry.insert(0, Cookie(10)).expect("vacant");
    let other = beside(&registry, |registry| {
        registry.duplicate(0, 1).expect("memory");
    });
    registry.remove(0);
    other.join().expect("no panic");
    alive_at_rest(&registry);
    if let Some(cookie) = registry.borrow(1, |record| record.cookie()) {
        assert_eq!(cookie, Cookie(10));
        registry.remove(1);
    }
    assert_eq!(alive_at_rest(&registry), 0, "the record is freed once");
}

/// A: a duplicate made while the connection is dissolved doesn't keep the old record.
fn duplicate_while_superseded() {
    let registry = registry::<Era>();
    registry.insert(0, Cookie(10)).expect("vacant");
    let other = beside(&registry, |registry| {
        registry.duplicate(0, 1).expect("memory");
    });
    assert!(registry.supersede(0));
    other.join().expect("no panic");
    let first = registry.lookup(0).expect("an entry");
    let second = registry.lookup(1).expect("an entry");
    assert!(core::ptr::eq(&*first, &*second), "both descriptors name the fresh record");
    drop((first, second));
    registry.remove(0);
    registry.remove(1);
    assert_eq!(alive_at_rest(&registry), 0, "both records are freed");
}

/// F, when every claim cell is taken for good.
fn read_without_a_cell<P: Policy>() {
    let registry = registry::<P>();
    registry.domain().abandon_all_cells();
    registry.insert(0, Cookie(10)).expect("vacant");
    let reader = beside(&registry, |registry| {
        if let Some(cookie) = registry.borrow(0, |record| record.cookie()) {
            assert!(cookie == Cookie(10) || cookie == Cookie(11));
        }
    });
    registry.remove(0);
    registry.insert(0, Cookie(11)).expect("vacant");
    registry.remove(0);
    reader.join().expect("no panic");
    assert_eq!(alive_at_rest(&registry), 0, "every record is freed");
}

/// The spill stack gives each node to one arena.
fn share_nodes() {
    let slab = Arc::new(Slab::new());
    ALIVE.store(0, SeqCst);
    for node in [take(&slab), take(&slab)] {
        node.died();
        slab.push(List::one(node.into()));
    }
    let other = Arc::clone(&slab);
    let popper = thread::spawn(move || {
        take(&other).died();
    });
    let (first, second) = (take(&slab), take(&slab));
    first.died();
    slab.push(List::one(first.into()));
    take(&slab).died();
    popper.join().expect("no panic");
    second.died();
}

/// A node of the slab, alive.
fn take(slab: &Slab) -> &'static Node {
    let mut list = List::new();
    slab.refill(&mut list);
    let node = list.pop().expect("memory");
    // SAFETY: nodes are never unmapped.
    let node = unsafe { node.as_ref() };
    node.revive(Cookie(0), 0);
    node
}

/// A policy that a reclaimer pays no attention to.
struct Disregarded;

impl Policy for Disregarded {
    const VARIANT: &'static Variant = Era::VARIANT;
    const TICKS: bool = true;
    const WATCHES_GENERATION: bool = false;

    fn word(clock: &AtomicU64, node: *const Node) -> u64 {
        Era::word(clock, node)
    }

    fn protects(word: u64, node: &Node) -> bool {
        Era::protects(word, node)
    }

    fn holds_back(_: u64, _: &Node) -> bool {
        false
    }
}

/// A policy `P` whose readers don't look whether what they found is what they protect.
struct Unvalidated<P>(P);

impl<P: Policy> Policy for Unvalidated<P> {
    const VARIANT: &'static Variant = P::VARIANT;
    const TICKS: bool = P::TICKS;
    const WATCHES_GENERATION: bool = P::WATCHES_GENERATION;

    fn word(clock: &AtomicU64, node: *const Node) -> u64 {
        P::word(clock, node)
    }

    fn protects(_: u64, _: &Node) -> bool {
        true
    }

    fn holds_back(word: u64, node: &Node) -> bool {
        P::holds_back(word, node)
    }
}

macro_rules! models {
    ($($name:ident: $outcome:ident($($argument:expr),*);)*) => {
        $(
            #[test]
            fn $name() {
                $outcome($($argument),*);
            }
        )*
    };
}

models! {
    era_protects_a_reader_from_reuse: holds(read_while_reused::<Era>);
    epoch_protects_a_reader_from_reuse: holds(read_while_reused::<Epoch>);
    hazard_protects_a_reader_from_reuse: holds(read_while_reused::<Hazard>);
    twin_free_without_epoch: fails(&[], read_while_reused::<Disregarded>);
    twin_era_without_validation: fails(&[], read_while_reused::<Unvalidated<Era>>);
    twin_hazard_without_validation: fails(&[], read_while_reused::<Unvalidated<Hazard>>);
    twin_era_without_fences: fails(&[Bug::MissingFence], read_while_reused::<Era>);
    twin_epoch_without_fences: fails(&[Bug::MissingFence], read_while_reused::<Epoch>);
    twin_hazard_without_fences: fails(&[Bug::MissingFence], read_while_reused::<Hazard>);
    twin_lost_retire: fails(&[Bug::LostRetire], read_while_reused::<Era>);

    era_keeps_a_counted_record: holds(count_while_removed::<Era>);
    hazard_keeps_a_counted_record: holds(count_while_removed::<Hazard>);
    twin_count_ignored: fails(&[Bug::IgnoredCount], count_while_removed::<Era>);

    one_of_two_inserts_wins: holds(insert_twice);
    twin_store_on_insert: fails(&[Bug::StoreOnInsert], insert_twice);

    era_duplicate_while_removed: holds(duplicate_while_removed::<Era>);
    hazard_duplicate_while_removed: holds(duplicate_while_removed::<Hazard>);
    twin_unvalidated_share: fails(&[Bug::UnvalidatedShare], duplicate_while_removed::<Era>);

    supersede_reaches_a_fresh_duplicate: holds(duplicate_while_superseded);
    twin_duplicate_not_settled: fails(&[Bug::NoSettle], duplicate_while_superseded);

    era_protects_a_reader_without_a_cell: holds(read_without_a_cell::<Era>);
    hazard_protects_a_reader_without_a_cell: holds(read_without_a_cell::<Hazard>);
    twin_overflow_ignored: fails(&[Bug::IgnoredOverflow], read_without_a_cell::<Era>);

    spill_stack_gives_each_node_once: holds(share_nodes);
    twin_spill_stack_without_tag: fails(&[Bug::NoTag], share_nodes);
}
