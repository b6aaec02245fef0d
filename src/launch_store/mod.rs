//! Store that the processes of one launch share, over fork, exec and programs that close their
//! descriptors: names behind cookie addresses, and destinations of connected sockets.
//!
//! - [`id`]: which launch a process belongs to
//! - [`store`]: a directory that the user alone may enter, and its entries
//! - [`names`]: the name behind a cookie address
//! - [`destinations`]: where a socket leads that another program gets
//! - [`end`]: when the launch is over, and what a killed one has left
//!
//! A process with the user's ids could do as much in other ways; any other process is told nothing and
//! asked nothing. What is read is still decoded as untrusted bytes. Where no store can be had
//! (a sandbox, a file system that is full) each process knows what it has looked up itself, and
//! refuses the rest. design/names.md and design/passing.md compare the ways. Everything here is
//! async-signal-safe.

pub mod destinations;
pub mod end;
pub mod id;
pub mod names;
pub mod store;
#[cfg(test)]
pub(crate) mod tests;

pub use id::Launch;
pub use store::Store;
