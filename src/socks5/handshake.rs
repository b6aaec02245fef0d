//! The client's side of a handshake, as a state machine that does no I/O.
//!
//! ```text
//! no credentials: send greeting + request -> method -> reply -> answer
//! credentials:    send greeting -> method -> send password + request -> status -> reply -> answer
//! ```
//! These are the fewest round trips that tor accepts: it loses the method selection when greeting,
//! password and request arrive in one piece. Any message that breaks the rules ends in `Failed`.

use core::fmt;

use super::reply::{self, Answer};
use super::{Awaited, Command, Credentials, Error, Request, VERSION, method};
use crate::bytes::Bytes;

/// All that the server says in one handshake at its longest: method, status, reply.
pub const TRANSCRIPT: usize = 2 * reply::SHORT + reply::LONGEST;

/// The greeting: version, one method, its number.
const GREETING: usize = 3;
/// Greeting, password and request at their longest.
const OUTPUT: usize = GREETING + Credentials::ENCODED + Request::ENCODED;

/// One handshake, from greeting to answer: plain data without a pointer. Every method is async-signal-safe, and none panics.
///
/// The driver does what [`Handshake::step`] says and reports with [`Handshake::sent`],
/// [`Handshake::received`] or [`Handshake::closed`], until the step is `Done` or `Failed`.
#[derive(Clone)]
#[repr(C)]
pub struct Handshake {
    state: State,
    command: Command,
    /// The one method that the greeting offers.
    offered: u8,
    /// Number of bytes of `output` that were sent.
    sent: u16,
    /// Number of bytes of `output` that may be sent before the next message of the server.
    released: u16,
    /// Number of bytes of `received` that are whole messages: the awaited one follows.
    read: u16,
    output: Bytes<OUTPUT>,
    /// All that has arrived.
    received: Bytes<TRANSCRIPT>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Awaits(Awaited),
    /// The last message is a whole reply.
    Complete,
    Failed(Error),
}

/// Next step of the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "there is no allocator to box the answer with")]
pub enum Step<'a> {
    /// Send these bytes, never none; any part of them will do.
    Send(&'a [u8]),
    /// Receive at least one byte and at most this number: no more belong to the handshake, for the
    /// byte after it is the application's.
    Receive(usize),
    /// The proxy did what was asked.
    Done(Answer),
    /// It did not, or can't be understood. The connection is of no use any more.
    Failed(Error),
}

impl Handshake {
    /// A handshake for `request`. With `credentials`, user name and password is the only method
    /// offered: a server that wants none fails the handshake, since isolation would be lost.
    pub fn new(request: &Request, credentials: Option<&Credentials>) -> Handshake {
        let offered = if credentials.is_some() { method::PASSWORD } else { method::NONE };
        let mut output = Bytes::EMPTY;
        output.extend(&[VERSION, 1, offered]);
        if let Some(credentials) = credentials {
            credentials.encode(&request.host, &mut output);
        }
        request.encode(&mut output);
        Handshake {
            state: State::Awaits(Awaited::Method),
            command: request.command,
            offered,
            sent: 0,
            released: released_at_first(offered, &output),
            read: 0,
            output,
            received: Bytes::EMPTY,
        }
    }

    /// State of the handshake: the number of bytes sent, and the bytes received. Another copy of it
    /// comes as far by [`Handshake::resume`].
    pub fn transcript(&self) -> (u16, &[u8]) {
        (self.sent, self.received.as_slice())
    }

    /// Goes from the start to where another copy of this handshake said that it was. The transcript
    /// may come from an untrusted process: it is judged as the server's own bytes are. Says whether
    /// all of it belongs to the handshake.
    pub fn resume(&mut self, sent: u16, received: &[u8]) -> bool {
        self.state = State::Awaits(Awaited::Method);
        self.released = released_at_first(self.offered, &self.output);
        (self.sent, self.read, self.received) = (0, 0, Bytes::EMPTY);
        let mut left = received;
        loop {
            match self.step() {
                Step::Send(bytes) => {
                    let count = bytes.len().min(usize::from(sent.saturating_sub(self.sent)));
                    if count == 0 {
                        break;
                    }
                    self.sent(count);
                }
                Step::Receive(_) if left.is_empty() => break,
                Step::Receive(most) => {
                    let (piece, rest) = left.split_at_checked(most).unwrap_or((left, &[]));
                    self.received(piece);
                    left = rest;
                }
                Step::Done(_) | Step::Failed(_) => break,
            }
        }
        self.sent == sent && left.is_empty()
    }

