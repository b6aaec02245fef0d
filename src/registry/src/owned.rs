//! A registry that only the process which owns it may change.

use core::ptr::{NonNull, null_mut};
use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

use super::audit::{Audit, Use};
use super::{Detached, InsertError, Layout, Registry, SocketId, Variant};
use crate::atomics::{AtomicI32, AtomicPtr, AtomicU32, Zeroed, const_new, map_array, unmap_array};
use crate::sys;

/// In a page that a fork wipes (`MADV_WIPEONFORK`): the process that changes the registry; zero in a
/// forked child whose fork no hook has seen, the negated number in one that was told and has changed nothing.
struct Owner(AtomicI32);

// SAFETY: a zeroed number.
#[cfg(not(crossbeam_loom))]
unsafe impl Zeroed for Owner {}
// SAFETY: as above.
#[cfg(crossbeam_loom)]
unsafe impl Zeroed for Owner {
    fn zeroed() -> Self {
        Owner(AtomicI32::new(0))
    }
}

/// The backend `R`, kept from being changed by a `vfork` or `CLONE_VM` child, which shares the
/// memory but not the descriptors of its parent (guarantee J): each change compares the process id,
/// asked of the kernel, with the owner's. A child of `fork` becomes the owner of its own copy, also
/// if no hook sees the fork.
///
/// Reads make no system call and are the backend's own. Two processes with one id in different pid
/// namespaces that share memory are not told apart. Where a filter forbids unshare(2), a child of a
/// fork that no hook sees, of a parent that has changed nothing, is taken for a `vfork` child, and a
/// `vfork` child of another such child for that child itself.
///
/// A change need not ask for the id while no other process can have the memory. Only the caller can know
/// that: it says so by [`Owned::presume_alone`], and then tells of each process that will share the memory by
/// [`Owned::note_sharing`] or [`Owned::share_during`]. A process of which it does not tell changes its parent's
/// registry.
#[derive(Debug)]
pub struct Owned<R> {
    inner: R,
    /// The process that may be the first to change it; 0 for the process that comes first.
    bound: AtomicI32,
    /// The process that changes it; null before the first change, which most processes never make.
    owner: AtomicPtr<Owner>,
    /// Reasons for which another process may have this memory, as the constants below: while there is none, a
    /// change is made without a question to the kernel.
    sharers: AtomicU32,
}

/// In [`Owned::sharers`]: the caller has not said that it tells of such processes.
const UNTOLD: u32 = 1;
/// In [`Owned::sharers`]: a fork leaves the owner's page as it is, so that only the id shows a fork that no hook sees.
const UNWIPED: u32 = 2;
/// In [`Owned::sharers`]: the caller has told of a process whose end it does not see.
const NOTED: u32 = 4;
/// In [`Owned::sharers`]: one call that makes such a process and sees its end; the word counts them.
const CALL: u32 = 8;

impl<R> Owned<R> {
    const_new! {
        /// `inner`, owned by the process that calls [`Owned::bind`], or else first changes it.
        pub fn over(inner: R) -> Self {
            Owned {
                inner,
                bound: AtomicI32::new(0),
                owner: AtomicPtr::new(null_mut()),
                sharers: AtomicU32::new(UNTOLD),
            }
        }
    }

    /// Lets no other process that has this memory be the first to change it: for a constructor,
    /// before there are any. Async-signal-safe.
    pub fn bind(&self) {
        // Relaxed: as in `adopt`.
        self.bound.store(sys::getpid(), Relaxed);
    }

    /// Lets changes be made without a question to the kernel, until the caller tells of a process that shares
    /// the memory. The caller vouches that it has told, and will tell, of each process that has this memory and is no
    /// thread of this one, before the call that makes it: guarantee J holds for those. Async-signal-safe.
    pub fn presume_alone(&self) {
        // Relaxed: see `is_alone`.
        self.sharers.fetch_and(!UNTOLD, Relaxed);
    }

    /// Tells of a process that will have this memory, as a child of `vfork` or `CLONE_VM`: to be called before the
    /// call that makes it, by the thread that makes that call. From then on each change asks the kernel, as the end of
    /// that process shows nowhere; so do those of a forked child, which may be made by a handler between this note and
    /// that call, and go on to make it. Async-signal-safe.
    pub fn note_sharing(&self) {
        // Relaxed: see `is_alone`.
        self.sharers.fetch_or(NOTED, Relaxed);
    }

    /// Runs `make`, which makes a process that has this memory, and comes back when it has ended or has executed a
    /// program. Meanwhile each change asks the kernel. A call that never comes back, as a handler has jumped away, or a
    /// thread that a fork leaves behind, counts for ever. Async-signal-safe.
    pub fn share_during<T>(&self, make: impl FnOnce() -> T) -> T {
        // Relaxed, twice: see `is_alone`. The process is gone before the count goes down.
        self.sharers.fetch_add(CALL, Relaxed);
        let made = make();
        self.sharers.fetch_sub(CALL, Relaxed);
        made
    }

