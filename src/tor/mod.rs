//! The way to Tor's SOCKS port: dial it on a program's socket and run the handshake there.
//!
//! - `dial`: connects a socket to the port; `drive`: runs the handshake, by `socket_calls`
//! - `resolve`: asks for a name or an address, on a connection of its own
//! - `deadline`: the end of a wait
//!
//! Nothing here is shared between threads; every function is async-signal-safe.

mod deadline;
mod dial;
mod drive;
mod resolve;
mod socket_calls;

pub use deadline::Deadline;
pub use dial::{DialError, confine_like_others, dial, target};
pub use drive::{Advance, DriveError, advance, drive};
pub use resolve::{ResolveError, Resolver};
pub use socket_calls::{Kernel, SocketCalls};
