//! Code that the integration tests share.
//!
//! - [`run`]: which test run this process belongs to
//! - [`preload`]: the preload library of the current sources, and commands under it
//! - [`network`]: a private network of real tor daemons, with a trap for leaked packets
//! - [`owner`]: the process that holds it
//! - [`scripted_proxy`]: a SOCKS server that does what a test tells it, right or wrong
//! - [`event_loops`]: clients that real event loops drive
//! - [`process`]: programs with a time limit, and C probes
//! - [`closed_port`]: a port at which nothing listens
//! - [`hosts_file`]: a command that sees another /etc/hosts
//! - [`skip`]: what to do where a test cannot run

// Each test binary uses a part of it.
#![allow(dead_code, unused_imports)]

pub mod closed_port;
pub mod event_loops;
pub mod hosts_file;
pub mod network;
pub mod owner;
pub mod preload;
pub mod process;
pub mod run;
pub mod scripted_proxy;
pub mod skip;

pub use network::{Asked, Network, Observed};
pub use preload::{every_preload_library, preload_library, torify};
