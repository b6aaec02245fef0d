//! A SOCKS server that does what a test tells it, right or wrong.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

/// One thing that the proxy does with a connection.
#[derive(Clone, Debug)]
pub enum Action {
    /// Reads and records a client's greeting (RFC 1928, section 3).
    Greeting,
    /// Reads and records user name and password (RFC 1929).
    Authentication,
    /// Reads and records a request (RFC 1928, section 4).
    Request,
    /// Sends these bytes.
    Reply(Vec<u8>),
    /// Sends these bytes one at a time, each in a segment of its own.
    Trickle(Vec<u8>),
    /// Waits.
    Delay(Duration),
    /// Waits until this number of connections have come this far.
    Gather(u32),
    /// Sends back what comes until the client closes.
    Echo,
    /// Answers one HTTP request with `hello` and closes.
    Hello,
    /// Closes at once.
    Close,
    /// Closes with a reset.
    Reset,
    /// Reads and says nothing until the client closes.
    Hang,
}

/// A proxy on loopback that runs the same script for every connection.
pub struct ScriptedProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// Data that the connections share.
#[derive(Default)]
struct Shared {
    recorded: Mutex<Vec<Vec<u8>>>,
    gathered: Mutex<u32>,
    one_more: Condvar,
}

impl ScriptedProxy {
    /// Starts to listen. After its script a connection is closed.
    pub fn start(script: &[Action]) -> ScriptedProxy {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has ports");
        let address = listener.local_addr().expect("a listener has an address");
        let shared = Arc::<Shared>::default();
        let (script, all) = (script.to_vec(), Arc::clone(&shared));
        // Ends with the process, as do its connections.
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let (script, shared) = (script.clone(), Arc::clone(&all));
                // A script may end early: the client hung up.
                thread::spawn(move || serve(connection, &script, &shared));
            }
        });
        ScriptedProxy { address, shared }
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The messages that clients sent, in the order of their arrival.
    pub fn recorded(&self) -> Vec<Vec<u8>> {
        self.shared.recorded.lock().expect("no thread panics with the lock").clone()
    }
}

impl Shared {
    fn record(&self, message: Vec<u8>) {
        self.recorded.lock().expect("no thread panics with the lock").push(message);
    }

    fn gather(&self, all: u32) {
        let mut gathered = self.gathered.lock().expect("no thread panics with the lock");
        *gathered += 1;
        self.one_more.notify_all();
        let all_here = self.one_more.wait_while(gathered, |gathered| *gathered < all);
        drop(all_here.expect("no thread panics with the lock"));
    }
}

/// The answer to a greeting: this method.
pub fn method(number: u8) -> Action {
    Action::Reply(vec![5, number])
}

/// The answer to a request: this code, with an IPv4 address of zeroes.
pub fn reply(code: u8) -> Action {
    Action::Reply(reply_bytes(code))
}

/// Bytes that [`reply`] sends.
pub fn reply_bytes(code: u8) -> Vec<u8> {
    vec![5, code, 0, 1, 0, 0, 0, 0, 0, 0]
}

fn serve(mut stream: TcpStream, script: &[Action], shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    for action in script {
        match action {
            Action::Greeting => shared.record(read_greeting(&mut stream)?),
            Action::Authentication => shared.record(read_authentication(&mut stream)?),
            Action::Request => shared.record(read_request(&mut stream)?),
            Action::Reply(bytes) => stream.write_all(bytes)?,
            Action::Trickle(bytes) => {
                for byte in bytes {
                    stream.write_all(&[*byte])?;
                    thread::sleep(Duration::from_millis(1));
                }
            }
            Action::Delay(time) => thread::sleep(*time),
            Action::Gather(all) => shared.gather(*all),
            Action::Echo => {
                io::copy(&mut stream.try_clone()?, &mut stream)?;
            }
            Action::Hello => return hello(&mut stream),
            Action::Close => return stream.shutdown(Shutdown::Both),
            Action::Reset => return reset(&stream),
            Action::Hang => {
                io::copy(&mut stream, &mut io::sink())?;
            }
        }
    }
    Ok(())
}

/// Reads `count` more bytes of a message.
fn extend(stream: &mut TcpStream, message: &mut Vec<u8>, count: usize) -> io::Result<()> {
    let start = message.len();
    message.resize(start + count, 0);
    stream.read_exact(&mut message[start..])
}

fn read_greeting(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut message = Vec::new();
    extend(stream, &mut message, 2)?;
    let methods = message[1].into();
    extend(stream, &mut message, methods)?;
    Ok(message)
}

fn read_authentication(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut message = Vec::new();
    extend(stream, &mut message, 2)?;
    let name = usize::from(message[1]);
    extend(stream, &mut message, name + 1)?;
    let password = message[2 + name].into();
    extend(stream, &mut message, password)?;
    Ok(message)
}

fn read_request(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut message = Vec::new();
    extend(stream, &mut message, 5)?;
    let rest = match message[3] {
        1 => 3 + 2,
        3 => usize::from(message[4]) + 2,
        4 => 15 + 2,
        other => return Err(io::Error::other(format!("address type {other}"))),
    };
    extend(stream, &mut message, rest)?;
    Ok(message)
}

/// An HTTP origin, whatever it is asked for.
fn hello(stream: &mut TcpStream) -> io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        extend(stream, &mut request, 1)?;
    }
    stream
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nhello\n")?;
    stream.shutdown(Shutdown::Both)
}

/// A close with SO_LINGER 0 is a reset.
fn reset(stream: &TcpStream) -> io::Result<()> {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    let size = size_of_val(&linger).try_into().expect("a small size");
    // SAFETY: `linger` and its size describe the value that SO_LINGER takes.
    let result = unsafe {
        libc::setsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_LINGER,
            (&raw const linger).cast(),
            size,
        )
    };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
