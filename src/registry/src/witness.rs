//! Tells loom who reads and writes a record, and that records are born and die in turn.

#[cfg(not(crossbeam_loom))]
mod real {
    /// Nothing: in a program no test watches.
    pub struct Witness;

    impl Witness {
        pub fn new() -> Self {
            Witness
        }

        #[inline(always)]
        pub fn reads(&self) {}
        #[inline(always)]
        pub fn born(&self) {}
        #[inline(always)]
        pub fn dies(&self) {}
    }
}

#[cfg(crossbeam_loom)]
mod modelled {
    use std::sync::atomic::{AtomicIsize, Ordering::SeqCst};

    /// Records that are alive, or in limbo.
    pub static ALIVE: AtomicIsize = AtomicIsize::new(0);

    /// Shows loom who reads and writes a record, and that it is born and dies in turn.
    pub struct Witness {
        memory: loom::cell::UnsafeCell<()>,
        alive: core::cell::Cell<bool>,
    }

    impl Witness {
        pub fn new() -> Self {
            let memory = loom::cell::UnsafeCell::new(());
            Witness { memory, alive: core::cell::Cell::new(false) }
        }

        pub fn reads(&self) {
            self.memory.with(|_| ());
            assert!(self.alive.get(), "a dead record is read");
        }

        pub fn writes(&self) {
            self.memory.with_mut(|_| ());
        }

        pub fn born(&self) {
            self.writes();
            assert!(!self.alive.replace(true), "a live record is born again");
            ALIVE.fetch_add(1, SeqCst);
        }

        pub fn dies(&self) {
            // A failed model drops what it has; its second panic would end the process.
            if std::thread::panicking() {
                return;
            }
            self.writes();
            assert!(self.alive.replace(false), "a dead record is freed again");
            ALIVE.fetch_sub(1, SeqCst);
        }
    }
}

#[cfg(crossbeam_loom)]
pub use modelled::*;
#[cfg(not(crossbeam_loom))]
pub use real::*;
