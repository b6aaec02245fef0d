//! The self-test's child: does what any program does, through the C library, and tells how it went.
//!
//! Its output is one line a step, `STEP RESULT`, where the result is what the call gave or
//! `error: ` and why not.

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::time::Duration;

use super::origin::PAGE;
use super::proxy::{NAME, ONION, PORT};

/// Time limit of a server's silence.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// Runs the probe; its arguments are the addresses of the TCP and the UDP trap.
pub fn run(arguments: &[OsString]) -> i32 {
    let traps = arguments.iter().filter_map(|trap| trap.to_str()?.parse().ok());
    let [tcp, udp] = traps.collect::<Vec<SocketAddr>>()[..] else { return 2 };
    visit("name", "peer", "page", NAME);
    visit("onion", "onion-peer", "onion-page", ONION);
    tell("direct-tcp", TcpStream::connect(tcp).map(|_| "connected"));
    tell("direct-udp", send(udp).map(|_| "sent"));
    0
}

/// Resolves `name`, connects to what that gave, and fetches a page.
fn visit(name_step: &str, peer_step: &str, page_step: &str, name: &str) {
    let found = (name, PORT).to_socket_addrs();
    let found = found.and_then(|mut found| found.next().ok_or(io::ErrorKind::NotFound.into()));
    let Some(address) = tell(name_step, found) else { return };
    let stream = TcpStream::connect(address);
    let Some(stream) = stream.map_err(|error| tell::<&str>(page_step, Err(error))).ok() else {
        return;
    };
    tell(peer_step, stream.peer_addr());
    tell(page_step, fetch(stream, name));
}

fn fetch(mut stream: TcpStream, host: &str) -> io::Result<&'static str> {
    stream.set_read_timeout(Some(TIME_LIMIT))?;
    write!(stream, "GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    match answer.starts_with("HTTP/1.1 200 ") && answer.ends_with(PAGE) {
        true => Ok("whole"),
        false => Err(io::Error::other("another page")),
    }
}

fn send(trap: SocketAddr) -> io::Result<usize> {
    UdpSocket::bind("127.0.0.1:0")?.send_to(b"direct", trap)
}

/// Prints a step's result and gives it back.
fn tell<T: Display>(step: &str, result: io::Result<T>) -> Option<T> {
    let mut output = io::stdout();
    let _ = match &result {
        Ok(value) => writeln!(output, "{step} {value}"),
        Err(error) => writeln!(output, "{step} error: {error}"),
    };
    result.ok()
}
