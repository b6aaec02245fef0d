//! Handshakes in flight: what a connect leaves behind when it answers EINPROGRESS.
//!
//! A [`Pending`] handshake belongs to an open file description, whichever descriptor, thread or
//! forked process it is met through, so it lies in an [`Arena`] that forked children share. Whoever
//! touches the socket drives it, one at a time by the [`Baton`]; nobody waits for another. While it
//! is in flight the kernel's epoll entries of the socket carry a [`Token`] in place of the program's
//! data, see [`Registration`].
//!
//! design/nonblocking.md has the states and the invariants. Every function here is
//! async-signal-safe.

mod arena;
mod baton;
mod flight;
#[cfg(all(test, crossbeam_loom))]
mod models;
mod recall;
mod registration;
mod stage;
mod token;

pub use arena::{Arena, CAPACITY};
pub use baton::{Baton, Take};
pub use flight::{Found, Pending, Ran, Report, Script};
pub use registration::{REGISTRATIONS, Registration};
pub use token::Token;

/// The handshakes in flight of this process and of those that it shares sockets with by forking.
pub static ARENA: Arena = Arena::new();
