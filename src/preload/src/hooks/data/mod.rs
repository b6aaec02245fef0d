//! Data: read and written, with a destination, and with descriptors.

pub mod asynchronous;
pub mod formatted;
pub mod incoming;
pub mod outgoing;
mod passed_descriptors;
pub mod receive;
pub mod send;
pub mod transfer;
