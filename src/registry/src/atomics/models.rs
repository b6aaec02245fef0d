//! Runs loom's models, each with twins in which a mutant is planted.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use super::mutant::{Mutant, plant};

/// Makes a test of each line: a name, and that a model `holds`, or `fails` with mutants.
#[doc(hidden)]
#[macro_export]
macro_rules! models {
    ($($name:ident: $outcome:ident($($argument:expr),*);)*) => {
        $(
            #[test]
            fn $name() {
                $outcome($($argument),*);
            }
        )*
    };
}

pub use crate::models;

/// Runs a model in every interleaving, without mutants.
pub fn holds(model: impl Fn() + Sync + Send + 'static) {
    check(&[], model);
}

fn check(mutants: &'static [Mutant], model: impl Fn() + Sync + Send + 'static) {
    let _one_at_a_time = RUNNING.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    plant(mutants);
    let executions = std::sync::Arc::new(AtomicUsize::new(0));
    let count = std::sync::Arc::clone(&executions);
    loom::model(move || {
        count.fetch_add(1, SeqCst);
        model();
    });
    eprintln!("{} executions", executions.load(SeqCst));
}

static RUNNING: std::sync::Mutex<()> = std::sync::Mutex::new(());

/// Runs a model with mistakes planted: some interleaving must fail.
pub fn fails(mutants: &'static [Mutant], model: impl Fn() + Sync + Send + 'static) {
    let run = std::panic::AssertUnwindSafe(move || check(mutants, model));
    assert!(std::panic::catch_unwind(run).is_err(), "the planted mistake was not found");
}
