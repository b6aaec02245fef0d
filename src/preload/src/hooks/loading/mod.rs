//! Libraries and symbols that a program asks the dynamic linker for.

pub mod libraries;
mod search;
pub mod symbols;
