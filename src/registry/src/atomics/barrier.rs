//! A barrier of two halves: that of a party that runs often costs nothing, as the other one, which runs
//! seldom, makes every thread pass a full barrier.
//!
//! A reader writes one place, comes by [`here`] and reads another; a reclaimer writes that other place,
//! calls [`everywhere`] and reads the first one. The kernel lets each thread pass its barrier at some
//! moment of the call, or has done so when it took the thread off its processor. If the reader's write
//! comes before that moment, the reclaimer sees it. Else the reader's read comes after it, and sees what
//! the reclaimer wrote.

#[cfg(not(crossbeam_loom))]
mod real {
    use core::sync::atomic::{Ordering::SeqCst, compiler_fence};

    use crate::sys;

    /// The half that costs nothing: keeps the compiler from moving accesses to the other side.
    #[inline(always)]
    pub fn here() {
        compiler_fence(SeqCst);
    }

    /// Lets every thread of the process pass a full barrier; says whether the kernel did so.
    pub fn everywhere() -> bool {
        sys::pass_barrier().is_ok()
    }

    /// Says whether [`everywhere`] works in this process, and makes it work if the kernel can.
    #[cold]
    pub fn prepare() -> bool {
        sys::register_barrier().is_ok() && everywhere()
    }
}

/// The kernel's part is played by the threads: one that is asked for a barrier passes it where it next
/// comes by [`here`], or ends.
#[cfg(crossbeam_loom)]
mod modelled {
    use loom::sync::atomic::{AtomicBool, AtomicU32, Ordering, fence};

    use crate::atomics::mutant::mutant;

    loom::lazy_static! {
        /// Counts the barriers that the model's second thread was asked to pass.
        static ref ASKED: AtomicU32 = AtomicU32::new(0);
        /// Counts those that it has passed.
        static ref PASSED: AtomicU32 = AtomicU32::new(0);
        /// Tells whether it runs.
        static ref RUNS: AtomicBool = AtomicBool::new(false);
        /// Tells whether the kernel refuses.
        static ref REFUSED: AtomicBool = AtomicBool::new(false);
    }

    loom::thread_local! {
        static IS_SECOND: core::cell::Cell<bool> = core::cell::Cell::new(false);
    }

    /// To be called by the first thread before it makes the second one.
    pub fn expect_second() {
        RUNS.store(true, Ordering::SeqCst);
    }

    /// Lets the kernel refuse every barrier from now on. By the first thread.
    pub fn refuse() {
        REFUSED.store(true, Ordering::SeqCst);
    }

    /// Runs the second thread.
    pub fn run_second<T>(work: impl FnOnce() -> T) -> T {
        IS_SECOND.with(|is| is.set(true));
        let result = work();
        IS_SECOND.with(|is| is.set(false));
        // Release: its processor passes a barrier when the thread has ended.
        RUNS.store(false, Ordering::Release);
        result
    }

    pub fn here() {
        if !IS_SECOND.with(core::cell::Cell::get) {
            return;
        }
        let asked = ASKED.load(Ordering::Acquire);
        if asked != PASSED.load(Ordering::Relaxed) {
            fence(Ordering::SeqCst);
            PASSED.store(asked, Ordering::Release);
        }
    }

    pub fn everywhere() -> bool {
        assert!(!IS_SECOND.with(core::cell::Cell::get), "the first thread reclaims");
        mutant!(NoBarrier => return true);
        if REFUSED.load(Ordering::Relaxed) {
            return false;
        }
        fence(Ordering::SeqCst);
        let asked = ASKED.fetch_add(1, Ordering::AcqRel) + 1;
        mutant!(BarrierNotAwaited => return true);
        while RUNS.load(Ordering::Acquire) && PASSED.load(Ordering::Acquire) != asked {
            loom::thread::yield_now();
        }
        fence(Ordering::SeqCst);
        true
    }

    pub fn prepare() -> bool {
        true
    }
}

#[cfg(crossbeam_loom)]
pub use modelled::*;
#[cfg(not(crossbeam_loom))]
pub use real::*;
