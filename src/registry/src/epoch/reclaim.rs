//! Retired nodes, and when they may be reused.
//!
//! A node in limbo is in no slot, so no new guard can find it. It is free when
//! 1. no reader is without a cell, and the cells that are looked at are the current ones,
//! 2. no cell's word holds it back, and then, in this order,
//! 3. its count is 1: the thread that raised it did so under a guard, which step 2 has seen end.
//!
//! Every step comes after the unlinking of every node in the list (total order).

use core::mem::take;
use core::ptr::{NonNull, null_mut};
use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use super::super::entry::{Entry, Slot, Steps};
use super::super::node::{List, Node};
use super::super::{InsertError, Payload, SocketId};
use super::EpochDomain;
use super::cell::{Arena, Cell, Mutator};
use super::generation::Generation;
use super::policy::{BUSY, Policy, Span};
use crate::atomics::barrier;
use crate::atomics::mutant::mutant;
use crate::atomics::ordering::{TotalCount, TotalOrder};
use crate::sizes::{BATCH, ORPHANS_AT, RECLAIM_AT};

/// Marks the nodes that a claim may protect.
fn mark_protected<P: Policy, T>(generation: &Generation<T>, limbo: &List<T>) {
    // Most often no thread has published anything.
    let mut span = None;
    generation.each_published(|word| {
        if P::may_hold_back(word, span.get_or_insert_with(|| Span::of(limbo))) {
            limbo.each(|node| {
                if P::holds_back(word, node) {
                    node.protected.set(true);
                }
            });
        }
    });
}

impl<P: Policy, T: Payload> EpochDomain<P, T> {
    /// A node from `free`, which is filled up when it is empty.
    #[inline]
    pub(super) fn allocate_from(&self, free: &mut List<T>) -> Option<NonNull<Node<T>>> {
        if free.length() == 0 {
            self.slab.refill(free);
        }
        free.pop()
    }

    /// Lets `slot`, which was seen to say `seen`, name a new record, and retires what a removal had
    /// left there. The claim of `cell` is the caller's, and ends here.
    ///
    /// Handles the common case without a call, so that few registers are saved on the stack;
    /// `insert_slowly` does the rest.
    #[inline(always)]
    pub(super) fn insert_quickly(
        &self,
        generation: &Generation<T>,
        cell: &Mutator<T>,
        slot: &Slot<T>,
        seen: Entry<T>,
        cookie: SocketId,
    ) -> Result<(), InsertError> {
        // SAFETY: the claim makes the arena ours.
        let arena = unsafe { &mut *cell.arena() };
        let is_noted = seen != Entry::EMPTY || arena.noted.push(slot);
        let node = if is_noted { arena.free.pop() } else { None };
        let Some(node) = node else {
            return self.insert_slowly(generation, cell, slot, seen, cookie);
        };
        // SAFETY: nodes are never unmapped; this one is ours.
        unsafe { node.as_ref() }.revive(cookie, self.clock.0.load_total());
        // Total order: releases the record to `protect`, and is one point of the order in which
        // guards publish and validate.
        if let Err(other) = slot.step(seen, Entry::young(node)) {
            arena.give_back(node);
            return self.insert_slowly(generation, cell, slot, other, cookie);
        }
        if let Some(left) = seen.left() {
            // SAFETY: the slot's count, which is ours, keeps the node until here.
            let sole = unsafe { left.as_ref() }.is_sole();
            if !sole || arena.limbo.length() >= arena.patience || !self.may_retire(left) {
                return self.retire_left(generation, cell, left);
            }
            self.push_retired(arena, left);
        }
        cell.word().release();
        Ok(())
    }

    /// As `insert_quickly`, whatever there is to be done first.
    #[cold]
    pub(super) fn insert_slowly(
        &self,
        generation: &Generation<T>,
        cell: &Mutator<T>,
        slot: &Slot<T>,
        mut seen: Entry<T>,
        cookie: SocketId,
    ) -> Result<(), InsertError> {
        // SAFETY: the claim makes the arena ours.
        let arena = unsafe { &mut *cell.arena() };
        let inserted = loop {
            if seen.is_named() {
                break Err(InsertError::Occupied);
            }
            if seen == Entry::EMPTY && !arena.noted.push(slot) {
                self.look_again(generation, arena);
                continue;
            }
            let Some(node) = self.allocate_from(&mut arena.free) else {
                break Err(InsertError::Exhausted);
            };
            // SAFETY: nodes are never unmapped; this one is ours.
            unsafe { node.as_ref() }.revive(cookie, self.clock.0.load_total());
            mutant!(StoreOnInsert => break Ok(slot.store(Entry::young(node).word(), Release)));
            // Total order as in `insert_quickly`.
            match slot.step(seen, Entry::young(node)) {
                Ok(()) => break Ok(()),
                Err(other) => seen = other,
            }
            arena.give_back(node);
        };
        if let (Ok(()), Some(left)) = (inserted, seen.left()) {
            self.forget_in(generation, arena, left);
        }
        cell.word().release();
        inserted
    }

