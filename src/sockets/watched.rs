//! A registry whose looks and changes count as system calls of the test's thread: before each of them another
//! thread may run ([`boundary`](crate::sys::boundary)).

use core::ptr::NonNull;

use super::{Record, SocketId};
use crate::registry::{Detached, InsertError, Registry, Slots, Variant};
use crate::sys;

pub struct Watched(Slots<Record>);

impl Watched {
    pub fn new() -> Watched {
        Watched(Slots::new())
    }

    /// The registry, after a system call that changes nothing.
    fn next(&self) -> &Slots<Record> {
        sys::parent();
        &self.0
    }
}

// SAFETY: every operation is the registry's.
unsafe impl Registry for Watched {
    type Payload = Record;

    const VARIANT: &'static Variant = Slots::<Record>::VARIANT;

    fn may_change(&self) -> bool {
        self.next().may_change()
    }

    fn contains(&self, fd: i32) -> bool {
        self.next().contains(fd)
    }

    fn insert(&self, fd: i32, cookie: SocketId) -> Result<(), InsertError> {
        self.next().insert(fd, cookie)
    }

    fn borrow<S>(&self, fd: i32, read: impl FnOnce(&Record) -> S) -> Option<S> {
        self.next().borrow(fd, read)
    }

    fn acquire(&self, fd: i32) -> Option<NonNull<Record>> {
        self.next().acquire(fd)
    }

    unsafe fn release(&self, record: NonNull<Record>) {
        // SAFETY: as the caller vouches.
        unsafe { self.0.release(record) };
    }

    fn remove(&self, fd: i32) -> bool {
        self.contains(fd) && self.next().remove(fd)
    }

    fn remove_if(&self, fd: i32, record: &Record) -> bool {
        self.contains(fd) && self.next().remove_if(fd, record)
    }

    fn detach(&self, fd: i32) -> Option<Detached> {
        if self.contains(fd) { self.next().detach(fd) } else { None }
    }

    fn restore(&self, fd: i32, entry: Detached) {
        self.0.restore(fd, entry);
    }

    fn discard(&self, entry: Detached) {
        self.0.discard(entry);
    }

    fn duplicate(&self, source: i32, target: i32) -> Result<bool, InsertError> {
        self.next().duplicate(source, target)
    }

    fn supersede(&self, fd: i32) -> Result<bool, InsertError> {
        self.next().supersede(fd)
    }

    fn after_fork_in_child(&self) {
        self.0.after_fork_in_child();
    }
}
