//! A SOCKS5 server that answers every request at once and then swallows what it is sent, so that
//! what is measured is the client.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

/// Connections that are served at the same time: the load's threads and some.
const WORKERS: usize = 240;
/// The size of a read.
const BUFFER: usize = 1 << 16;

/// The server's ports on 127.0.0.1.
#[derive(Clone, Copy, Debug)]
pub struct SocksServer {
    /// SOCKS5, without authentication.
    pub port: u16,
    /// The sink alone: what a program without a torifier connects to.
    pub sink: u16,
}

impl SocksServer {
    /// Starts to serve; ends with the process.
    pub fn start() -> io::Result<SocksServer> {
        Ok(SocksServer { port: listen(greet)?, sink: listen(|_| Ok(()))? })
    }
}

fn listen(greet: fn(&mut TcpStream) -> io::Result<()>) -> io::Result<u16> {
    let listener = Arc::new(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?);
    let port = listener.local_addr()?.port();
    for _ in 0..WORKERS {
        let listener = Arc::clone(&listener);
        let serve = move || {
            let mut buffer = vec![0; BUFFER];
            for mut stream in listener.incoming().flatten() {
                // Clients reset their connections.
                let _ = greet(&mut stream).and_then(|()| swallow(&mut stream, &mut buffer));
            }
        };
        thread::Builder::new().stack_size(1 << 17).spawn(serve)?;
    }
    Ok(port)
}

/// Lengths of greeting and request, once both are whole (RFC 1928, sections 3 and 4).
fn lengths(message: &[u8]) -> Option<(usize, usize)> {
    let greeting = 2 + usize::from(*message.get(1)?);
    let request = message.get(greeting..)?;
    let address = match request.get(3)? {
        1 => 4,
        4 => 16,
        _ => 1 + usize::from(*request.get(4)?),
    };
    let length = 4 + address + 2;
    (request.len() >= length).then_some((greeting, length))
}

fn greet(stream: &mut TcpStream) -> io::Result<()> {
    const METHOD: [u8; 2] = [5, 0];
    const REPLY: [u8; 10] = [5, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    stream.set_nodelay(true)?;
    let (mut message, mut filled, mut chosen) = ([0; 600], 0, false);
    loop {
        let count = stream.read(&mut message[filled..])?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        filled += count;
        let whole = lengths(&message[..filled]).is_some();
        let greeted = filled >= 2 && filled >= 2 + usize::from(message[1]);
        match (whole, chosen) {
            // Both at once, as the client asked.
            (true, false) => return stream.write_all(&[METHOD.as_slice(), &REPLY].concat()),
            (true, true) => return stream.write_all(&REPLY),
            (false, false) if greeted => {
                stream.write_all(&METHOD)?;
                chosen = true;
            }
            _ => {}
        }
    }
}

fn swallow(stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<()> {
    while stream.read(buffer)? != 0 {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_whole_only_with_its_last_byte() {
        let message = [5, 1, 0, 5, 1, 0, 1, 203, 0, 113, 7, 0, 80];
        for length in 0..message.len() {
            assert_eq!(lengths(&message[..length]), None, "{length}");
        }
        assert_eq!(lengths(&message), Some((3, 10)));
    }

    #[test]
    fn a_client_that_waits_for_the_method_gets_it() {
        let server = SocksServer::start().expect("loopback has ports");
        let mut stream =
            TcpStream::connect((Ipv4Addr::LOCALHOST, server.port)).expect("it listens");
        let mut method = [0; 2];
        stream.write_all(&[5, 1, 0]).expect("it reads");
        stream.read_exact(&mut method).expect("it answers");
        let mut reply = [0; 10];
        stream.write_all(&[5, 1, 0, 3, 1, b'a', 0, 80]).expect("it reads");
        stream.read_exact(&mut reply).expect("it answers");
        assert_eq!((method, reply[1]), ([5, 0], 0));
    }
}