    /// Gives up the slot count of what a removal had left in a slot. The claim of `cell` is the
    /// caller's, and ends here.
    #[cold]
    fn retire_left(
        &self,
        generation: &Generation<T>,
        cell: &Mutator<T>,
        left: NonNull<Node<T>>,
    ) -> Result<(), InsertError> {
        // SAFETY: the claim makes the arena ours.
        self.forget_in(generation, unsafe { &mut *cell.arena() }, left);
        cell.word().release();
        Ok(())
    }

    /// Makes young entries old and takes out what removals have left.
    #[cold]
    fn look_again(&self, generation: &Generation<T>, arena: &mut Arena<T>) {
        while let Some(slot) = arena.noted.pop() {
            // SAFETY: the table's memory is never unmapped.
            let slot = unsafe { slot.as_ref() };
            let mut seen = slot.look();
            loop {
                let next = if seen.is_young() { seen.aged() } else { Entry::EMPTY };
                if seen == Entry::EMPTY || seen.is_named() && !seen.is_young() {
                    break;
                }
                mutant!(StoreOnSecondLook => break slot.store(next.word(), Release));
                match slot.step(seen, next) {
                    Ok(()) => {
                        if let Some(left) = seen.left() {
                            self.forget_in(generation, arena, left);
                        }
                        break;
                    }
                    Err(other) => seen = other,
                }
            }
        }
    }

    /// Gives up the slot count of a node that was taken out of a slot.
    fn forget_in(&self, generation: &Generation<T>, arena: &mut Arena<T>, node: NonNull<Node<T>>) {
        // SAFETY: the slot count, which the caller owns, keeps the node until here.
        if unsafe { node.as_ref() }.drop_slot() && self.may_retire(node) {
            self.retire_into(generation, arena, node);
        }
    }

    /// Tells whether the node is not from before a fork. The caller has looked at the generation
    /// before: a fork changes them the other way round.
    #[inline(always)]
    pub(super) fn may_retire(&self, node: NonNull<Node<T>>) -> bool {
        // Acquire pairs with the Release in `after_fork_in_child`. Relaxed: the node is ours.
        // SAFETY: nodes are never unmapped.
        let is_own =
            unsafe { node.as_ref() }.birth.load(Relaxed) >= self.inherited_before.load(Acquire);
        mutant!(InheritedFreed: is_own => true)
    }

    /// Puts a retired node into limbo.
    #[inline(always)]
    fn push_retired(&self, arena: &mut Arena<T>, node: NonNull<Node<T>>) {
        // Total order: after the slot was emptied.
        // SAFETY: nodes are never unmapped; the caller owns this one.
        unsafe { node.as_ref() }.retired.set(self.clock.0.load_total());
        arena.limbo.push(node);
    }

    /// As `push_retired`; frees what may be freed when there are many.
    fn retire_into(
        &self,
        generation: &Generation<T>,
        arena: &mut Arena<T>,
        node: NonNull<Node<T>>,
    ) {
        self.push_retired(arena, node);
        if arena.limbo.length() > arena.patience {
            self.reclaim(generation, arena);
        }
    }

    /// Retires a node, in an arena if one is free.
    #[inline]
    pub(super) fn retire_in(&self, generation: &Generation<T>, node: NonNull<Node<T>>) {
        let Some(cell) = generation.mutators.claim(BUSY) else {
            return self.orphan(generation, node);
        };
        // SAFETY: the claim makes the arena ours.
        self.retire_into(generation, unsafe { &mut *cell.arena() }, node);
        cell.word().release();
    }

