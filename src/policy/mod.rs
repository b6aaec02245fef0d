//! Pure decisions: what may be opened, connected, sent to, listened on and executed. Values in, a
//! value out; the hooks and the launcher carry them out. Every function here is async-signal-safe.

pub mod address;
pub mod connect;
pub mod exec;
pub mod listen;
pub mod refusal;
pub mod socket;

pub use address::Address;
pub use connect::ConnectDecision;
pub use refusal::Refusal;
pub use socket::{SocketDecision, SocketKind};
