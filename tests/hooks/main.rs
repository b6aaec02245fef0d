//! The hooks: the table against the world, and what each hook does to a real program.

#[path = "../support/mod.rs"]
mod support;

mod behaviour;
mod cancellation;
mod datagrams;
mod denied_calls;
mod direct;
mod document;
mod errnos;
mod fd_life;
mod filters;
mod forks;
mod headers;
#[cfg(target_arch = "x86_64")]
mod injection;
mod left_behind;
mod log;
mod odd_hosts;
mod passing;
mod proxy_variables;
mod scene;
mod second_libc;
mod storm;
mod symbols;
mod table;
mod tables;
mod tor_port;
mod ways_out;
