//! The handshakes in flight: what a connect leaves behind when it answers EINPROGRESS.
//!
//! | file | what |
//! | --- | --- |
//! | `table` | [`Table`]: the slots |
//! | `slot` | [`Slot`]: one handshake, and the epoll entries of its socket |
//! | `locked` | [`Locked`]: the right to change a slot, its run lock held; [`Plan`]: what is to be done |
//! | `driver` | the steps of a handshake, which the holder of the run lock takes |
//! | `look` | [`Look`]: what a step has shown; [`Owner`]: the record that learns of the end |
//! | `stage` | the use of a slot |
//! | `run_lock` | [`RunLock`]: the right to drive, a try-lock that loses no event |
//! | `cancel` | the request that a handshake end |
//! | `shared` | what forked processes share of a handshake |
//! | `entries`, `epoll_entry` | [`Entries`], [`EpollEntry`]: the registrations in epoll sets |
//! | `image` | [`SlotImage`]: a slot in another process's memory |
//! | `token` | [`Token`]: what the kernel's entry carries while the handshake is in flight |
//!
//! Every thread that uses a socket in flight drives its handshake, one at a time by the run lock; no
//! thread waits for another one's step. design/nonblocking.md has the invariants. Every function here is
//! async-signal-safe.

mod cancel;
mod driver;
mod entries;
mod epoll_entry;
mod image;
mod locked;
mod look;
#[cfg(all(test, crossbeam_loom))]
mod models;
mod run_lock;
mod shared;
mod slot;
mod stage;
mod table;
mod token;

pub use entries::{ENTRIES, Entries};
pub use epoll_entry::{EpollEntry, Interest};
pub use image::{Awaits, SlotImage};
pub use locked::{Locked, Plan};
pub use look::{Look, Owner, Report};
pub use run_lock::{RunLock, TryLock};
pub use slot::Slot;
pub use table::{CAPACITY, Table};
pub use token::Token;

/// The handshakes of this process.
pub static TABLE: Table = Table::new();
