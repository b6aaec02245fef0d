//! The far end of the self-test: a web server that knows who came through the proxy, and two traps
//! for clients that come directly. All on loopback.

use std::collections::HashSet;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// Answer of the web server.
pub const PAGE: &str = "epochsocks self-test\n";

/// Time limit of a client's silence.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// Clients of the web server.
#[derive(Debug, Default)]
struct Visits {
    /// Local addresses of the proxy's own connections, noted before they are made.
    proxied: HashSet<SocketAddr>,
    direct: usize,
}

/// The web server and the traps.
#[derive(Debug)]
pub struct Origin {
    visits: Arc<Mutex<Visits>>,
    web: SocketAddr,
    tcp_trap: TcpListener,
    udp_trap: UdpSocket,
}

impl Origin {
    /// Starts serving.
    pub fn start() -> io::Result<Origin> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let tcp_trap = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let udp_trap = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        tcp_trap.set_nonblocking(true)?;
        udp_trap.set_nonblocking(true)?;
        let visits = Arc::new(Mutex::new(Visits::default()));
        let web = listener.local_addr()?;
        let counted = Arc::clone(&visits);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                count(&counted, &stream);
                thread::spawn(move || serve(stream));
            }
        });
        Ok(Origin { visits, web, tcp_trap, udp_trap })
    }

    /// Ports of the traps: TCP and UDP.
    pub fn traps(&self) -> io::Result<[SocketAddr; 2]> {
        Ok([self.tcp_trap.local_addr()?, self.udp_trap.local_addr()?])
    }

    /// A way in for the proxy.
    pub fn door(&self) -> Door {
        Door { visits: Arc::clone(&self.visits), web: self.web }
    }

    /// Counts connections to the web server past the proxy, connections to the TCP trap, and
    /// datagrams to the UDP trap. Loopback delivers before the sender's call returns, so what a
    /// finished program did is counted.
    pub fn direct(&self) -> [usize; 3] {
        let connections = std::iter::from_fn(|| self.tcp_trap.accept().ok()).count();
        let datagrams = std::iter::from_fn(|| self.udp_trap.recv(&mut [0; 64]).ok()).count();
        let visits = self.visits.lock().map_or(usize::MAX, |visits| visits.direct);
        [visits, connections, datagrams]
    }
}

fn count(visits: &Mutex<Visits>, stream: &TcpStream) {
    if let (Ok(mut visits), Ok(peer)) = (visits.lock(), stream.peer_addr())
        && !visits.proxied.contains(&peer)
    {
        visits.direct += 1;
    }
}

/// Answers one HTTP request, whatever it is.
fn serve(stream: TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(TIME_LIMIT))?;
    let mut reader = BufReader::new(&stream);
    let mut line = String::new();
    while reader.read_line(&mut line)? > 0 && line != "\r\n" {
        line.clear();
    }
    write!(
        &stream,
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{PAGE}",
        PAGE.len()
    )
}

/// Access of the proxy to the web server.
#[derive(Clone, Debug)]
pub struct Door {
    visits: Arc<Mutex<Visits>>,
    web: SocketAddr,
}

impl Door {
    /// A connection to the web server, noted as the proxy's before it is made.
    pub fn enter(&self) -> io::Result<TcpStream> {
        // The standard library can't bind before it connects; holding the list does as well,
        // since the server can't look a visitor up meanwhile.
        let mut visits = self.visits.lock().map_err(|_| io::Error::other("a thread panicked"))?;
        let stream = TcpStream::connect(self.web)?;
        visits.proxied.insert(stream.local_addr()?);
        Ok(stream)
    }
}
