//! `slots-crossbeam`: the descriptor table over crossbeam-epoch.
//!
//! A collector of its own, whose handles are claimed by a CAS instead of being found by thread-local
//! storage, so that a handler never re-enters one. What remains is crossbeam's: its pins collect
//! now and then, and its bags come from malloc, which a handler may have interrupted.

use core::cell::UnsafeCell;
use core::mem::ManuallyDrop;
use core::ops::Deref;
use core::ptr::NonNull;
use core::sync::atomic::AtomicBool;
use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::boxed::Box;
use std::sync::OnceLock;

use crossbeam_epoch::{Collector, Guard as Pin, LocalHandle};

use epochsocks_registry::atomics::thread_hash;
use epochsocks_registry::parts::{
    self, BATCH, Domain, Empty, Entry, List, Node, Slab, Slot, Steps,
};
use epochsocks_registry::{Payload, SocketId, Variant};

/// Handles that may be claimed; a thread that finds all taken registers one for the time of its guard.
const HANDLES: usize = 256;

/// A handle and free nodes, as the arenas of the other domains, alone on their cache lines.
#[repr(align(128))]
struct Claimable<T> {
    taken: AtomicBool,
    handle: UnsafeCell<LocalHandle>,
    free: UnsafeCell<List<T>>,
}

// SAFETY: handle and list are touched by the holder of the claim only, one thread at a time;
// crossbeam's handles refer to no thread.
unsafe impl<T> Sync for Claimable<T> {}

impl<T> Claimable<T> {
    /// Ends the claim.
    fn give_back(&self) {
        // Release pairs with the Acquire in `claim`.
        self.taken.store(false, Release);
    }
}

/// Never freed: deferred functions refer to it.
struct Shared<T> {
    collector: Collector,
    handles: Box<[Claimable<T>]>,
    slab: Slab<T>,
}

/// crossbeam-epoch as a domain.
pub struct Crossbeam<T: 'static>(OnceLock<&'static Shared<T>>);

// SAFETY: see `Claimable`.
unsafe impl<T: Payload> Sync for Crossbeam<T> {}
// SAFETY: as above.
unsafe impl<T: Payload> Send for Crossbeam<T> {}

/// A claimed and pinned handle. The pin ends before the claim.
struct Pinned<T: 'static> {
    pin: ManuallyDrop<Pin>,
    claim: Option<&'static Claimable<T>>,
}

impl<T> Drop for Pinned<T> {
    fn drop(&mut self) {
        // SAFETY: dropped once.
        unsafe { ManuallyDrop::drop(&mut self.pin) };
        if let Some(claim) = self.claim {
            claim.give_back();
        }
    }
}

/// A node under a pin.
pub struct Guard<'d, T: 'static> {
    node: &'d Node<T>,
    _pinned: Pinned<T>,
}

impl<T> Deref for Guard<'_, T> {
    type Target = Node<T>;

    fn deref(&self) -> &Node<T> {
        self.node
    }
}

impl<T: Payload> Empty for Crossbeam<T> {
    const EMPTY: Self = Crossbeam::new();
}

impl<T: Payload> Crossbeam<T> {
    /// A domain without memory.
    pub const fn new() -> Self {
        Crossbeam(OnceLock::new())
    }

    fn shared(&self) -> &'static Shared<T> {
        self.0.get_or_init(|| {
            let collector = Collector::new();
            let handle = || Claimable {
                taken: AtomicBool::new(false),
                handle: UnsafeCell::new(collector.register()),
                free: UnsafeCell::new(List::new()),
            };
            let handles = (0..HANDLES).map(|_| handle()).collect();
            Box::leak(Box::new(Shared { collector, handles, slab: Slab::new() }))
        })
    }
}

