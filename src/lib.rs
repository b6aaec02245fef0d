//! epochsocks sends a program's connections through Tor.
#![cfg_attr(not(any(feature = "std", test)), no_std)]
pub mod bytes;
pub mod config;
pub mod policy;
pub mod program;
pub mod registry;
pub mod resolver;
pub mod socks5;
pub mod sys;
pub mod tor;
