//! The hooks: the table against the world, and what each hook does to a real program.

#[path = "../support/mod.rs"]
mod support;

mod bypasses;
mod cancellation;
mod datagrams;
mod denied_calls;
mod descriptors;
mod direct;
mod document;
mod errnos;
mod filters;
mod forks;
mod headers;
mod helper;
#[cfg(target_arch = "x86_64")]
mod injection;
mod left_behind;
mod loaded_libraries;
mod log;
mod passing;
mod proxy_variables;
mod scene;
mod second_libc;
mod sockets;
mod storm;
mod symbols;
mod table;
mod tables;
mod tor_port;
mod unseen_sockets;
mod unusual_programs;
