//! Test of the Tor daemon at the address of the settings.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use epochsocks::socks5::{Command, Credentials, Error, Handshake, Host, ReplyCode, Request, Step};

/// Time limit of an answer of Tor that needs no network.
const TIME_LIMIT: Duration = Duration::from_secs(3);

/// The name of the local host: Tor refuses to look it up, at once and without a line in its log.
/// Other SOCKS servers don't know the command.
const QUESTION: Request = Request {
    command: Command::ResolvePtr,
    host: Host::Address(IpAddr::V4(Ipv4Addr::LOCALHOST)),
    port: 0,
};

/// Command not supported (RFC 1928, section 6).
const UNKNOWN_COMMAND: u8 = 7;

/// Faults of the Tor port.
#[derive(Debug)]
pub enum Problem {
    /// Nothing listens there.
    Refused,
    /// It can't be reached.
    Unreachable(io::Error),
    /// It does not speak SOCKS5, or does not let us in.
    Protocol(Error),
    /// It speaks SOCKS5 and does not know Tor's commands.
    NotTor,
    /// It does not answer in time.
    Silent,
}

/// Asks the SOCKS port at `address` a question that only Tor answers. A web server, which waits for
/// the end of a line that never comes, is asked in its own language.
pub fn examine(address: SocketAddr, credentials: Option<&Credentials>) -> Result<(), Problem> {
    match ask(address, credentials) {
        Err(Problem::Silent) if speaks_http(address).unwrap_or(false) => {
            Err(Problem::Protocol(Error::Http))
        }
        outcome => outcome,
    }
}

fn speaks_http(address: SocketAddr) -> io::Result<bool> {
    let mut stream = TcpStream::connect_timeout(&address, TIME_LIMIT)?;
    stream.set_read_timeout(Some(TIME_LIMIT))?;
    stream.write_all(b"HEAD / HTTP/1.0\r\n\r\n")?;
    let mut start = [0; 5];
    stream.read_exact(&mut start)?;
    Ok(&start == b"HTTP/")
}

fn ask(address: SocketAddr, credentials: Option<&Credentials>) -> Result<(), Problem> {
    let mut stream = TcpStream::connect_timeout(&address, TIME_LIMIT)?;
    stream.set_read_timeout(Some(TIME_LIMIT))?;
    stream.set_write_timeout(Some(TIME_LIMIT))?;
    let mut handshake = Handshake::new(&QUESTION, credentials);
    loop {
        let mut buffer = [0; 512];
        match handshake.step() {
            Step::Send(bytes) => {
                let count = stream.write(bytes)?;
                handshake.sent(count);
            }
            Step::Receive(most) => {
                let most = most.min(buffer.len());
                match receive(&mut stream, &mut buffer[..most])? {
                    0 => handshake.closed(),
                    count => handshake.received(&buffer[..count]),
                }
            }
            Step::Done(_) => return Ok(()),
            Step::Failed(Error::Refused(ReplyCode(UNKNOWN_COMMAND))) => {
                return Err(Problem::NotTor);
            }
            Step::Failed(Error::Refused(_)) => return Ok(()),
            Step::Failed(error) => return Err(Problem::Protocol(error)),
        }
    }
}

/// Receives; a reset connection is one that was closed.
fn receive(stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    match stream.read(buffer) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(0),
        outcome => outcome,
    }
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Problem {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Problem::Refused,
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Problem::Silent,
            _ => Problem::Unreachable(error),
        }
    }
}

impl fmt::Display for Problem {
    /// To be put behind the address.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Refused => f.write_str(
                "nothing listens there: start Tor (Debian: apt install tor), or name its port \
                 with --port",
            ),
            Problem::Unreachable(error) => write!(f, "can't be reached: {error}"),
            Problem::Protocol(error) => write!(f, "{error}"),
            Problem::NotTor => f.write_str(
                "a SOCKS server that is not Tor (it does not know RESOLVE_PTR): name Tor's port \
                 with --port",
            ),
            Problem::Silent => write!(
                f,
                "no answer within {} s to what Tor answers at once: is it Tor's SocksPort?",
                TIME_LIMIT.as_secs()
            ),
        }
    }
}
