//! A name server for programs that ask one by themselves: what a UDP socket sends to port 53 of any
//! address is answered in here, through Tor, and no datagram leaves.
//!
//! - [`sockets`]: which server each socket has asked, and thinks to be connected to
//! - [`questions`]: the questions that wait for Tor
//! - [`streams`]: questions that come by TCP
//! - [`responder`]: the loopback socket that the answers come from
//!
//! The program's own socket is connected to the responder, and the answer is a datagram to it: the
//! kernel tells everyone who waits for the socket, in whatever way. Everything here is
//! async-signal-safe.

pub mod questions;
pub mod responder;
pub mod sockets;
pub mod streams;
