//! Sockets: made, connected, named, set, and refused.

pub mod connect;
mod helper;
pub mod io_uring;
pub mod listen;
pub mod option;
pub mod peer_name;
pub mod refused_libc;
pub mod socket;
pub mod state;
pub mod tor_connect;
