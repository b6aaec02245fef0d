//! Libraries and symbols that a program asks the dynamic linker for.
//!
//! - [`libraries`]: dlopen, dlmopen; `search`: the file that a name stands for
//! - [`symbols`]: dlsym, dlvsym

pub mod libraries;
mod search;
pub mod symbols;
