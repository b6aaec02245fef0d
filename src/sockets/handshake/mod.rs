//! The handshakes in flight: what a connect leaves behind when it answers EINPROGRESS.
//!
//! | file | what |
//! | --- | --- |
//! | `table` | [`Table`]: the slots |
//! | `slot` | [`Slot`]: one handshake, and the epoll entries of its socket; its driver |
//! | `stage` | the use of a slot |
//! | `run_lock` | [`RunLock`]: the right to drive, a try-lock that loses no event |
//! | `cancel` | the request that a handshake end |
//! | `shared` | what forked processes share of a handshake |
//! | `epoll_entry` | [`EpollEntry`]: one registration in an epoll set |
//! | `token` | [`Token`]: what the kernel's entry carries while the handshake is in flight |
//!
//! Every thread that uses a socket in flight drives its handshake, one at a time by the run lock; no
//! thread waits for another. design/nonblocking.md has the invariants. Every function here is
//! async-signal-safe.

mod cancel;
mod epoll_entry;
#[cfg(all(test, crossbeam_loom))]
mod models;
mod run_lock;
mod shared;
mod slot;
mod stage;
mod table;
mod token;

pub use epoll_entry::{ENTRIES, EpollEntry, Interest};
pub use run_lock::{RunLock, TryLock};
pub use slot::{Locked, Look, Owner, Plan, Report, Slot};
pub use table::{CAPACITY, Table};
pub use token::Token;

/// The number of a slot of the table.
pub type SlotId = u32;

/// The handshakes of this process.
pub static TABLE: Table = Table::new();
