//! The backstop: a seccomp filter that a whole launch runs under, which lets no socket come about beside
//! the hooks. Everything here is data and pure functions; the launcher installs the filter.
//!
//! - [`secret`]: the number by which the hooks' own calls are told from all others
//! - [`assembler`]: programs of the kernel's packet filter machine, with labels
//! - [`filter`]: the program itself
//!
//! What each layer of protection guarantees is told in design/threat-model.md.

pub mod assembler;
pub mod filter;
#[cfg(test)]
mod interpreter;
pub mod secret;

pub use filter::Action;
pub use secret::{Secret, Token};
