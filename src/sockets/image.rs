//! A record as its bytes lie in another process's memory, for the live view.

use super::{Connection, Record, SlotId, SocketId};
use crate::bytes::{Plain, plain};
use crate::sys::Errno;

/// A copy of the bytes of a [`Record`]. Any bytes make one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Image {
    id: u64,
    state: u64,
    connection: Connection,
}

// SAFETY: integers in C's layout, without padding.
unsafe impl Plain for Image {}

/// State of a record, as far as its bytes tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// No connect has begun.
    Unconnected,
    /// A thread begins a connect at this moment.
    Claimed,
    /// A handshake is in flight.
    InFlight,
    /// The destination is reached.
    Connected,
    /// The connect has failed, and the program has not been told.
    Failed(Errno),
}

impl Image {
    /// The length of a record, in bytes.
    pub const SIZE: usize = size_of::<Image>();

    /// The record in `bytes`.
    pub fn parse(bytes: &[u8; Image::SIZE]) -> Image {
        plain(bytes)
    }

    /// The identity of the socket.
    pub fn id(&self) -> SocketId {
        SocketId(self.id)
    }

    /// Says whether nothing has happened between two looks: each step gives the state another value, and
    /// each attempt another number.
    pub fn is_same_step(&self, other: &Image) -> bool {
        (self.id, self.state) == (other.id, other.state)
    }

    /// State of the connect.
    pub fn standing(&self) -> Standing {
        Record::standing(self.state)
    }

    /// The slot of its handshake or of its epoll entries.
    pub fn slot(&self) -> Option<SlotId> {
        Record::slot_in(self.state)
    }

    /// Destination that it leads to, or is about to.
    pub fn connection(&self) -> Option<&Connection> {
        let is_written = matches!(self.standing(), Standing::InFlight | Standing::Connected);
        is_written.then_some(&self.connection)
    }
}

#[cfg(all(test, not(crossbeam_loom)))]
mod tests {
    use super::*;
    use crate::socks5::Isolation;

    fn image(record: &Record) -> Image {
        // SAFETY: a record's own bytes; the connection, which may be uninitialised, is not looked at.
        unsafe { core::ptr::from_ref(record).cast::<Image>().read() }
    }

    #[test]
    fn the_bytes_of_a_record_say_what_it_says() {
        assert_eq!(size_of::<Record>(), Image::SIZE);
        let connection = Connection::new("192.0.2.1:80".parse().unwrap(), 5, Isolation::Process);
        let record = Record::new(SocketId(7));

        assert_eq!((record.id(), record.slot()), (SocketId(7), None));
        let claim = record.begin_connect().unwrap();
        let attempt = record.send_off(claim, connection, 3);
        let seen = image(&record);
        assert_eq!(
            (seen.id(), seen.standing(), seen.slot()),
            (SocketId(7), Standing::InFlight, Some(3))
        );
        assert_eq!(seen.connection(), Some(&connection));
        let progress = crate::sockets::Progress::Failed(Errno(libc::ECONNREFUSED));
        record.complete(
            attempt,
            crate::sockets::End {
                progress,
                stays_connected: false,
                keeps_slot: false,
                is_told: false,
            },
        );
        let later = image(&record);
        assert_eq!(later.standing(), Standing::Failed(Errno(libc::ECONNREFUSED)));
        assert_eq!((later.connection(), seen.is_same_step(&later)), (None, false));
        record.take_error();
        let claim = record.begin_connect().unwrap();
        let claimed = image(&record);
        assert_eq!(claimed.standing(), Standing::Claimed);
        record.publish(claim, connection);
        assert_eq!(image(&record).connection(), Some(&connection));
    }
}
