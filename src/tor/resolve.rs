//! Asks Tor for the address of a name and the name of an address, on a connection of its own (tor
//! answers one request per connection).

use core::fmt;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use super::{Deadline, DialError, DriveError, SocketCalls, confine_like_others, dial, drive};
use crate::socks5::{self, Answer, Credentials, Handshake, Name, ReplyCode, Request};
use crate::sys::{Errno, OwnedSocket};

/// Address of Tor, and the manner in which it is asked.
#[derive(Clone, Copy, Debug)]
pub struct Resolver<'s> {
    /// Tor's SOCKS port.
    pub port: SocketAddr,
    /// The user name and password that choose the circuit, if any.
    pub credentials: Option<&'s Credentials>,
    /// Time limit of an answer.
    pub timeout: Duration,
    /// The program's sockets are bound to the loopback interface: the one that asks is, too.
    pub is_confined: bool,
}

/// Reason that there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResolveError {
    /// No socket to ask with.
    Socket(Errno),
    /// The SOCKS port at this address was not reached.
    Dial(SocketAddr, DialError),
    /// The SOCKS port did not answer, or refused.
    Drive(DriveError),
    /// The answer is of another kind than the question.
    Mismatch,
}

impl ResolveError {
    /// The address in an answer.
    pub fn address(answer: Answer) -> Result<IpAddr, ResolveError> {
        match answer {
            Answer::Address(address) => Ok(address.to_canonical()),
            _ => Err(ResolveError::Mismatch),
        }
    }

    /// The name in an answer.
    pub fn name(answer: Answer) -> Result<Name, ResolveError> {
        match answer {
            Answer::Name(name) => Ok(name),
            _ => Err(ResolveError::Mismatch),
        }
    }

    /// Tells whether Tor has looked and found no such name: its reply is 04.
    pub fn is_unknown(&self) -> bool {
        matches!(self, ResolveError::Drive(DriveError::Protocol(socks5::Error::Refused(code)))
            if *code == ReplyCode::HOST_UNREACHABLE)
    }

    /// Tells whether a later try may help: Tor is not running, or an answer took too long.
    pub fn is_temporary(&self) -> bool {
        match self {
            ResolveError::Dial(_, error) => !matches!(error, DialError::Refused(_)),
            ResolveError::Drive(DriveError::TimedOut | DriveError::Socket(_)) => true,
            ResolveError::Drive(DriveError::Protocol(error)) => matches!(
                error,
                socks5::Error::Closed(_) | socks5::Error::Refused(ReplyCode::TTL_EXPIRED)
            ),
            ResolveError::Socket(_) | ResolveError::Mismatch => false,
        }
    }
}

impl fmt::Display for ResolveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ResolveError::Socket(errno) => write!(f, "no socket to ask Tor: {errno}"),
            ResolveError::Dial(port, error) => {
                write!(f, "can't reach the Tor port {port}: {error}")
            }
            ResolveError::Drive(error) => error.fmt(f),
            ResolveError::Mismatch => f.write_str("the SOCKS port answered another question"),
        }
    }
}

impl core::error::Error for ResolveError {}

