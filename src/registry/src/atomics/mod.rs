//! Atomics, and memory in which they can live: the real ones, or loom's in a build for models.
//!
//! Lock-free code imports its atomics from here, so that `tests/loom` runs the same lines in every
//! interleaving.
//!
//! | file | what |
//! | --- | --- |
//! | `real`, `modelled` | the atomics, memory and the thread's number of a program, and of a model |
//! | `barrier` | a memory barrier that the rare side makes all threads pass |
//! | `ordering` | the memory orderings by which the project's protocols hold |
//! | `mutant` | mistakes that models make on purpose, which loom must find |
//! | `models` | runs a model, or a model with mutants |

pub mod barrier;
#[cfg(crossbeam_loom)]
mod modelled;
#[cfg(crossbeam_loom)]
pub mod models;
pub mod mutant;
pub mod ordering;
#[cfg(not(crossbeam_loom))]
mod real;

#[cfg(crossbeam_loom)]
pub use modelled::*;
#[cfg(not(crossbeam_loom))]
pub use real::*;

/// A constructor that is `const`, except under loom, whose atomics can't be made so.
#[doc(hidden)]
#[macro_export]
macro_rules! const_new {
    ($(#[$meta:meta])* pub fn $name:ident($($argument:ident: $type:ty),*) -> $result:ty $body:block) => {
        $(#[$meta])*
        #[cfg(not(crossbeam_loom))]
        pub const fn $name($($argument: $type),*) -> $result $body
        $(#[$meta])*
        #[cfg(crossbeam_loom)]
        pub fn $name($($argument: $type),*) -> $result $body
    };
}
pub use crate::const_new;

/// An array of `$length` atomics that start as `$value`.
#[doc(hidden)]
#[macro_export]
macro_rules! atomic_array {
    ($length:expr, $value:expr) => {{
        #[cfg(not(crossbeam_loom))]
        let array = [const { $value }; $length];
        #[cfg(crossbeam_loom)]
        let array = core::array::from_fn(|_| $value);
        array
    }};
}
pub use crate::atomic_array;
