//! Sockets: made, connected, named, set, and refused.
//!
//! - [`socket`]: socket, socketpair
//! - [`connect`]: connect; [`tor_connect`]: its way through Tor; `helper`: a warning about whom it reaches
//! - [`peer_name`]: getpeername; [`state`]: getsockopt, ioctl, shutdown; [`option`]: setsockopt
//! - [`listen`]: bind, listen, accept
//! - [`refused_libc`], [`io_uring`]: what is always refused

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