    /// Tells whether no other process has this memory, as far as the caller has told.
    ///
    /// Relaxed, here and where the word is changed. The process that must see a note is the one that it was made for,
    /// with all that this one makes: its maker has made the note before the call, and the call orders the two as it
    /// does a new thread. Another thread of the parent may miss the note: what it changes is its own. So is all that it
    /// changes after a count that went down, as the process is gone by then. No other memory depends on the word.
    fn is_alone(&self) -> bool {
        self.sharers.load(Relaxed) == 0
    }

    /// The backend itself.
    pub const fn inner(&self) -> &R {
        &self.inner
    }
}

/// A registry, or a domain of one, that can be made empty in a constant, except in a model.
pub trait Empty {
    /// Empty.
    #[cfg(not(crossbeam_loom))]
    const EMPTY: Self;
    /// Empty.
    #[cfg(crossbeam_loom)]
    fn empty() -> Self;
}

/// Makes `new` of a type the way of [`Empty`].
macro_rules! empty_is_new {
    ([$($parameters:tt)*] $type:ty) => {
        impl<$($parameters)*> $crate::owned::Empty for $type {
            #[cfg(not(crossbeam_loom))]
            const EMPTY: Self = <$type>::new();

            #[cfg(crossbeam_loom)]
            fn empty() -> Self {
                <$type>::new()
            }
        }
    };
}
pub(crate) use empty_is_new;

impl<R: Empty> Owned<R> {
    /// An empty registry.
    #[cfg(not(crossbeam_loom))]
    pub const fn new() -> Self {
        Owned::over(R::EMPTY)
    }

    /// An empty registry.
    #[cfg(crossbeam_loom)]
    pub fn new() -> Self {
        Owned::over(R::empty())
    }
}

impl<R: Empty> Default for Owned<R> {
    fn default() -> Self {
        Owned::new()
    }
}

impl<R: Registry> Owned<R> {
    /// Makes this process the owner, if none is yet and it may be. Says whether this process may
    /// change the registry.
    fn adopt(&self) -> bool {
        let Some(owner) = self.owner() else { return false };
        // Relaxed: the number is compared with one that only this process has, and what the one who
        // wrote it does next is safe whatever others do at the same time.
        let seen = owner.0.load(Relaxed);
        // Of a process that is alone with its memory, an id in the page is its own: a fork leaves none there.
        seen > 0 && self.is_alone() || self.adopt_asking(owner, seen)
    }

    /// Apart, so that the others need no registers for a system call.
    #[cold]
    #[inline(never)]
    fn adopt_asking(&self, owner: &Owner, seen: i32) -> bool {
        seen == sys::getpid() || self.adopt_now(owner)
    }

    #[cold]
    fn adopt_now(&self, owner: &Owner) -> bool {
        loop {
            let this = sys::getpid();
            // Relaxed throughout: as above.
            let seen = owner.0.load(Relaxed);
            if this < 0 {
                return self.trust(owner, seen);
            }
            let is_ours = match seen {
                0 => self.is_bound() || sys::is_vfork_child() != Some(true),
                _ => seen == -this,
            };
            if !is_ours && sys::getpid() == this {
                return seen == this;
            }
            // A handler that forked in between has left its child with the parent's number: the child
            // asks again.
            if is_ours && owner.0.compare_exchange(seen, this, Relaxed, Relaxed).is_ok() {
                if sys::getpid() == this {
                    self.inner.after_fork_in_child();
                    return true;
                }
                // The child has one thread.
                owner.0.store(0, Relaxed);
            }
        }
    }

    /// A filter keeps the kernel from telling the process id. An owner, or a forked child that was told
    /// so, is taken for this process: entries that are lost are better than entries that stay.
    fn trust(&self, owner: &Owner, seen: i32) -> bool {
        // Relaxed: as in `adopt`.
        if seen < 0 && owner.0.compare_exchange(seen, -seen, Relaxed, Relaxed).is_ok() {
            self.inner.after_fork_in_child();
        }
        seen != 0
    }

    fn owner(&self) -> Option<&Owner> {
        // Acquire pairs with the AcqRel below.
        // SAFETY: never unmapped once it is set.
        unsafe { self.owner.load(Acquire).as_ref() }.or_else(|| self.first_owner())
    }