impl<T: Payload> Shared<T> {
    /// A claimable that no thread has, if there is one.
    fn claim(&'static self) -> Option<&'static Claimable<T>> {
        let home = thread_hash() % HANDLES;
        let (before, after) = self.handles.split_at(home);
        after.iter().chain(before).find(|claim| {
            // Relaxed: a look before the CAS. Acquire pairs with the Release of the last holder.
            !claim.taken.load(Relaxed)
                && claim.taken.compare_exchange(false, true, Acquire, Relaxed).is_ok()
        })
    }

    fn pin(&'static self) -> Pinned<T> {
        let claim = self.claim();
        let pin = match claim {
            // SAFETY: the claim makes the handle ours.
            Some(claim) => unsafe { &*claim.handle.get() }.pin(),
            // The pin keeps what the handle stands for.
            None => self.collector.register().pin(),
        };
        Pinned { pin: ManuallyDrop::new(pin), claim }
    }

    /// A free node.
    fn take(&'static self) -> Option<NonNull<Node<T>>> {
        let claim = self.claim();
        let mut own = List::new();
        let free = match claim {
            // SAFETY: the claim makes the list ours.
            Some(claim) => unsafe { &mut *claim.free.get() },
            None => &mut own,
        };
        if free.length() == 0 {
            self.slab.refill(free);
        }
        let node = free.pop();
        self.slab.push(own);
        if let Some(claim) = claim {
            claim.give_back();
        }
        node
    }

    /// Makes a node free.
    fn give_back(&'static self, node: NonNull<Node<T>>) {
        let Some(claim) = self.claim() else { return self.slab.push(List::one(node)) };
        // SAFETY: the claim makes the list ours.
        let free = unsafe { &mut *claim.free.get() };
        free.push(node);
        if free.length() > 2 * BATCH {
            self.slab.spill(free);
        }
        claim.give_back();
    }

    /// Gives up a reference; the last one makes the node free (guarantee E).
    fn put(&'static self, node: NonNull<Node<T>>) {
        // SAFETY: nodes are never unmapped.
        let dead = unsafe { node.as_ref() };
        // AcqRel: every holder's use comes before the reuse.
        if dead.count.fetch_sub(1, AcqRel) != 1 {
            return;
        }
        let next = dead.kept_successor();
        dead.died();
        self.give_back(node);
        // SAFETY: the dead node's slot count kept it.
        if let Some(next) = next.filter(|next| unsafe { next.as_ref() }.drop_slot()) {
            self.retire(next);
        }
    }

    /// Gives up the registry's reference when every pin of now has ended.
    fn retire(&'static self, node: NonNull<Node<T>>) {
        let pinned = self.pin();
        // SAFETY: nodes and `self` are never freed, and a put belongs to no thread.
        unsafe { pinned.pin.defer_unchecked(move || self.put(node)) };
    }
}

// SAFETY: a pin that began before a node left its slots keeps the registry's reference to it.
unsafe impl<T: Payload> Domain for Crossbeam<T> {
    type Payload = T;

    const VARIANT: &'static Variant = &parts::SLOTS_CROSSBEAM;

    type Guard<'d> = Guard<'d, T>;

    fn protect<'d>(&'d self, slot: &Slot<T>) -> Option<Guard<'d, T>> {
        // Relaxed: only whether it is empty, without a pin.
        Entry::of(slot.load(Relaxed)).named()?;
        let pinned = self.shared().pin();
        // SAFETY: slots lead to nodes, which are never unmapped.
        let node = unsafe { slot.look().named()?.as_ref() };
        Some(Guard { node, _pinned: pinned })
    }

    fn hold(&self, node: NonNull<Node<T>>) -> Guard<'_, T> {
        // SAFETY: the caller's slot count keeps the node until after the pin.
        Guard { _pinned: self.shared().pin(), node: unsafe { node.as_ref() } }
    }

    fn allocate(&self, cookie: SocketId) -> Option<NonNull<Node<T>>> {
        let node = self.shared().take()?;
        // SAFETY: nodes are never unmapped; this one is ours.
        unsafe { node.as_ref() }.revive(cookie, 0);
        Some(node)
    }

    fn release(&self, node: NonNull<Node<T>>) {
        self.shared().give_back(node);
    }

    fn retire(&self, node: NonNull<Node<T>>) {
        self.shared().retire(node);
    }

    fn put(&self, node: NonNull<Node<T>>) {
        self.shared().put(node);
    }

    fn after_fork_in_child(&self) {}
}
