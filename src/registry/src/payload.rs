//! The record that the descriptors of one socket lead to, as the registry sees it.

use super::SocketId;

/// A record. The registry makes it, hands out references to it, and reuses its memory; it reads
/// nothing of it but the identity of its socket.
pub trait Payload: Send + Sync + Sized + 'static {
    /// The record of the socket `id`, which no other caller has seen yet. Async-signal-safe.
    fn new(id: SocketId) -> Self;

    /// The identity of the socket. Async-signal-safe.
    fn id(&self) -> SocketId;

    /// Makes a new record in memory that no other caller reads but by
    /// [`Payload::must_hear_of_close`]. Async-signal-safe.
    ///
    /// # Safety
    /// `memory` is good for a record, and the caller's.
    #[inline(always)]
    unsafe fn renew(memory: *mut Self, id: SocketId) {
        // SAFETY: the caller's.
        unsafe { memory.write(Self::new(id)) };
    }

    /// Says whether the record at `memory`, in any life of this memory, must be told of the close of
    /// its last descriptor. Async-signal-safe.
    ///
    /// # Safety
    /// A record was made at `memory` before. [`Payload::renew`] may run at the same time: both access the
    /// memory atomically where they overlap.
    #[inline(always)]
    unsafe fn must_hear_of_close(_memory: *const Self) -> bool {
        false
    }

    /// Takes note that the last descriptor of this process is closed. The record may be told more than
    /// once. Async-signal-safe.
    fn last_descriptor_closed(&self) {}
}
