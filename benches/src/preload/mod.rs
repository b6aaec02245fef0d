//! Processes under our library, torsocks and proxychains4.
//!
//! - [`torifier`]: the libraries, and how each is told where its proxy is
//! - [`programs`]: the C programs that run under them
//! - [`socks_server`]: what they connect through
//! - [`private_network`]: real tor daemons, to connect through these
//! - [`startup`], [`hooks`], [`connections`], [`threads`]: the experiments

pub mod connections;
pub mod hooks;
pub mod private_network;
pub mod programs;
pub mod socks_server;
pub mod startup;
pub mod threads;
pub mod torifier;
