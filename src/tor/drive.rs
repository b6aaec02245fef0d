//! Runs a SOCKS5 handshake on a connected socket.

use core::fmt;

use super::{Deadline, SocketCalls};
use crate::socks5::{self, Answer, Handshake, Step};
use crate::sys::{Errno, net};

/// The largest piece that is received at once, in bytes: no SOCKS5 reply is longer.
const PIECE: usize = 512;

/// Reason that a handshake ended without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DriveError {
    /// The peer broke the protocol or refused.
    Protocol(socks5::Error),
    /// The socket failed.
    Socket(Errno),
    /// The deadline passed: `ETIMEDOUT`.
    TimedOut,
}

impl DriveError {
    /// The errno for the program.
    pub fn errno(&self) -> Errno {
        match self {
            DriveError::Protocol(error) => error.errno(),
            DriveError::Socket(errno) => *errno,
            DriveError::TimedOut => Errno(libc::ETIMEDOUT),
        }
    }
}

impl fmt::Display for DriveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DriveError::Protocol(error) => error.fmt(f),
            DriveError::Socket(errno) => {
                write!(f, "the connection to the Tor port failed: {errno}")
            }
            DriveError::TimedOut => f.write_str(
                "the Tor port did not answer in time: the network is slow, or TorPort is not Tor's \
                 SocksPort",
            ),
        }
    }
}

/// Progress of [`advance`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "there is no allocator to box the answer with")]
pub enum Advance {
    /// The socket must first give one of these events: `POLLIN` or `POLLOUT`.
    Waits(i16),
    /// The proxy did what was asked.
    Done(Answer),
}

/// Drives `handshake` on `fd` as far as it goes without waiting, whether or not the socket is
/// O_NONBLOCK, and also while the socket is still connecting. Reads no byte past the last reply, and
/// none in the same call in which it sent: no proxy answers that soon.
pub fn advance(fd: i32, handshake: &mut Handshake) -> Result<Advance, DriveError> {
    let mut has_sent = false;
    loop {
        let (result, waits_for) = match handshake.step() {
            Step::Done(answer) => return Ok(Advance::Done(answer)),
            Step::Failed(error) => return Err(DriveError::Protocol(error)),
            Step::Send(bytes) => {
                let sent = net::send_now(fd, bytes);
                has_sent = true;
                (sent.map(|count| handshake.sent(count)), libc::POLLOUT)
            }
            Step::Receive(_) if has_sent => return Ok(Advance::Waits(libc::POLLIN)),
            Step::Receive(most) => (receive(fd, handshake, most), libc::POLLIN),
        };
        match result {
            Ok(()) | Err(Errno(libc::EINTR)) => {}
            Err(Errno(libc::EAGAIN)) => return Ok(Advance::Waits(waits_for)),
            Err(errno) => return Err(DriveError::Socket(errno)),
        }
    }
}

/// Drives `handshake` on `fd` to its end, whether or not the socket is O_NONBLOCK. Signals do not
/// end it early; `deadline` bounds it. Reads no byte past the last reply.
pub fn drive(
    calls: &impl SocketCalls,
    fd: i32,
    handshake: &mut Handshake,
    deadline: Deadline,
) -> Result<Answer, DriveError> {
    loop {
        match advance(fd, handshake)? {
            Advance::Done(answer) => return Ok(answer),
            Advance::Waits(events) => wait(calls, fd, events, deadline)?,
        }
    }
}

fn receive(fd: i32, handshake: &mut Handshake, most: usize) -> Result<(), Errno> {
    let mut bytes = [0; PIECE];
    let piece = &mut bytes[..most.min(PIECE)];
    match net::receive_now(fd, piece)? {
        0 => handshake.closed(),
        count => handshake.received(&piece[..count.min(piece.len())]),
    }
    Ok(())
}

/// Waits for `events` on `fd` through signals, until `deadline`.
pub(super) fn wait(
    calls: &impl SocketCalls,
    fd: i32,
    events: i16,
    deadline: Deadline,
) -> Result<(), DriveError> {
    loop {
        let Some(left) = deadline.remaining() else { return Err(DriveError::TimedOut) };
        match calls.poll(fd, events, left) {
            Ok(0) | Err(Errno(libc::EINTR)) => {}
            Ok(ready) if ready & libc::POLLNVAL != 0 => {
                return Err(DriveError::Socket(Errno(libc::EBADF)));
            }
            Ok(_) => return Ok(()),
            Err(errno) => return Err(DriveError::Socket(errno)),
        }
    }
}
