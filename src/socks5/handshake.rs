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
    /// A handshake for nothing, which [`Handshake::renew`] makes one for a request.
    pub const EMPTY: Handshake = Handshake {
        state: State::Awaits(Awaited::Method),
        command: Command::Connect,
        offered: method::NONE,
        sent: 0,
        released: 0,
        read: 0,
        output: Bytes::EMPTY,
        received: Bytes::EMPTY,
    };

    /// A handshake for `request`. With `credentials`, user name and password is the only method
    /// offered: a server that wants none fails the handshake, since isolation would be lost.
    pub fn new(request: &Request, credentials: Option<&Credentials>) -> Handshake {
        let mut handshake = Handshake::EMPTY;
        handshake.renew(request, credentials);
        handshake
    }

    /// Makes it what [`Handshake::new`] gives, in place: it is large.
    pub fn renew(&mut self, request: &Request, credentials: Option<&Credentials>) {
        self.command = request.command;
        self.offered = if credentials.is_some() { method::PASSWORD } else { method::NONE };
        self.output.clear();
        self.output.extend(&[VERSION, 1, self.offered]);
        if let Some(credentials) = credentials {
            credentials.encode(&request.host, &mut self.output);
        }
        request.encode(&mut self.output);
        self.restart();
    }

    /// Goes to the start: nothing was sent and nothing has arrived.
    fn restart(&mut self) {
        self.state = State::Awaits(Awaited::Method);
        (self.sent, self.read) = (0, 0);
        self.received.clear();
        self.released = match self.offered {
            method::PASSWORD => GREETING as u16,
            _ => self.output.len() as u16,
        };
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
        self.restart();
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
        while let State::Awaits(awaited) = self.state
            && self.unsent().is_empty()
            && !left.is_empty()
        {
            let most = self.receivable(awaited);
            let (piece, rest) = left.split_at_checked(most).unwrap_or((left, &[]));
            self.received.extend(piece);
            self.judge();
            left = rest;
        }
    }

    /// Judges the messages that have arrived.
    fn judge(&mut self) {
        while let State::Awaits(awaited) = self.state {
            match self.length(awaited) {
                Err(error) => self.state = State::Failed(error),
                Ok(length) if length <= self.message().len() => self.finish(awaited, length),
                Ok(_) => return,
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
        self.length(awaited).map_or(0, |length| length.saturating_sub(self.message().len()))
            + replies
    }

    /// Length of the awaited message, or the least that it can be, judged by what has arrived of it.
    fn length(&self, awaited: Awaited) -> Result<usize, Error> {
        let message = self.message();
        match awaited {
            Awaited::Method => reply::check_method(message, self.offered).map(|()| reply::SHORT),
            Awaited::Authentication => reply::check_authentication(message).map(|()| reply::SHORT),
            Awaited::Reply => reply::check_reply(message),
        }
    }

    /// The awaited message, of `length` bytes, is whole and good.
    fn finish(&mut self, awaited: Awaited, length: usize) {
        self.state = match awaited {
            Awaited::Method if self.offered == method::PASSWORD => {
                State::Awaits(Awaited::Authentication)
            }
            Awaited::Method | Awaited::Authentication => State::Awaits(Awaited::Reply),
            Awaited::Reply => State::Complete,
        };
        if !matches!(self.state, State::Complete) {
            self.released = self.output.len() as u16;
            self.read += length as u16;
        }
    }
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
