//! J: the switch of generations, beside a thread of the child that goes on in the cells from before it: a
//! child may have threads before it finds out that it is one.

use core::hint::black_box;

use super::{Slots, Subject, alive_at_rest, beside, registry};
use crate::atomics::models::{fails, holds, models};
use crate::atomics::mutant::Mutant;
use crate::atomics::set_home;
use crate::epoch::policy::{Epoch, Era, Hazard, Policy};
use crate::{Payload, Registry, SocketId};

/// Makes a record of descriptor 0, and gives the arena of this thread so many free nodes that it hands the
/// next one to the others.
fn fill_arena<P: Policy + Send>(registry: &Slots<P>) {
    for fd in [1, 2, 3, 0] {
        registry.insert(fd, SocketId(10)).expect("vacant");
    }
    for fd in [1, 2, 3] {
        registry.remove(fd);
    }
}

/// F: a thread that has looked up the parent's cells takes out and retires there what a reader protects
/// in a cell of the child's.
fn reclaim_in_an_arena_from_before<P: Policy + Send>() {
    let registry = registry::<Slots<P>>();
    fill_arena(&registry);
    // The arena has the slot yet to look at again.
    registry.remove(0);
    let child = beside(&registry, |registry| {
        registry.after_fork_in_child();
        registry.insert(0, SocketId(11)).expect("vacant");
        registry.borrow(0, |record| {
            registry.remove(0);
            // Lets loom have the other thread's removal of what is left in the slot before the insert.
            registry.contains(0);
            registry.insert(2, SocketId(12)).expect("vacant");
            assert_eq!(black_box(record).id(), SocketId(11), "a guarded record stays");
        });
    });
    registry.insert(1, SocketId(13)).expect("vacant");
    child.join().expect("no panic");
}

/// F: a reader has looked up the parent's cells when a record of the child's comes and goes.
fn read_in_a_cell_from_before<P: Policy + Send>() {
    let registry = registry::<Slots<P>>();
    registry.insert(0, SocketId(10)).expect("vacant");
    read_beside_the_switch(&registry);
}

/// The same, of a reader without a cell.
fn read_without_a_cell_from_before<P: Policy + Send>() {
    let registry = registry::<Slots<P>>();
    registry.insert(0, SocketId(10)).expect("vacant");
    registry.domain().abandon_all_cells();
    read_beside_the_switch(&registry);
}

fn read_beside_the_switch<P: Policy + Send>(registry: &loom::sync::Arc<Slots<P>>) {
    let reader = beside(registry, |registry| {
        if let Some(id) = registry.borrow(0, |record| record.id()) {
            assert!(id == SocketId(10) || id == SocketId(11));
        }
    });
    registry.after_fork_in_child();
    registry.remove(0);
    registry.insert(0, SocketId(11)).expect("vacant");
    registry.remove(0);
    registry.sweep();
    registry.insert(1, SocketId(12)).expect("vacant");
    registry.remove(1);
    reader.join().expect("no panic");
    assert_eq!(alive_at_rest(&**registry), 1, "all but what was inherited is freed");
}

/// The same, where the child's record has the memory of one that was freed before the fork.
fn read_reused_memory_in_a_cell_from_before<P: Policy + Send>() {
    let registry = registry::<Slots<P>>();
    set_home(1);
    fill_arena(&registry);
    set_home(0);
    let child = beside(&registry, |registry| {
        registry.remove(0);
        registry.sweep();
        registry.after_fork_in_child();
        registry.insert(0, SocketId(11)).expect("vacant");
        registry.remove(0);
        registry.sweep();
        registry.insert(0, SocketId(12)).expect("vacant");
    });
    if let Some(id) = registry.borrow(0, |record| record.id()) {
        assert!((10..13).contains(&id.0));
    }
    child.join().expect("no panic");
}

/// J: the thread that switches has a guard from before, while another removes that record.
fn remove_what_was_inherited<P: Policy + Send>() {
    let registry = registry::<Slots<P>>();
    registry.insert(0, SocketId(10)).expect("vacant");
    let mut other = None;
    registry.borrow(0, |record| {
        other = Some(beside(&registry, |registry| {
            registry.remove(0);
            registry.sweep();
            registry.insert(1, SocketId(11)).expect("vacant");
        }));
        registry.after_fork_in_child();
        assert_eq!(black_box(record).id(), SocketId(10), "an inherited record stays");
    });
    other.expect("a thread").join().expect("no panic");
}

models! {
    era_reclaims_nothing_in_an_arena_from_before: holds(reclaim_in_an_arena_from_before::<Era>);
    epoch_reclaims_nothing_in_an_arena_from_before:
        holds(reclaim_in_an_arena_from_before::<Epoch>);
    hazard_reclaims_nothing_in_an_arena_from_before:
        holds(reclaim_in_an_arena_from_before::<Hazard>);
    twin_era_reclaims_in_an_arena_from_before:
        fails(&[Mutant::SwitchIgnored], reclaim_in_an_arena_from_before::<Era>);
    twin_epoch_reclaims_in_an_arena_from_before:
        fails(&[Mutant::SwitchIgnored], reclaim_in_an_arena_from_before::<Epoch>);
    twin_hazard_reclaims_in_an_arena_from_before:
        fails(&[Mutant::SwitchIgnored], reclaim_in_an_arena_from_before::<Hazard>);

    era_reads_nothing_of_the_childs_in_a_cell_from_before: holds(read_in_a_cell_from_before::<Era>);
    epoch_reads_nothing_of_the_childs_in_a_cell_from_before:
        holds(read_in_a_cell_from_before::<Epoch>);
    twin_epoch_reads_in_a_cell_from_before:
        fails(&[Mutant::SwitchIgnored], read_in_a_cell_from_before::<Epoch>);
    era_reads_nothing_of_the_childs_without_a_cell_from_before:
        holds(read_without_a_cell_from_before::<Era>);
    twin_era_reads_without_a_cell_from_before:
        fails(&[Mutant::SwitchIgnored], read_without_a_cell_from_before::<Era>);

    hazard_reads_no_reused_memory_in_a_cell_from_before:
        holds(read_reused_memory_in_a_cell_from_before::<Hazard>);
    twin_hazard_reads_reused_memory_in_a_cell_from_before:
        fails(&[Mutant::SwitchIgnored], read_reused_memory_in_a_cell_from_before::<Hazard>);

    era_keeps_what_was_inherited: holds(remove_what_was_inherited::<Era>);
    twin_era_frees_what_was_inherited:
        fails(&[Mutant::InheritedFreed], remove_what_was_inherited::<Era>);
}
