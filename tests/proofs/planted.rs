//! Backends with a planted bug, which the proofs must find: a proof that finds none proves nothing.

use std::marker::PhantomData;
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::{AtomicI32, AtomicPtr, Ordering::SeqCst};

use epochsocks::registry::{Audit, Detached, InsertError, Registry, SocketId, Variant};
use epochsocks::sockets::Record;

use crate::subject::Subject;
use epochsocks::registry::Slots;

/// One way to be wrong; what it does not override is right.
pub trait Bug: Sync + 'static {
    fn borrow<T>(slots: &Slots<Record>, fd: i32, read: impl FnOnce(&Record) -> T) -> Option<T> {
        slots.borrow(fd, read)
    }

    fn insert(slots: &Slots<Record>, fd: i32, cookie: SocketId) -> Result<(), InsertError> {
        slots.insert(fd, cookie)
    }

    fn remove(slots: &Slots<Record>, fd: i32) -> bool {
        slots.remove(fd)
    }
}

/// Reads a record when its guard has ended.
pub struct ReadsUnguarded;

impl Bug for ReadsUnguarded {
    fn borrow<T>(slots: &Slots<Record>, fd: i32, read: impl FnOnce(&Record) -> T) -> Option<T> {
        let record = slots.borrow(fd, |record| &raw const *record)?;
        // SAFETY: none, that is the bug; but a record's memory is never unmapped.
        Some(read(unsafe { &*record }))
    }
}

/// Takes an entry out and never gives the registry's reference up.
pub struct LosesTheReference;

impl Bug for LosesTheReference {
    fn remove(slots: &Slots<Record>, fd: i32) -> bool {
        slots.detach(fd).is_some()
    }
}

/// Loads an entry and empties its slot later, so that two removers may take one entry.
pub struct FreesTwice;

/// The entry that a remover of [`FreesTwice`] has loaded, and its descriptor.
static LOADED: AtomicPtr<()> = AtomicPtr::new(null_mut());
static LOADED_FROM: AtomicI32 = AtomicI32::new(-1);

impl Bug for FreesTwice {
    fn remove(slots: &Slots<Record>, fd: i32) -> bool {
        let entry = if LOADED_FROM.load(SeqCst) == fd {
            // SAFETY: a detached entry is one pointer. None for the second use of it: the bug.
            unsafe { core::mem::transmute::<*mut (), Detached>(LOADED.load(SeqCst)) }
        } else {
            let Some(entry) = slots.detach(fd) else { return false };
            // SAFETY: see above; `entry` is one pointer.
            LOADED.store(unsafe { core::mem::transmute_copy(&entry) }, SeqCst);
            LOADED_FROM.store(fd, SeqCst);
            LOADED_FROM.store(-1, SeqCst);
            entry
        };
        slots.discard(entry);
        true
    }
}

/// Looks first and stores then, instead of one atomic step (guarantee G).
pub struct StoresInsteadOfSwapping;

impl Bug for StoresInsteadOfSwapping {
    fn insert(slots: &Slots<Record>, fd: i32, cookie: SocketId) -> Result<(), InsertError> {
        if slots.contains(fd) {
            return Err(InsertError::Occupied);
        }
        slots.remove(fd);
        slots.insert(fd, cookie)
    }
}

/// The default backend with the bug `B`.
pub struct Planted<B> {
    slots: Slots<Record>,
    bug: PhantomData<B>,
}

impl<B: Bug> Subject for Planted<B> {
    fn fresh() -> Self {
        Planted { slots: Slots::new(), bug: PhantomData }
    }

    fn audit(&self) -> Option<&dyn Audit> {
        Some(&self.slots)
    }
}

// SAFETY: none; the tests that use it run it in a process of its own.
unsafe impl<B: Bug> Registry for Planted<B> {
    type Payload = Record;

    const VARIANT: &'static Variant = Slots::<Record>::VARIANT;

    fn insert(&self, fd: i32, cookie: SocketId) -> Result<(), InsertError> {
        B::insert(&self.slots, fd, cookie)
    }

    fn borrow<T>(&self, fd: i32, read: impl FnOnce(&Record) -> T) -> Option<T> {
        B::borrow(&self.slots, fd, read)
    }

    fn acquire(&self, fd: i32) -> Option<NonNull<Record>> {
        self.slots.acquire(fd)
    }

    unsafe fn release(&self, record: NonNull<Record>) {
        // SAFETY: the caller's.
        unsafe { self.slots.release(record) };
    }

    fn remove(&self, fd: i32) -> bool {
        B::remove(&self.slots, fd)
    }

    fn remove_if(&self, fd: i32, record: &Record) -> bool {
        self.slots.remove_if(fd, record)
    }

    fn detach(&self, fd: i32) -> Option<Detached> {
        self.slots.detach(fd)
    }

    fn restore(&self, fd: i32, entry: Detached) {
        self.slots.restore(fd, entry);
    }

    fn discard(&self, entry: Detached) {
        self.slots.discard(entry);
    }

    fn duplicate(&self, source: i32, target: i32) -> Result<bool, InsertError> {
        self.slots.duplicate(source, target)
    }

    fn supersede(&self, fd: i32) -> Result<bool, InsertError> {
        self.slots.supersede(fd)
    }

    fn after_fork_in_child(&self) {
        self.slots.after_fork_in_child();
    }
}
