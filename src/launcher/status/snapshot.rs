//! The sockets of one process at one moment: what its memory says, beside what the kernel says.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;

use epochsocks::config::{CONF_FILE_VARIABLES, NO_FILE, Settings, Sources, load};
use epochsocks::resolver::cookie_range::CookieRange;
use epochsocks::sockets::handshake::Awaits;
use epochsocks::sockets::{Image, Standing, UNASKED};
use epochsocks::socks5::{Awaited, Isolation};
use epochsocks::sys::{Errno, time};

use super::kernel::{self, KernelSocket};
use super::memory::Memory;
use super::process::Process;
use super::reader::{Entry, Reader, Unreadable};

/// One process.
pub struct Snapshot {
    /// Its number.
    pub pid: i32,
    /// The name of its program.
    pub command: String,
    /// Its TCP sockets, one for each descriptor.
    pub sockets: Vec<Socket>,
    /// The count of its refusals so far, by subject.
    pub refusals: Vec<(&'static str, u32)>,
}

/// One descriptor.
pub struct Socket {
    /// Its number.
    pub fd: u32,
    /// State of the socket.
    pub state: State,
    /// Destination, or the address that it listens on.
    pub address: Option<SocketAddr>,
    /// The name behind a cookie address.
    pub name: Option<String>,
    /// The time since its connect began, in seconds.
    pub seconds: Option<u64>,
    /// With which other connections it shares circuits.
    pub isolation: Option<String>,
    /// The bytes sent and received, those of the handshake included.
    pub carried: Option<(u64, u64)>,
}

/// State of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// No connect has begun.
    Unconnected,
    /// A connect begins at this moment.
    Beginning,
    /// Tor's port is to be reached.
    ReachingTor,
    /// Tor is to choose how it is spoken to.
    Greeting,
    /// Tor is to take the user name.
    Authenticating,
    /// Tor makes the connection.
    Connecting,
    /// A handshake is in flight, which changes at this moment.
    Changing,
    /// Connected through Tor.
    Connected,
    /// It was connected through Tor; the connection was reset.
    Ended,
    /// The connect has failed, and the program has not been told.
    Failed(i32),
    /// It takes connections.
    Listening,
    /// The kernel has a peer for it, and the library led it to none: a local program, what the
    /// settings let past Tor, or Tor's port itself.
    BesideTor,
}

impl State {
    /// The word for it, which stays the same in later versions.
    pub fn word(self) -> &'static str {
        match self {
            State::Unconnected => "unconnected",
            State::Beginning => "beginning",
            State::ReachingTor => "reaching-tor",
            State::Greeting => "greeting",
            State::Authenticating => "authenticating",
            State::Connecting => "connecting",
            State::Changing => "changing",
            State::Connected => "connected",
            State::Ended => "ended",
            State::Failed(_) => "failed",
            State::Listening => "listening",
            State::BesideTor => "beside-tor",
        }
    }
}

/// The sockets of `process`, whose library is mapped at one of its places. `kernel` has the TCP sockets of
/// this network namespace.
pub fn of(process: Process, kernel: &HashMap<u64, KernelSocket>) -> Result<Snapshot, Unreadable> {
    let libraries = process.libraries().map_err(|error| as_unreadable(&error))?;
    let memory = Memory::of(process.0);
    let mut reader = Err(Unreadable::NotOurs);
    for base in libraries {
        reader = Reader::at(memory, base);
        if reader.is_ok() {
            break;
        }
    }
    let reader = reader?;
    let given = Given::of(process);
    let ours = process.shares_our_network();
    let mut found = Vec::new();
    for (fd, inode) in process.sockets().map_err(|error| as_unreadable(&error))? {
        found.push((fd, inode, reader.entry(fd)?));
    }
    // The library's own descriptors of a socket have no entry; the program's have one.
    let recorded: HashSet<_> =
        found.iter().filter(|found| found.2 != Entry::None).map(|found| found.1).collect();
    found.retain(|(_, inode, entry)| *entry != Entry::None || !recorded.contains(inode));
    let mut sockets = Vec::new();
    for (fd, inode, entry) in found {
        let known = kernel.get(&inode).filter(|_| ours);
        sockets.extend(socket(fd, entry, known, ours, &given, &reader)?);
    }
    let refusals = reader.refusals()?;
    Ok(Snapshot { pid: process.0, command: process.command(), sockets, refusals })
}

fn as_unreadable(error: &std::io::Error) -> Unreadable {
    match error.kind() {
        std::io::ErrorKind::NotFound => Unreadable::Gone,
        _ => Unreadable::from(Errno(error.raw_os_error().unwrap_or(libc::EPERM))),
    }
}

