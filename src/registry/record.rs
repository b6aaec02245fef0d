//! The record of one inet stream socket: what an open file description is, and where it leads.

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::net::SocketAddr;
use core::sync::atomic::{
    AtomicU32,
    Ordering::{AcqRel, Acquire, Release},
};

/// The kernel's `SO_COOKIE` of a socket: 64 bits that it never gives to another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cookie(pub u64);

/// Where a torified socket leads. Immutable once it is visible (guarantee A).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    /// The address that the program asked for (a cookie address for an onion name): what
    /// `getpeername` answers.
    pub destination: SocketAddr,
}

/// How far a socket is on its way through Tor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Phase {
    /// No connect was asked for, or the last one failed.
    Unconnected = 0,
    /// One caller holds the [`Claim`] and runs the handshake.
    Connecting = 1,
    /// The connection is published.
    Connected = 2,
}

/// Why a connect can't begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BeginError {
    /// Another caller, on this descriptor or a duplicate, is at it: `EALREADY`.
    Already,
    /// The socket is connected: `EISCONN`.
    IsConnected,
}

/// The right to run the one handshake of a record. It holds no borrow, so that it may be kept
/// across a blocking call; it has no destructor, so that a cancelled thread unwinds past it.
#[must_use = "a claim must end in publish or abandon"]
#[derive(Debug)]
pub struct Claim(());

/// One inet stream socket, however many descriptors name it.
#[derive(Debug)]
pub struct Record {
    cookie: Cookie,
    phase: AtomicU32,
    connection: UnsafeCell<MaybeUninit<Connection>>,
}

// SAFETY: `connection` is written only by the holder of the one claim, before the Release store of
// `Connected`, and read only after an Acquire load has seen it.
unsafe impl Sync for Record {}

impl Record {
    /// A record of the socket that the kernel calls `cookie`, not connected yet.
    pub const fn new(cookie: Cookie) -> Self {
        Record {
            cookie,
            phase: AtomicU32::new(Phase::Unconnected as u32),
            connection: UnsafeCell::new(MaybeUninit::uninit()),
        }
    }

    /// The identity of the socket. Async-signal-safe.
    pub fn cookie(&self) -> Cookie {
        self.cookie
    }

    /// How far the socket is. Async-signal-safe.
    pub fn phase(&self) -> Phase {
        // Acquire pairs with the Release in `publish`.
        match self.phase.load(Acquire) {
            0 => Phase::Unconnected,
            1 => Phase::Connecting,
            _ => Phase::Connected,
        }
    }

    /// Takes the right to connect in one atomic step (guarantee G's twin for double connects).
    /// Async-signal-safe.
    pub fn begin_connect(&self) -> Result<Claim, BeginError> {
        // Acquire pairs with the Release in `abandon`: the failed attempt's writes are over.
        match self.phase.compare_exchange(
            Phase::Unconnected as u32,
            Phase::Connecting as u32,
            AcqRel,
            Acquire,
        ) {
            Ok(_) => Ok(Claim(())),
            Err(phase) if phase == Phase::Connecting as u32 => Err(BeginError::Already),
            Err(_) => Err(BeginError::IsConnected),
        }
    }

    /// Makes `connection` visible, for good. Async-signal-safe.
    pub fn publish(&self, claim: Claim, connection: Connection) {
        let Claim(()) = claim;
        // SAFETY: the claim is the only one of this record, and no reader looks before Connected.
        unsafe { (*self.connection.get()).write(connection) };
        // Release pairs with the Acquire in `phase` and `connection`.
        self.phase.store(Phase::Connected as u32, Release);
    }

    /// Gives the claim back after a failure; the next connect may begin. Async-signal-safe.
    pub fn abandon(&self, claim: Claim) {
        let Claim(()) = claim;
        // Release pairs with the Acquire in `begin_connect`.
        self.phase.store(Phase::Unconnected as u32, Release);
    }

    /// The connection, if one was published. Async-signal-safe.
    pub fn connection(&self) -> Option<&Connection> {
        // SAFETY: Connected was seen with Acquire, so the Connection is written and immutable.
        (self.phase() == Phase::Connected)
            .then(|| unsafe { (*self.connection.get()).assume_init_ref() })
    }
}
