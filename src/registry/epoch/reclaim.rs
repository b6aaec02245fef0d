//! Retired nodes, and when they may be reused.
//!
//! A node in limbo is in no slot, so no new guard can find it. It is free when
//! 1. no reader is without a cell, and the cells that are looked at are the current ones,
//! 2. no cell's word holds it back, and then, in this order,
//! 3. its count is 1: whoever raised it did so under a guard, which step 2 has seen end.
//!
//! Every step comes after the unlinking of every node in the list (total order).

use core::mem::take;
use core::ptr::{NonNull, null_mut};
use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use super::super::node::{List, Node};
use super::super::ordering::{TotalCount, TotalOrder};
use super::super::primitive::{BATCH, Bug, ORPHANS_AT, RECLAIM_AT, planted};
use super::EpochDomain;
use super::cell::{Arena, Cell};
use super::generation::Generation;
use super::policy::{BUSY, Policy, Span};

/// Marks the nodes that a claim may protect.
fn mark_protected<P: Policy>(generation: &Generation, limbo: &List) {
    let mut span = Span::EMPTY;
    limbo.each(|node| span.add(node));
    generation.each_published(|word| {
        if P::may_hold_back(word, &span) {
            limbo.each(|node| {
                if P::holds_back(word, node) {
                    node.protected.set(true);
                }
            });
        }
    });
}

impl<P: Policy> EpochDomain<P> {
    /// A node from `free`, which is filled up when it is empty.
    #[inline]
    pub(super) fn allocate_from(&self, free: &mut List) -> Option<NonNull<Node>> {
        if free.len() == 0 {
            self.slab.refill(free);
        }
        free.pop()
    }

    /// Puts a retired node into limbo.
    #[inline]
    pub(super) fn retire_in(&self, generation: &Generation, node: NonNull<Node>) {
        let Some(cell) = generation.mutators.claim(BUSY) else {
            return self.orphan(generation, node);
        };
        // SAFETY: the claim makes the arena ours.
        let arena = unsafe { &mut *cell.arena() };
        arena.limbo.push(node);
        // When many survive, they are looked at again only when as many have come.
        if arena.limbo.len() >= arena.survivors + RECLAIM_AT.max(arena.survivors) {
            self.reclaim(generation, arena);
        }
        cell.word().release();
    }

    /// As `retire_in`, when every cell is taken.
    #[cold]
    fn orphan(&self, generation: &Generation, node: NonNull<Node>) {
        self.push_orphans(List::one(node));
        // Relaxed: an estimate of when it is worth it.
        if self.orphan_count.fetch_add(1, Relaxed) >= ORPHANS_AT {
            self.orphan_count.store(0, Relaxed);
            let mut arena = Arena::new();
            self.reclaim(generation, &mut arena);
            self.push_orphans(take(&mut arena.limbo));
            self.slab.push(arena.free);
        }
    }

    fn push_orphans(&self, mut list: List) {
        while let Some(node) = list.pop() {
            // Relaxed: the CAS decides.
            let mut top = self.orphans.load(Relaxed);
            loop {
                // SAFETY: nodes are never unmapped; this one is ours until the CAS.
                unsafe { node.as_ref() }.next.set(top);
                // Release pairs with the Acquire in `adopt_orphans`.
                match self.orphans.compare_exchange(top, node.as_ptr(), Release, Relaxed) {
                    Ok(_) => break,
                    Err(other) => top = other,
                }
            }
        }
    }

    /// Takes all the orphans into `limbo`.
    fn adopt_orphans(&self, limbo: &mut List) {
        // Relaxed: whoever misses them finds them next time.
        if self.orphans.load(Relaxed).is_null() {
            return;
        }
        // Acquire pairs with the Release in `push_orphans`. A swap of the whole stack has no ABA.
        let mut next = self.orphans.swap(null_mut(), AcqRel);
        while let Some(node) = NonNull::new(next) {
            // SAFETY: nodes are never unmapped; these are ours now.
            next = unsafe { node.as_ref() }.next.get();
            limbo.push(node);
        }
    }

    /// Frees what nobody can see any more.
    #[cold]
    fn reclaim(&self, generation: &Generation, arena: &mut Arena) {
        self.adopt_orphans(&mut arena.limbo);
        if P::TICKS {
            // So that readers from now on hold none of these back.
            self.clock.0.add_total(1);
        }
        let overflowing = generation.is_overflowing() && !planted(Bug::IgnoredOverflow);
        if !overflowing && self.is_current(generation) {
            mark_protected::<P>(generation, &arena.limbo);
            self.free_unprotected(arena);
        }
        arena.survivors = arena.limbo.len();
        while arena.free.len() >= 3 * BATCH {
            self.slab.spill(&mut arena.free);
        }
    }

    fn free_unprotected(&self, arena: &mut Arena) {
        let mut retired = take(&mut arena.limbo);
        while let Some(node) = retired.pop() {
            // SAFETY: nodes are never unmapped; this one belongs to the list.
            let dead = unsafe { node.as_ref() };
            if dead.protected.replace(false) || !dead.is_unreferenced() {
                arena.limbo.push(node);
                continue;
            }
            self.give_up_successor(dead, arena);
            dead.died();
            arena.free.push(node);
        }
    }

    /// The freed node's hold on its successor ends.
    fn give_up_successor(&self, dead: &Node, arena: &mut Arena) {
        // Acquire pairs with `supersede`.
        let Some(next) = NonNull::new(dead.successor.load(Acquire)) else { return };
        // SAFETY: nodes are never unmapped; the dead node's slot count is ours.
        let successor = unsafe { next.as_ref() };
        if successor.drop_slot() {
            successor.retired.set(self.clock.0.load_total());
            arena.limbo.push(next);
        }
    }
}
