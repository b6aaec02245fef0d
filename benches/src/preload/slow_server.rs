//! Servers that take a while for each connection, all of them at once: a SOCKS5 proxy that answers
//! late and then says hello to a client that asks for a page, and a web server that says hello late.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

const PAGE: &[u8] = b"HTTP/1.0 200 OK\r\nContent-Length: 6\r\n\r\nhello\n";
/// A method, and a reply with an IPv4 address (RFC 1928).
const METHOD: [u8; 2] = [5, 0];
const REPLY: [u8; 10] = [5, 0, 0, 1, 0, 0, 0, 0, 0, 0];

/// Both servers, on 127.0.0.1.
#[derive(Clone, Copy, Debug)]
pub struct SlowServer {
    /// The proxy's port.
    pub socks: u16,
    /// The web server's.
    pub web: u16,
}

impl SlowServer {
    /// Starts to serve with `delay` before each answer; ends with the process.
    pub fn start(delay: Duration) -> io::Result<SlowServer> {
        let socks = listen(move |stream| {
            greet(stream)?;
            thread::sleep(delay);
            stream.write_all(&REPLY)?;
            page(stream)
        })?;
        let web = listen(move |stream| {
            thread::sleep(delay);
            page(stream)
        })?;
        Ok(SlowServer { socks, web })
    }
}

fn listen(
    serve: impl Fn(&mut TcpStream) -> io::Result<()> + Clone + Send + 'static,
) -> io::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let serve = serve.clone();
            // A client that goes early is none of the measurement.
            thread::spawn(move || drop(serve(&mut stream)));
        }
    });
    Ok(port)
}

/// Reads greeting and request (RFC 1928, sections 3 and 4).
fn greet(stream: &mut TcpStream) -> io::Result<()> {
    let mut head = [0; 2];
    stream.read_exact(&mut head)?;
    stream.read_exact(&mut vec![0; head[1].into()])?;
    stream.write_all(&METHOD)?;
    let mut request = [0; 5];
    stream.read_exact(&mut request)?;
    let rest = match request[3] {
        1 => 3 + 2,
        4 => 15 + 2,
        _ => usize::from(request[4]) + 2,
    };
    stream.read_exact(&mut vec![0; rest])
}

fn page(stream: &mut TcpStream) -> io::Result<()> {
    let mut request = Vec::new();
    let mut piece = [0; 512];
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read(&mut piece)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => request.extend_from_slice(&piece[..count]),
        }
    }
    stream.write_all(PAGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_comes_through_the_proxy() {
        let server = SlowServer::start(Duration::ZERO).expect("loopback has ports");
        let mut stream =
            TcpStream::connect((Ipv4Addr::LOCALHOST, server.socks)).expect("it listens");
        stream.write_all(&[5, 1, 0, 5, 1, 0, 1, 192, 0, 2, 1, 0, 80]).expect("it reads");
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").expect("it reads");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("it answers");
        assert_eq!(answer, [METHOD.as_slice(), &REPLY, PAGE].concat());
    }
}
