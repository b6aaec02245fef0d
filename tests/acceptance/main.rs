//! Real programs go through a real Tor.
//!
//! - [`subject`]: a program, with and without the library
//! - [`programs`]: the programs that a user runs
//! - [`transfers`]: programs that fetch and send files, packages and keys
//! - [`languages`]: the network libraries of several languages
//! - [`event_loops`]: event loops, which must not stand still while they connect
//! - [`torsocks`]: what torsocks promises its users
//! - [`destinations`]: IPv4, IPv6 and mapped addresses, and names of every shape
//! - [`isolation`]: who shares a circuit
//! - [`registries`]: the same through every backend of the registry
//! - [`resolvers`]: programs that resolve, and cookie addresses for all names
//! - [`sockets`]: what a program sees of its sockets
//! - [`refusals`]: no Tor, and settings that make no sense
//! - [`bypasses`]: every way past Tor that a program may try
//! - [`backstop`]: what no hook sees
//! - [`redirect`]: programs that no preload library reaches, under a supervisor
//! - [`supervised`]: programs of many kinds under a supervisor, and what tries to get around it
//! - [`traps`]: the network itself
//! - [`teardown`]: what is left of it after a run

#[path = "../support/mod.rs"]
mod support;

mod backstop;
mod bypasses;
mod destinations;
mod event_loops;
mod isolation;
mod languages;
mod programs;
mod redirect;
mod refusals;
mod registries;
mod resolvers;
mod sockets;
mod subject;
mod supervised;
mod teardown;
mod torsocks;
mod transfers;
mod traps;
