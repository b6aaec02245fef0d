//! The self-test's SOCKS5 server with Tor's RESOLVE, for one client that is known to behave.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::origin::Door;

/// The name that only this proxy knows (RFC 6761 keeps `.test` out of the public DNS).
pub const NAME: &str = "epochsocks-self-test.test";
/// Its address, one for documentation (RFC 5737): nothing answers there but through the proxy.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 80);
/// An onion name that only this proxy knows.
pub const ONION: &str = "epochsocksselftestaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.onion";
/// The port that leads to the origin.
pub const PORT: u16 = 80;

/// Time limit of a client's silence.
const TIME_LIMIT: Duration = Duration::from_secs(10);

const CONNECT: u8 = 1;
const RESOLVE: u8 = 0xF0;
const RESOLVE_PTR: u8 = 0xF1;

/// One request that the proxy got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    command: u8,
    host: String,
    port: u16,
}

impl Asked {
    /// A request for a stream to `host`.
    pub fn connect(host: impl ToString) -> Asked {
        Asked { command: CONNECT, host: host.to_string(), port: PORT }
    }

    /// A request for the address of `name`.
    pub fn resolve(name: impl ToString) -> Asked {
        Asked { command: RESOLVE, host: name.to_string(), port: 0 }
    }
}

/// The proxy.
#[derive(Debug)]
pub struct Proxy {
    asked: Arc<Mutex<Vec<Asked>>>,
    address: SocketAddr,
}

impl Proxy {
    /// Starts serving; what is asked for leads to `door`.
    pub fn start(door: Door) -> io::Result<Proxy> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let asked = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::clone(&asked);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (record, door) = (Arc::clone(&record), door.clone());
                thread::spawn(move || serve(stream, &record, &door));
            }
        });
        Ok(Proxy { asked, address })
    }

    /// Address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes what was asked since the last time.
    pub fn take_asked(&self) -> Vec<Asked> {
        self.asked.lock().map(|mut asked| std::mem::take(&mut *asked)).unwrap_or_default()
    }
}

fn serve(mut client: TcpStream, record: &Mutex<Vec<Asked>>, door: &Door) -> io::Result<()> {
    client.set_read_timeout(Some(TIME_LIMIT))?;
    client.set_nodelay(true)?;
    let [_, methods] = take(&mut client)?;
    client.read_exact(&mut vec![0; usize::from(methods)])?;
    client.write_all(&[5, 0])?;
    let asked = request(&mut client)?;
    if let Ok(mut record) = record.lock() {
        record.push(asked.clone());
    }
    let known = [NAME, ONION, &ADDRESS.to_string()].contains(&asked.host.as_str());
    match asked.command {
        CONNECT if known && asked.port == PORT => {
            let origin = door.enter()?;
            reply(&mut client, 0, Ipv4Addr::UNSPECIFIED)?;
            relay(client, origin)
        }
        RESOLVE if asked.host == NAME => reply(&mut client, 0, ADDRESS),
        CONNECT | RESOLVE | RESOLVE_PTR => reply(&mut client, 4, Ipv4Addr::UNSPECIFIED),
        _ => reply(&mut client, 7, Ipv4Addr::UNSPECIFIED),
    }
}

/// Reads a request (RFC 1928, section 4).
fn request(client: &mut TcpStream) -> io::Result<Asked> {
    let [_, command, _, kind] = take(client)?;
    let host = match kind {
        1 => IpAddr::from(Ipv4Addr::from(take::<4>(client)?)).to_string(),
        4 => IpAddr::from(Ipv6Addr::from(take::<16>(client)?)).to_string(),
        3 => {
            let [length] = take(client)?;
            let mut name = vec![0; usize::from(length)];
            client.read_exact(&mut name)?;
            String::from_utf8_lossy(&name).into_owned()
        }
        _ => return Err(io::ErrorKind::InvalidData.into()),
    };
    Ok(Asked { command, host, port: u16::from_be_bytes(take(client)?) })
}

fn take<const N: usize>(client: &mut TcpStream) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    client.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn reply(client: &mut TcpStream, code: u8, address: Ipv4Addr) -> io::Result<()> {
    let [a, b, c, d] = address.octets();
    client.write_all(&[5, code, 0, 1, a, b, c, d, 0, 0])
}

/// Copies both ways until the origin has said everything.
fn relay(client: TcpStream, origin: TcpStream) -> io::Result<()> {
    let (mut upward, mut into) = (client.try_clone()?, origin.try_clone()?);
    thread::spawn(move || {
        let _ = io::copy(&mut upward, &mut into);
        into.shutdown(Shutdown::Write)
    });
    io::copy(&mut &origin, &mut &client)?;
    client.shutdown(Shutdown::Write)
}
