//! A thread that works beside the stepped one from a boundary on.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread::{self, Scope};

/// Signals between the two threads about their progress.
#[derive(Default)]
pub struct SecondThread {
    done: AtomicBool,
    over: AtomicBool,
}

impl SecondThread {
    /// Returns when a new thread has done `work`; from then on that does `idle` again and again.
    pub fn begin<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        work: impl FnOnce() + Send + 'scope,
        idle: impl Fn() + Send + 'scope,
    ) {
        let first = thread::current();
        scope.spawn(move || {
            work();
            self.done.store(true, SeqCst);
            first.unpark();
            while !self.over.load(SeqCst) {
                idle();
            }
        });
        while !self.done.load(SeqCst) {
            thread::park();
        }
    }

    /// Lets the thread end.
    pub fn end(&self) {
        self.over.store(true, SeqCst);
    }
}
