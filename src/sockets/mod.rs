//! The sockets of this process: which ones connect through Tor, and where each connect stands.
//!
//! | file | what |
//! | --- | --- |
//! | `progress` | [`Progress`]: where a connect stands; the one answer that every caller gets |
//! | `record` | [`Record`]: what is known of one socket, however many descriptors name it |
//! | `connection` | [`Connection`]: where a torified socket leads |
//! | `image` | [`Image`]: a record in another process's memory |
//! | `registered` | the record as a registry keeps it |
//! | `identity` | which socket a descriptor of the program's names, beside its record's |
//! | `verified` | [`OwnSocket`], [`Verified`]: the descriptors by which the library acts on a socket |
//! | `tracker` | [`Sockets`]: from a descriptor to its record; what calls of the program do to it |
//! | `closed` | what becomes of the records of descriptors that are closed |
//! | `copied` | [`Copying`]: a call that makes another descriptor of a socket |
//! | `copies` | how many such calls are under way, and closes beside them |
//! | `connect` | [`Attempt`]: begins a connect and sends it off |
//! | `sent` | [`Sent`]: a connect that is under way, and the wait for its end |
//! | `epoll` | [`EpollControl`]: what epoll_ctl(2) does to such a socket |
//! | `handshake` | the table of handshakes in flight, and the epoll entries of their sockets |
//!
//! A connect goes through these states. A thread that calls connect(2) takes the claim, sends the
//! handshake off, and gives the claim back. From then on every thread that uses the socket drives
//! the handshake.
//!
//! ```text
//!                 begin           send_off            the handshake ends
//!   Unconnected ---------> Busy ----------> Waiting ----------------------> Connected
//!     ^  ^  ^               |  |              |  |                             ^
//!     |  |  +-- abandon ----+  +--------------|--|---------- publish ----------+
//!     |  +---------- cancelled ---------------+  |
//!     +---- take_error ---- Failed <-------------+
//! ```
//!
//! No function here acts on a descriptor number of the program after a look at the registry: the
//! program may close the number in another thread and open another file there. What sends,
//! receives, connects, disconnects or changes an epoll entry takes a [`Verified`] socket. Every
//! function is async-signal-safe.

mod closed;
mod connect;
mod connection;
mod copied;
mod copies;
mod epoll;
pub mod handshake;
mod identity;
mod image;
#[cfg(all(test, not(crossbeam_loom)))]
mod interleavings;
mod progress;
mod record;
mod registered;
mod sent;
#[cfg(all(test, not(crossbeam_loom)))]
mod tests;
mod tracker;
mod verified;
#[cfg(all(test, not(crossbeam_loom)))]
mod watched;

pub use closed::Absent;
pub use connect::{Attempt, Connect, ConnectError, Event};
pub use connection::Connection;
pub use copied::Copying;
pub use copies::Number;
pub use epoll::EpollControl;
pub use image::{Image, Standing};
pub use progress::{LONGEST_SLEEP, Progress, Wait};
pub use record::{Claim, End, InFlight, Record, SlotId, UNASKED, in_flight_count};
pub use sent::Sent;
pub use tracker::{Held, Sockets};
pub use verified::{OwnSocket, Unverified, Verified};

pub use crate::registry::SocketId;