impl Resolver<'_> {
    /// An address of `name`, by Tor's RESOLVE (torspec socks-extensions): IPv4 if the name has both
    /// kinds. Waits by `calls`; async-signal-safe.
    pub fn address(&self, calls: &impl SocketCalls, name: &Name) -> Result<IpAddr, ResolveError> {
        self.ask(calls, Request::resolve(name)).and_then(ResolveError::address)
    }

    /// The name of `address`, by Tor's RESOLVE_PTR. Waits by `calls`; async-signal-safe.
    pub fn name(&self, calls: &impl SocketCalls, address: IpAddr) -> Result<Name, ResolveError> {
        self.ask(calls, Request::resolve_address(address)).and_then(ResolveError::name)
    }

    /// A thread may end while it waits by `calls`, or jump away: nothing here has a destructor.
    #[inline(never)]
    fn ask(&self, calls: &impl SocketCalls, request: Request) -> Result<Answer, ResolveError> {
        let deadline = Deadline::after(self.timeout);
        let domain = if self.port.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
        let socket = OwnedSocket::stream(domain).map_err(ResolveError::Socket)?;
        confine_like_others(socket.fd(), self.is_confined);
        let mut handshake = Handshake::new(&request, self.credentials);
        let answer = dial(calls, socket.fd(), domain, self.port, deadline)
            .map_err(|error| ResolveError::Dial(self.port, error))
            .and_then(|()| {
                drive(calls, socket.fd(), &mut handshake, deadline).map_err(ResolveError::Drive)
            });
        socket.close();
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tor::Kernel;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    const GREETING: &[u8] = b"\x05\x01\x00";

    /// A port that takes one connection, reads as many bytes as `question` has, compares, answers.
    fn answering(question: Vec<u8>, answer: &'static [u8]) -> (SocketAddr, impl FnOnce()) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = vec![0; question.len()];
            stream.read_exact(&mut asked).unwrap();
            assert_eq!(asked, question);
            stream.write_all(answer).unwrap();
            // The client hangs up when it knows enough: nothing else is sent, and no fd is left.
            assert!(matches!(stream.read(&mut [0]), Ok(0) | Err(_)));
        });
        (port, move || server.join().unwrap())
    }

    fn resolver(port: SocketAddr) -> Resolver<'static> {
        Resolver { port, credentials: None, timeout: Duration::from_secs(20), is_confined: false }
    }

    fn question(name: &str) -> Vec<u8> {
        let length = [name.len() as u8];
        [GREETING, b"\x05\xf0\x00\x03", &length, name.as_bytes(), b"\0\0"].concat()
    }

    fn refused(code: u8) -> ResolveError {
        let error = socks5::Error::Refused(ReplyCode(code));
        ResolveError::Drive(DriveError::Protocol(error))
    }

    #[test]
    fn a_name_is_answered_with_an_address_of_either_family() {
        let name = Name::new(b"example.org").unwrap();
        let answers: [(&[u8], &str); 2] = [
            (b"\x05\0\x05\0\0\x01\xc0\0\x02\x01\0\0", "192.0.2.1"),
            (b"\x05\0\x05\0\0\x04\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\0\0", "2001:db8::1"),
        ];
        for (answer, address) in answers {
            let (port, finish) = answering(question("example.org"), answer);
            assert_eq!(resolver(port).address(&Kernel, &name), Ok(address.parse().unwrap()));
            finish();
        }
    }

    #[test]
    fn an_address_is_answered_with_a_name() {
        let question = [GREETING, b"\x05\xf1\0\x01\xc0\0\x02\x01\0\0"].concat();
        let (port, finish) = answering(question, b"\x05\0\x05\0\0\x03\x07a.bc.de\0\0");
        let name = resolver(port).name(&Kernel, "192.0.2.1".parse().unwrap());
        assert_eq!(name, Ok(Name::new(b"a.bc.de").unwrap()));
        finish();
    }

    #[test]
    fn an_unknown_name_is_told_from_a_failure() {
        let name = Name::new(b"a.example").unwrap();
        let (port, finish) = answering(question("a.example"), b"\x05\0\x05\x04\0\0\0\0\0\0\0\0");
        let error = resolver(port).address(&Kernel, &name).unwrap_err();
        assert_eq!(error, refused(4));
        assert!(error.is_unknown() && !error.is_temporary());
        finish();
        assert!(!refused(1).is_unknown());
        assert!(refused(6).is_temporary());
    }

    #[test]
    fn a_port_where_nobody_listens_is_a_temporary_failure() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap();
        drop(listener);
        let error = resolver(port).address(&Kernel, &Name::new(b"a.example").unwrap()).unwrap_err();
        assert_eq!(error, ResolveError::Dial(port, DialError::Connect(Errno(libc::ECONNREFUSED))));
        assert!(error.is_temporary() && !error.is_unknown());
    }

    #[test]
    fn a_silent_port_is_given_up_at_the_timeout() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap();
        let resolver = Resolver { timeout: Duration::from_millis(50), ..resolver(port) };
        let error = resolver.address(&Kernel, &Name::new(b"a.example").unwrap()).unwrap_err();
        assert_eq!(error, ResolveError::Drive(DriveError::TimedOut));
        assert!(error.is_temporary());
    }
}
