//! Data: read and written, with a destination, and with descriptors.
//!
//! - [`outgoing`]: send, write: data without a destination; [`formatted`]: dprintf
//! - [`send`]: sendto, sendmsg, sendmmsg: data with one, and descriptors, which `passed_descriptors` looks at
//! - [`incoming`]: recv, read; [`receive`]: recvmsg, recvmmsg, pidfd_getfd: descriptors that come in
//! - [`asynchronous`]: aio_read, aio_write, lio_listio
//! - [`transfer`]: all of them while a handshake is in flight

pub mod asynchronous;
pub mod formatted;
pub mod incoming;
pub mod outgoing;
mod passed_descriptors;
pub mod receive;
pub mod send;
pub mod transfer;
