//! Pure decisions: what may be opened, connected, sent to, listened on and executed. Values in, a
//! value out; the hooks and the launcher carry them out. Every function here is async-signal-safe.
//!
//! - [`address`]: a program's `sockaddr` as a value
//! - [`socket`], [`connect`], [`send`], [`listen`], [`option`]: what a program may do with sockets
//! - [`pass`]: descriptors that come from another process, or go to a new program
//! - [`exec`]: which programs are run; [`unprotected`]: which of them without the library
//! - [`helper`]: programs that act for others
//! - [`refusal`]: the errno and the line of each refusal

pub mod address;
pub mod connect;
pub mod exec;
pub mod helper;
pub mod listen;
pub mod option;
pub mod pass;
pub mod refusal;
pub mod send;
pub mod socket;
pub mod unprotected;

pub use address::Address;
pub use connect::ConnectDecision;
pub use option::OptionDecision;
pub use pass::PassDecision;
pub use refusal::Refusal;
pub use send::SendDecision;
pub use socket::{SocketDecision, SocketKind};
