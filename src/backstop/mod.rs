//! The backstop: a seccomp filter that a whole launch runs under, which lets no socket come about beside
//! the hooks. Everything here is data and pure functions; the launcher installs the filter.
//!
//! - [`secret`]: the number by which the hooks' own calls are told from all others
//! - [`assembler`]: programs of the kernel's packet filter machine, with labels
//! - [`filter`]: the program itself
//! - [`interpreter`]: the verdict of any filter on a call
//! - [`presence`]: whether a supervisor answers
//!
//! The guarantees of each layer of protection are in design/threat-model.md.

pub mod assembler;
pub mod filter;
pub mod interpreter;
pub mod presence;
pub mod secret;

pub use filter::Action;
pub use secret::{Secret, Token};