    /// The message that the server owes; `None` before it was sent anything, and at the end.
    pub fn awaited(&self) -> Option<Awaited> {
        match self.state {
            State::Awaits(awaited) if self.sent != 0 => Some(awaited),
            _ => None,
        }
    }

    /// Next step of the caller. The call changes nothing.
    pub fn step(&self) -> Step<'_> {
        match self.state {
            State::Failed(error) => Step::Failed(error),
            State::Complete => match reply::answer(self.message(), self.command) {
                Ok(answer) => Step::Done(answer),
                Err(error) => Step::Failed(error),
            },
            State::Awaits(awaited) => match self.unsent() {
                [] => Step::Receive(self.receivable(awaited)),
                bytes => Step::Send(bytes),
            },
        }
    }

    /// Reports that the first `count` bytes of [`Step::Send`] were sent.
    pub fn sent(&mut self, count: usize) {
        let unsent = self.unsent().len();
        self.sent += count.min(unsent) as u16;
    }

    /// Reports what arrived in answer to [`Step::Receive`]. Bytes beyond the number that it names
    /// are ignored, so a driver must never have taken them off the socket.
    pub fn received(&mut self, bytes: &[u8]) {
        let mut left = bytes;
        while !left.is_empty() {
            match self.state {
                State::Awaits(awaited) if self.unsent().is_empty() => {
                    left = self.take(awaited, left);
                }
                _ => return,
            }
        }
    }

    /// Reports that the server closed the connection (a receive of 0 bytes, `EPIPE` or
    /// `ECONNRESET`).
    pub fn closed(&mut self) {
        if let State::Awaits(awaited) = self.state {
            self.state = State::Failed(Error::Closed(awaited));
        }
    }

    /// The part of the awaited message that has arrived, or the last one.
    fn message(&self) -> &[u8] {
        self.received.as_slice().get(usize::from(self.read)..).unwrap_or(&[])
    }

    fn unsent(&self) -> &[u8] {
        let range = usize::from(self.sent)..usize::from(self.released);
        self.output.as_slice().get(range).unwrap_or(&[])
    }

    /// Least number of bytes that the server still owes, from the awaited message to the reply's
    /// end.
    fn receivable(&self, awaited: Awaited) -> usize {
        let replies = match awaited {
            // It says no more before it has seen the password.
            Awaited::Method if self.offered == method::PASSWORD => 0,
            Awaited::Method | Awaited::Authentication => reply::SHORTEST,
            Awaited::Reply => 0,
        };
        self.missing(awaited).unwrap_or(0) + replies
    }

    /// Least number of bytes that the awaited message lacks, judged by what has arrived of it.
    fn missing(&self, awaited: Awaited) -> Result<usize, Error> {
        let message = self.message();
        let length = match awaited {
            Awaited::Method => reply::check_method(message, self.offered).map(|()| reply::SHORT),
            Awaited::Authentication => reply::check_authentication(message).map(|()| reply::SHORT),
            Awaited::Reply => reply::check_reply(message),
        };
        length.map(|length| length.saturating_sub(message.len()))
    }

    /// Adds to the awaited message as many bytes as it is sure to lack, and goes on to the next message
    /// where it is whole. Returns the rest.
    fn take<'b>(&mut self, awaited: Awaited, bytes: &'b [u8]) -> &'b [u8] {
        let missing = self.missing(awaited).unwrap_or(0);
        let (piece, rest) = bytes.split_at_checked(missing).unwrap_or((bytes, &[]));
        self.received.extend(piece);
        match self.missing(awaited) {
            Err(error) => self.state = State::Failed(error),
            Ok(0) => self.finish(awaited),
            Ok(_) => {}
        }
        rest
    }

    /// The awaited message is whole and good.
    fn finish(&mut self, awaited: Awaited) {
        self.state = match awaited {
            Awaited::Method if self.offered == method::PASSWORD => {
                State::Awaits(Awaited::Authentication)
            }
            Awaited::Method | Awaited::Authentication => State::Awaits(Awaited::Reply),
            Awaited::Reply => State::Complete,
        };
        if !matches!(self.state, State::Complete) {
            self.released = self.output.len() as u16;
            self.read = self.received.len() as u16;
        }
    }
}

/// As many bytes as may be sent before the server's first message.
fn released_at_first(offered: u8, output: &Bytes<OUTPUT>) -> u16 {
    if offered == method::PASSWORD { GREETING as u16 } else { output.len() as u16 }
}

/// Without `output`, which holds the password.
impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshake")
            .field("state", &self.state)
            .field("command", &self.command)
            .field("sent", &self.sent)
            .field("received", &self.received)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