/// `None` for what is no TCP socket, as far as can be told.
fn socket(
    fd: u32,
    entry: Entry,
    kernel: Option<&KernelSocket>,
    is_told: bool,
    given: &Given,
    reader: &Reader<Memory>,
) -> Result<Option<Socket>, Unreadable> {
    let mut socket = Socket {
        fd,
        state: State::Changing,
        address: None,
        name: None,
        seconds: None,
        isolation: None,
        carried: kernel.and_then(|kernel| kernel.carried),
    };
    let (record, awaits) = match entry {
        Entry::Changing => return Ok(Some(socket)),
        Entry::None => return Ok(socket.is_led_by_kernel(kernel).then_some(socket)),
        // Of a socket that was closed behind the hooks, whose number has another one now.
        Entry::Record(record, _)
            if record.id() != UNASKED
                && kernel.is_some_and(|kernel| kernel.cookie != record.id().0) =>
        {
            return Ok(socket.is_led_by_kernel(kernel).then_some(socket));
        }
        Entry::Record(record, awaits) => (record, awaits),
    };
    socket.state = match record.standing() {
        Standing::Unconnected => {
            socket.state = State::Unconnected;
            socket.is_led_by_kernel(kernel);
            return Ok(Some(socket));
        }
        Standing::Claimed => State::Beginning,
        // The kernel tells of no socket without a connection.
        Standing::Connected if is_told && kernel.is_none() => State::Ended,
        Standing::Connected => State::Connected,
        Standing::Failed(errno) => State::Failed(errno.0),
        Standing::InFlight => match awaits {
            Some(Awaits::Port) => State::ReachingTor,
            Some(Awaits::Message(Awaited::Method)) => State::Greeting,
            Some(Awaits::Message(Awaited::Authentication)) => State::Authenticating,
            Some(Awaits::Message(Awaited::Reply)) => State::Connecting,
            None => State::Changing,
        },
    };
    describe(&mut socket, &record, given, reader)?;
    Ok(Some(socket))
}

/// Destination of a record's connection.
fn describe(
    socket: &mut Socket,
    record: &Image,
    given: &Given,
    reader: &Reader<Memory>,
) -> Result<(), Unreadable> {
    let Some(connection) = record.connection() else { return Ok(()) };
    let destination = connection.destination();
    socket.address = Some(destination);
    if let Some(cookie) = given.range.cookie(destination.ip()) {
        socket.name = reader.name(cookie.0)?;
    }
    let now = time::monotonic_nanoseconds();
    let age = |began| now.saturating_sub(began) / 1_000_000_000;
    socket.seconds = connection.began().map(age);
    socket.isolation = given.isolation(connection.isolation());
    Ok(())
}

impl Socket {
    /// Takes over what the kernel says of a socket that the library has led nowhere; says whether it
    /// leads somewhere.
    fn is_led_by_kernel(&mut self, kernel: Option<&KernelSocket>) -> bool {
        let Some(kernel) = kernel else { return false };
        (self.state, self.address) = match kernel.state {
            kernel::ESTABLISHED => (State::BesideTor, Some(kernel.peer)),
            kernel::LISTENING => (State::Listening, Some(kernel.local)),
            _ => return false,
        };
        true
    }
}

/// The settings that the process was started with, as far as they can be told: it may have
/// overwritten them.
struct Given {
    settings: Settings,
    range: CookieRange,
}

impl Given {
    fn of(process: Process) -> Given {
        let variables = process.environment();
        let value = |name: &str| {
            if CONF_FILE_VARIABLES.contains(&name) {
                // The launcher has handed on what the file said; another user's is not read.
                return Some(NO_FILE.as_bytes());
            }
            variables
                .iter()
                .find_map(|entry| entry.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
        };
        let sources =
            Sources { environment: &value, is_secure: false, flags: &[], system_files: &[] };
        let settings = load(&sources, &mut |_| {}).unwrap_or(Settings::DEFAULT);
        let network = settings.cookie_network();
        let range = CookieRange::new(network.base(), network.prefix());
        Given { settings, range }
    }

    /// With what else a connection shares circuits.
    fn isolation(&self, isolation: Isolation) -> Option<String> {
        let named = |kind: &str, name: Option<String>| match name {
            Some(name) => format!("{kind} {name}"),
            None => kind.to_owned(),
        };
        let settings = &self.settings;
        let shared = match isolation {
            Isolation::Unknown => None,
            Isolation::Shared => Some("shared".to_owned()),
            Isolation::Destination => return Some("destination".to_owned()),
            Isolation::Process => Some("process".to_owned()),
            Isolation::Key => {
                Some(named("key", settings.isolation_key.as_ref().map(ToString::to_string)))
            }
            Isolation::User => {
                Some(named("user", settings.username.as_ref().map(ToString::to_string)))
            }
        };
        match shared {
            Some(shared) if settings.isolate_destination => Some(shared + ", by destination"),
            shared => shared,
        }
    }
}
