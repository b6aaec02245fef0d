//! Processes under our library, torsocks and proxychains4.
//!
//! - [`torifier`]: the libraries, and how each is told where its proxy is
//! - [`programs`]: the C programs that run under them
//! - [`socks_server`]: what they connect through
//! - [`slow_server`]: the same for loops that must not stand still
//! - [`private_network`]: real tor daemons, to connect through these
//! - [`backstop`], [`startup`], [`hooks`], [`connections`], [`threads`], [`loops`]: the experiments

pub mod backstop;
pub mod connections;
pub mod hooks;
pub mod loops;
pub mod private_network;
pub mod programs;
pub mod slow_server;
pub mod socks_server;
pub mod startup;
pub mod threads;
pub mod torifier;