    /// As `retire_in`, when every cell is taken.
    #[cold]
    fn orphan(&self, generation: &Generation<T>, node: NonNull<Node<T>>) {
        // Total order: after the slot was emptied.
        // SAFETY: nodes are never unmapped; the caller owns this one.
        unsafe { node.as_ref() }.retired.set(self.clock.0.load_total());
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

    fn push_orphans(&self, mut list: List<T>) {
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
    fn adopt_orphans(&self, limbo: &mut List<T>) {
        // Relaxed: a sweep that misses them finds them next time.
        if self.orphans.load(Relaxed).is_null() {
            return;
        }
        // Acquire pairs with the Release in `push_orphans`. A swap of the whole stack has no ABA.
        let mut next = self.orphans.swap(null_mut(), AcqRel);
        while let Some(node) = NonNull::new(next) {
            // SAFETY: nodes are never unmapped; these are ours now.
            next = unsafe { node.as_ref() }.next.get();
            // Those from before a fork stay for ever, as all that was inherited.
            if self.may_retire(node) {
                limbo.push(node);
            }
        }
    }

    /// Frees what no thread can see any more.
    #[cold]
    fn reclaim(&self, generation: &Generation<T>, arena: &mut Arena<T>) {
        self.adopt_orphans(&mut arena.limbo);
        if P::TICKS {
            // So that readers from now on hold none of these back.
            self.clock.0.add_total(1);
        }
        // The clock has moved, so that an epoch is at most sixteen retirements of an arena however many
        // records survive: else each reader that stops might keep as many as all before it together.
        if arena.limbo.length() <= arena.look_at {
            arena.patience = arena.limbo.length() + RECLAIM_AT - 1;
            return;
        }
        let overflowing = mutant!(IgnoredOverflow: generation.is_overflowing() => false);
        let looks = !overflowing && self.is_current(generation);
        if looks {
            if P::BARRIER && !self.sees_plain_claims(generation) {
                mutant!(RefusalIgnored: self.give_up_inherited(arena) => ());
            }
            mark_protected::<P, T>(generation, &arena.limbo);
            self.free_unprotected(arena);
        }
        // When many survive, they are looked at again only when as many have come. When no thread
        // has looked at them, it costs nothing to ask soon again whether one may.
        let survivors = arena.limbo.length();
        let more = if looks { RECLAIM_AT.max(survivors) } else { RECLAIM_AT };
        arena.look_at = survivors + more - 1;
        arena.patience = survivors + RECLAIM_AT - 1;
        while arena.free.length() >= 3 * BATCH {
            self.slab.spill(&mut arena.free);
        }
    }

    /// Makes sure that the words of all claims can be seen, those that are plain stores, too. `false`: no
    /// barrier is to be had; then plain claims protect only what was born before `inherited_before`.
    fn sees_plain_claims(&self, generation: &Generation<T>) -> bool {
        if !generation.has_placed() {
            return true;
        }
        if !generation.is_refused() {
            // Pairs with `barrier::here` in `Placed::claim`.
            if barrier::everywhere() {
                return true;
            }
            self.end_plain_claims(generation);
        }
        false
    }

    /// The kernel lets no barrier pass any more, as a filter was installed. A reader may have found that
    /// its place has a cell, and claim it by a plain store at whatever time: all that it may protect then
    /// stays for ever. Others may do this at the same time.
    #[cold]
    fn end_plain_claims(&self, generation: &Generation<T>) {
        // Relaxed: a hint for a later generation.
        self.barrier_refused.store(1, Relaxed);
        if mutant!(PlacesKeepCells: true => false) {
            generation.disown_all();
        }
        // Total order: a reader with this epoch or a later one finds that its place has no cell. So a
        // plain claim has an earlier one, and protects only what was born by then.
        let first = self.clock.0.add_total(1) + 1;
        // AcqRel pairs with the Acquire in `may_retire`.
        self.inherited_before.fetch_max(first, AcqRel);
        generation.refuse();
    }

    /// Lets nodes that plain claims may protect stay for ever.
    fn give_up_inherited(&self, arena: &mut Arena<T>) {
        let mut retired = take(&mut arena.limbo);
        while let Some(node) = retired.pop() {
            if self.may_retire(node) {
                arena.limbo.push(node);
            }
        }
    }

    fn free_unprotected(&self, arena: &mut Arena<T>) {
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
    fn give_up_successor(&self, dead: &Node<T>, arena: &mut Arena<T>) {
        let Some(next) = dead.kept_successor() else { return };
        // SAFETY: nodes are never unmapped; the dead node's slot count is ours.
        let successor = unsafe { next.as_ref() };
        if successor.drop_slot() {
            successor.retired.set(self.clock.0.load_total());
            arena.limbo.push(next);
        }
    }
}
