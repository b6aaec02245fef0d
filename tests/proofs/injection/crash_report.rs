//! Report of a trial that crashes or never ends, from what it has left in memory.
//!
//! A node that is in two lists makes a list without an end, or one that is shorter than its owner
//! counts: the registry may well go down before the trial comes to its audit. So the audit is made
//! where it went down.

use std::ffi::c_int;
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering::SeqCst};

use crate::subject::{Account, Subject, account};

/// The registry of the trial under way, and where its account goes.
struct Patient {
    registry: *const (),
    audit: unsafe fn(*const ()) -> Account,
    doubled: *mut usize,
}

static PATIENT: AtomicPtr<Patient> = AtomicPtr::new(null_mut());

/// Signals that end a process that has gone wrong; SIGPROF ends one that loops for ever.
const ENDS: [c_int; 5] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGABRT, libc::SIGPROF];
/// Signals that end one that waits for ever: a wait that the filter forbids, or a deadline.
const WAITS: [c_int; 2] = [libc::SIGSYS, libc::SIGALRM];

/// The status of a process that `signal` has ended.
const fn status(signal: c_int) -> c_int {
    128 + signal
}

/// Tells whether a process with this exit status was one that waited for ever.
pub fn has_waited(exit_status: c_int) -> bool {
    WAITS.map(status).contains(&exit_status)
}

/// From here on a crash is examined. For a process of its own.
pub fn handle_crashes() {
    for signal in ENDS.into_iter().chain(WAITS) {
        // SAFETY: a zeroed sigaction is one without flags; the handler has the right signature.
        unsafe {
            let mut action: libc::sigaction = MaybeUninit::zeroed().assume_init();
            action.sa_sigaction = on_crash as extern "C" fn(_) as *const () as usize;
            action.sa_flags = libc::SA_RESETHAND;
            assert_eq!(libc::sigaction(signal, &action, null_mut()), 0);
        }
    }
}

/// Runs `trial` on `registry`. Should it not come to its end, the number of nodes that are in two
/// places is left at `doubled`.
pub fn in_case_of_a_crash<S: Subject, T>(
    registry: &S,
    doubled: *mut usize,
    trial: impl FnOnce() -> T,
) -> T {
    unsafe fn audit<S: Subject>(registry: *const ()) -> Account {
        // SAFETY: the patient's registry, which outlives the trial.
        account(unsafe { &*registry.cast::<S>() })
    }
    let registry = (&raw const *registry).cast();
    let mut patient = Patient { registry, audit: audit::<S>, doubled };
    PATIENT.store(&raw mut patient, SeqCst);
    let ended = catch_unwind(AssertUnwindSafe(trial));
    let result = ended.unwrap_or_else(|panic| {
        examine();
        resume_unwind(panic)
    });
    PATIENT.store(null_mut(), SeqCst);
    result
}

/// Counts the doubled nodes of the trial under way. What else an audit counts means nothing in the
/// middle of an operation, but no operation ever has a node in two places.
fn examine() {
    // SAFETY: `in_case_of_a_crash` has put it there and has not returned.
    if let Some(patient) = unsafe { PATIENT.swap(null_mut(), SeqCst).as_ref() } {
        // SAFETY: as above; nothing else runs in this process.
        unsafe { patient.doubled.write((patient.audit)(patient.registry).doubled) };
    }
}

extern "C" fn on_crash(signal: c_int) {
    if ENDS.contains(&signal) {
        examine();
    }
    // SAFETY: ends this process.
    unsafe { libc::_exit(status(signal)) }
}