    #[cold]
    fn first_owner(&self) -> Option<&Owner> {
        // A forked child whose fork no hook has seen has a copy of the memory that was bound.
        if !self.is_bound() && sys::is_vfork_child() != Some(false) {
            return None;
        }
        self.bind();
        let fresh = map_array::<Owner>(1)?;
        // An older kernel can't wipe: there `after_fork_in_child` must be called.
        if sys::wipe_on_fork(fresh.cast(), size_of::<Owner>()).is_err() {
            // Relaxed: the CAS below releases it with the page's address.
            self.sharers.fetch_or(UNWIPED, Relaxed);
        }
        loop {
            let this = sys::getpid();
            // SAFETY: mapped and zeroed.
            // Relaxed: the CAS releases it.
            unsafe { fresh.as_ref() }.0.store(this, Relaxed);
            // A handler that forked in between has left its child with the parent's number.
            if sys::getpid() == this {
                break;
            }
        }
        let winner = match self.owner.compare_exchange(null_mut(), fresh.as_ptr(), AcqRel, Acquire)
        {
            Ok(_) => fresh.as_ptr(),
            Err(other) => {
                // SAFETY: another caller's page won; no other thread has seen this one.
                unsafe { unmap_array(fresh, 1) };
                other
            }
        };
        // SAFETY: never unmapped once it is set.
        unsafe { winner.as_ref() }
    }

    /// Tells whether this process is the one that was bound, if any was.
    fn is_bound(&self) -> bool {
        // Relaxed: as in `adopt`.
        let bound = self.bound.load(Relaxed);
        let this = sys::getpid();
        bound == 0 || bound == this || this < 0
    }
}

impl<R: Audit> Audit for Owned<R> {
    fn handed_out(&self) -> u32 {
        self.inner.handed_out()
    }

    fn claims(&self) -> usize {
        self.inner.claims()
    }

    unsafe fn each_node(&self, visit: &mut dyn FnMut(u32, Use)) {
        // SAFETY: as the caller vouches.
        unsafe { self.inner.each_node(visit) }
    }
}

// SAFETY: every operation is the backend's, or does nothing.
unsafe impl<R: Registry> Registry for Owned<R> {
    type Payload = R::Payload;

    const VARIANT: &'static Variant = R::VARIANT;

    const LAYOUT: Option<Layout> = match R::LAYOUT {
        Some(layout) => Some(layout.at(core::mem::offset_of!(Self, inner))),
        None => None,
    };

    fn may_change(&self) -> bool {
        self.adopt()
    }

    fn contains(&self, fd: i32) -> bool {
        self.inner.contains(fd)
    }

    fn insert(&self, fd: i32, cookie: SocketId) -> Result<(), InsertError> {
        if self.adopt() { self.inner.insert(fd, cookie) } else { Err(InsertError::Foreign) }
    }

    #[inline]
    fn borrow<S>(&self, fd: i32, read: impl FnOnce(&R::Payload) -> S) -> Option<S> {
        self.inner.borrow(fd, read)
    }

    #[inline]
    fn acquire(&self, fd: i32) -> Option<NonNull<R::Payload>> {
        self.inner.acquire(fd)
    }

    #[inline]
    unsafe fn release(&self, record: NonNull<R::Payload>) {
        // SAFETY: as the caller vouches.
        unsafe { self.inner.release(record) };
    }

    #[inline(always)]
    unsafe fn record(&self, record: NonNull<R::Payload>) -> &R::Payload {
        // SAFETY: as the caller vouches.
        unsafe { self.inner.record(record) }
    }

    fn remove(&self, fd: i32) -> bool {
        self.contains(fd) && self.adopt() && self.inner.remove(fd)
    }

    fn remove_if(&self, fd: i32, record: &R::Payload) -> bool {
        self.contains(fd) && self.adopt() && self.inner.remove_if(fd, record)
    }

    fn detach(&self, fd: i32) -> Option<Detached> {
        // An untracked descriptor costs no system call.
        if self.contains(fd) && self.adopt() { self.inner.detach(fd) } else { None }
    }

    fn restore(&self, fd: i32, entry: Detached) {
        self.inner.restore(fd, entry);
    }

    fn discard(&self, entry: Detached) {
        self.inner.discard(entry);
    }

    fn duplicate(&self, source: i32, target: i32) -> Result<bool, InsertError> {
        if !self.contains(source) && !self.contains(target) {
            return Ok(false);
        }
        if self.adopt() { self.inner.duplicate(source, target) } else { Err(InsertError::Foreign) }
    }

    fn supersede(&self, fd: i32) -> Result<bool, InsertError> {
        if !self.contains(fd) {
            return Ok(false);
        }
        if self.adopt() { self.inner.supersede(fd) } else { Err(InsertError::Foreign) }
    }

    fn after_fork_in_child(&self) {
        let this = sys::getpid();
        // Relaxed throughout: the child has one thread.
        self.bound.store(this, Relaxed);
        // Acquire pairs with `first_owner`.
        // SAFETY: never unmapped once it is set.
        if let Some(owner) = unsafe { self.owner.load(Acquire).as_ref() } {
            owner.0.store(-this, Relaxed);
        }
        // The child has the parent's `sharers`: see `note_sharing`.
    }
}
