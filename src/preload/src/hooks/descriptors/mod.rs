//! Descriptors: closed, duplicated, replaced, and those that libc closes within a call.

pub mod close;
mod dup_over;
pub mod duplicate;
pub mod streams;
pub mod tables;
pub mod terminal;
