//! A thread that works beside the stepped one from the chosen boundary on.

use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering::SeqCst};
use std::thread;

/// Lets the second thread do a piece of work; returns when that is done.
pub type Ask<'a> = dyn FnMut(&mut dyn FnMut()) + 'a;

/// Runs `stepped` here. From the moment on when it asks for something the second thread does `idle`
/// again and again until `stepped` has ended; before, it does nothing, so that it runs into no
/// breakpoint.
pub fn beside(idle: &(dyn Fn() + Sync), stepped: &mut dyn FnMut(&mut Ask)) {
    // A pointer to the `&mut dyn FnMut()` that is to be done; null when it is.
    let asked = AtomicPtr::<()>::new(null_mut());
    let over = AtomicBool::new(false);
    let first = thread::current();
    thread::scope(|scope| {
        let second = scope.spawn(|| {
            while asked.load(SeqCst).is_null() && !over.load(SeqCst) {
                thread::park();
            }
            let work = asked.load(SeqCst).cast::<&mut dyn FnMut()>();
            // SAFETY: whoever asks keeps it until it is done, and does not touch it.
            if let Some(work) = unsafe { work.as_mut() } {
                work();
                asked.store(null_mut(), SeqCst);
                first.unpark();
            }
            while !over.load(SeqCst) {
                idle();
            }
        });
        stepped(&mut |mut work| {
            asked.store((&raw mut work).cast(), SeqCst);
            second.thread().unpark();
            while !asked.load(SeqCst).is_null() {
                thread::park();
            }
        });
        over.store(true, SeqCst);
        second.thread().unpark();
    });
}
