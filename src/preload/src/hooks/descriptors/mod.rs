//! Descriptors: closed, duplicated, replaced, and those that libc closes within a call.
//!
//! - [`close`]: close, close_range, closefrom
//! - [`duplicate`]: dup, dup2, dup3, fcntl; `dup_over`: the entry of the descriptor that is replaced
//! - [`streams`]: fclose, freopen, fdopen; [`terminal`]: daemon, login_tty, forkpty
//! - [`tables`]: unshare, clone

pub mod close;
mod dup_over;
pub mod duplicate;
pub mod streams;
pub mod tables;
pub mod terminal;
