//! The handlers of the hook table, one file per concern.

pub mod arguments;
pub mod c_types;
pub mod close;
pub mod connect;
pub mod data;
pub mod duplicate;
pub mod epoll;
pub mod exec;
pub mod inside;
mod kernel_waits;
pub mod listen;
pub mod names;
pub mod peer;
pub mod poll;
pub mod receive;
mod replaced;
pub mod select;
pub mod send;
pub mod socket;
pub mod socket_option;
pub mod socket_state;
pub mod streams;
pub mod symbol;
pub mod syscall;
pub mod terminal;
mod through_tor;
mod waiting;
