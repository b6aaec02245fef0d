//! The record of the registry's own tests.

use core::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::Relaxed};

use super::{Payload, SocketId};

/// Records that are connected, and were not told yet that their last descriptor is closed.
static OPEN: AtomicUsize = AtomicUsize::new(0);

/// A record that is written once.
#[derive(Debug)]
pub struct TestRecord {
    id: SocketId,
    /// Destination; 0 before it is connected.
    port: AtomicU32,
    /// It is counted in [`OPEN`], and wants to hear of the close.
    is_open: AtomicBool,
}

#[cfg_attr(crossbeam_loom, expect(dead_code, reason = "models connect nothing"))]
impl TestRecord {
    /// Connects the record; says whether it was unconnected.
    pub fn connect(&self, port: u16) -> bool {
        // Relaxed, as all here: the tests read what their own calls have ordered.
        self.port.compare_exchange(0, port.into(), Relaxed, Relaxed).is_ok()
    }

    /// As [`TestRecord::connect`]; the record then hears of the close of its last descriptor.
    pub fn connect_until_closed(&self, port: u16) {
        self.connect(port);
        OPEN.fetch_add(1, Relaxed);
        self.is_open.store(true, Relaxed);
    }

    /// Destination of the record.
    pub fn port(&self) -> Option<u16> {
        Some(self.port.load(Relaxed) as u16).filter(|port| *port != 0)
    }

    /// Number of records that were connected by [`TestRecord::connect_until_closed`] and are not
    /// closed.
    pub fn open_count() -> usize {
        OPEN.load(Relaxed)
    }
}

impl Payload for TestRecord {
    fn new(id: SocketId) -> Self {
        TestRecord { id, port: AtomicU32::new(0), is_open: AtomicBool::new(false) }
    }

    fn id(&self) -> SocketId {
        self.id
    }

    unsafe fn renew(memory: *mut Self, id: SocketId) {
        // SAFETY: the caller's.
        unsafe {
            (&raw mut (*memory).id).write(id);
            (*memory).port.store(0, Relaxed);
            (*memory).is_open.store(false, Relaxed);
        }
    }

    unsafe fn must_hear_of_close(memory: *const Self) -> bool {
        // SAFETY: an atomic that was written before.
        unsafe { (*memory).is_open.load(Relaxed) }
    }

    fn last_descriptor_closed(&self) {
        if self.is_open.swap(false, Relaxed) {
            OPEN.fetch_sub(1, Relaxed);
        }
    }
}
