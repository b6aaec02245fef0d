//! Data: read and written, with a destination, and with descriptors.

mod passed_descriptors;
pub mod outgoing;
pub mod receive;
pub mod send;
pub mod transfer;
