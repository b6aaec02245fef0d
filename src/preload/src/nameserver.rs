//! The name server of this process: see [`epochsocks::nameserver`]. Async-signal-safe; errno is left
//! alone.

use core::net::SocketAddr;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use core::time::Duration;

use epochsocks::config::{Inbound, OutboundLocalhost};
use epochsocks::nameserver::questions::{Asked, Questions, Tor};
use epochsocks::nameserver::responder::{Responders, local, stream};
use epochsocks::nameserver::sockets::Sockets;
use epochsocks::nameserver::streams::{self, Streams};
use epochsocks::registry::Registry;
use epochsocks::resolver::dns::{Kind, Question, Reply, refusal};
use epochsocks::resolver::error::LookupError;
use epochsocks::resolver::query::{Step, failure, finish, start};
use epochsocks::socks5::Answer;
use epochsocks::sys::{self, Errno, net, time};
use epochsocks::tor::ResolveError;

use crate::hooks::names::{ThroughTor, report, with_own_name};
use crate::hooks::sockets::socket::confines_streams;
use crate::hooks::sockets::tor_connect::always_waits;
use crate::log::{log, refused};
use crate::mapped::Mapped;
use crate::sockets::SOCKETS;
use crate::{datagrams, errno, real, runtime};

static RESPONDERS: Responders = Responders::new();
// SAFETY: zeroes are not a socket.
static ASKING: Mapped<Sockets> = unsafe { Mapped::new() };
// SAFETY: zeroes are free places.
static STREAMS: Mapped<Streams> = unsafe { Mapped::new() };
// SAFETY: zeroes are free places.
static QUESTIONS: Mapped<Questions> = unsafe { Mapped::new() };

/// Set if there were other threads when a name server was asked: they may ask while this one waits.
/// A fact by itself: Relaxed.
static IS_THREADED: AtomicBool = AtomicBool::new(false);

/// The peer of a UDP socket.
pub enum Peer {
    /// The kernel's.
    Kernels,
    /// None, whatever the kernel says.
    None,
    /// This name server.
    Server(SocketAddr),
}

/// Connects the UDP socket `fd`, of the family `domain`, to the name server at `address`. Errors: those
/// of connect(2), `ENOBUFS`.
pub fn connect(fd: i32, domain: i32, address: SocketAddr) -> Result<(), Errno> {
    let sockets = ASKING.get_or_map()?;
    let cookie = net::cookie(fd)?;
    RESPONDERS.connect(fd, domain)?;
    sockets.find_or_add(cookie).connect(Some(sockets.number(address)));
    QUESTIONS.get_or_map()?.prepare()?;
    note_threads();
    Ok(())
}

/// Connects the TCP socket `fd`, of the family `domain`, to the name server at `address`. Errors: those of
/// connect(2), `EINPROGRESS` among them, `ENOBUFS`.
pub fn connect_stream(fd: i32, domain: i32, address: SocketAddr) -> Result<(), Errno> {
    let (sockets, streams) = (ASKING.get_or_map()?, STREAMS.get_or_map()?);
    let set = QUESTIONS.get_or_map()?.prepare()?;
    // What is received there waits for Tor, too.
    datagrams::remember(fd)?;
    let (end, told) = stream(fd, domain, runtime::loaded().tor_port)?;
    streams.add(end, set)?;
    sockets.find_or_add(net::cookie(fd)?).connect(Some(sockets.number(address)));
    note_threads();
    told
}

/// The program has let go of the peer of `fd`, or connected it to another one.
pub fn let_go(fd: i32) {
    if let (Some(sockets), Ok(cookie)) = (ASKING.get(), net::cookie(fd)) {
        sockets.remove(cookie);
    }
}

/// The peer of the UDP socket `fd`, as its program sees it.
pub fn peer(fd: i32) -> Peer {
    let found = || {
        let sockets = ASKING.get()?;
        let socket = sockets.find(net::cookie(fd).ok()?)?;
        Some(match socket.connected().map(|number| sockets.address(number)) {
            Some(Some(address)) => Peer::Server(address),
            // The program's own socket is connected for the answers' sake.
            _ if is_exclusive() => Peer::None,
            _ => Peer::Kernels,
        })
    };
    found().unwrap_or(Peer::Kernels)
}

/// Tells whether an unconnected UDP socket can get datagrams only from the library.
fn is_exclusive() -> bool {
    let settings = runtime::loaded();
    settings.allow_inbound != Inbound::All
        && settings.allow_outbound_localhost != OutboundLocalhost::All
}

/// Tells whether `fd` has asked a name server.
pub fn has_asked(fd: i32) -> bool {
    ASKING
        .get()
        .is_some_and(|sockets| net::cookie(fd).is_ok_and(|cookie| sockets.find(cookie).is_some()))
}

/// Tells whether a datagram from `source` is an answer of ours.
pub fn is_ours(source: SocketAddr) -> bool {
    RESPONDERS.is_source(source)
}

/// The name server that a datagram from `source` to `fd` is an answer of; it begins with the number
/// `id`, where that is known.
pub fn server_behind(fd: i32, source: SocketAddr, id: Option<u16>) -> Option<SocketAddr> {
    if !is_ours(source) {
        return None;
    }
    let sockets = ASKING.get()?;
    let socket = sockets.find(net::cookie(fd).ok()?)?;
    sockets.address(socket.connected().or_else(|| socket.asked(id))?)
}

/// Answers `message`, which the program sends to `server` on the UDP socket `fd` of the family
/// `domain`: at once or, if Tor must be asked, later. Data that are not a query are lost. Errors: those of
/// connect(2) and bind(2), `ENOBUFS`.
pub fn ask(fd: i32, domain: i32, server: SocketAddr, message: &[u8]) -> Result<(), Errno> {
    // A vfork child's memory is its parent's.
    if !SOCKETS.registry().may_change() {
        return Ok(());
    }
    let sockets = ASKING.get_or_map()?;
    let cookie = net::cookie(fd)?;
    let socket = sockets.find_or_add(cookie);
    if socket.connected().is_some() || is_exclusive() {
        RESPONDERS.connect(fd, domain)?;
    } else {
        RESPONDERS.bind(fd, domain)?;
    }
    if let Some(id) = message.first_chunk() {
        socket.note(u16::from_be_bytes(*id), sockets.number(server));
    }
    consider(message, fd, cookie, false)?;
    drive();
    Ok(())
}

/// Answers `message`, which has come from the program's socket `fd` or by our end of a stream, or asks Tor.
fn consider(message: &[u8], fd: i32, cookie: u64, is_stream: bool) -> Result<(), Errno> {
    let Some(question) = Question::parse(message) else {
        if let Some(refusal) = refusal(message) {
            send(fd, is_stream, refusal.as_slice());
        }
        return Ok(());
    };
    let asked = Asked { question, fd, cookie, is_stream };
    let ipv6 = runtime::loaded().enable_ipv6;
    match with_own_name(|own| start(&question, own, ipv6, &ThroughTor)) {
        Step::Replied(reply) => answer(&asked, reply),
        Step::Asks(request) => {
            let settings = runtime::loaded();
            let credentials = runtime::credentials();
            let port = settings.tor();
            let timeout = settings.handshake_timeout;
            let is_confined = confines_streams();
            let tor = Tor { port, credentials: credentials.as_ref(), timeout, is_confined };
            match QUESTIONS.get_or_map()?.ask(asked, &request, tor) {
                Ok(()) => {
                    note_threads();
                    if always_waits(settings) {
                        wait_for(&asked);
                    }
                }
                Err(error) => answer(&asked, Err(LookupError::Tor(error))),
            }
        }
    }
    Ok(())
}

/// Waits for the answer, for a program that waits for events by system calls of its own: nothing else
/// would drive the question.
#[cold]
fn wait_for(asked: &Asked) {
    while QUESTIONS.get().is_some_and(|questions| questions.has(asked)) {
        // A signal that ends the sleep does not end the wait: the question's own time does.
        let _ = sleep_beside(-1, None, core::ptr::null());
    }
}

fn note_threads() {
    if !IS_THREADED.load(Relaxed) && sys::is_threaded() {
        IS_THREADED.store(true, Relaxed);
    }
}

fn send(fd: i32, is_stream: bool, message: &[u8]) {
    let sent = if is_stream {
        streams::send(fd, message)
    } else {
        local(fd).and_then(|address| RESPONDERS.send(message, address))
    };
    if let Err(errno) = sent {
        log!(Debug, Query, "DNS answer lost: {errno}");
    }
}

fn answer(asked: &Asked, reply: Result<Reply, LookupError>) {
    let Asked { question, fd, cookie, is_stream } = asked;
    let name = question.name();
    let reply = match reply {
        Ok(Reply::Refused) => {
            let kind = question.kind();
            let number = if let Kind::Other(number) = kind { number } else { 0 };
            refused!(
                Debug,
                Query,
                "DNS query for {name}, type {number}, refused: Tor knows A, AAAA and PTR"
            );
            Reply::Refused
        }
        Ok(reply) => reply,
        Err(error) => {
            report(&error, format_args!("{name}"));
            failure(&error)
        }
    };
    let is_socket = |fd: &i32| net::cookie(*fd) == Ok(*cookie);
    // Closed: the socket may have another descriptor, or its port may be another program's by now.
    let other = || if *is_stream { None } else { datagrams::known().find(is_socket) };
    if let Some(fd) = Some(*fd).filter(is_socket).or_else(other) {
        send(fd, *is_stream, question.answer(reply).as_slice());
    }
}

/// Tells whether a wait has to look after the questions as well: one waits for Tor, or another
/// thread may ask one meanwhile. Mostly one load.
#[inline(always)]
pub fn is_asked() -> bool {
    QUESTIONS.get().is_some_and(|questions| {
        questions.any() || IS_THREADED.load(Relaxed) || STREAMS.get().is_some_and(Streams::any)
    })
}

/// Answers what Tor has answered, and what it has not in time.
pub fn drive() {
    let set = QUESTIONS.get().and_then(Questions::set);
    if let (Some(streams), Some(set)) = (STREAMS.get().filter(|streams| streams.any()), set) {
        streams.drive(set, |fd, cookie, message| {
            let _ = consider(message, fd, cookie, true);
        });
    }
    let Some(questions) = QUESTIONS.get().filter(|questions| questions.any()) else { return };
    let ipv6 = runtime::loaded().enable_ipv6;
    questions.drive(|asked, result: Result<Answer, ResolveError>| {
        if let Ok(Answer::Address(address)) = result {
            runtime::ANSWERS.note(address.to_canonical(), asked.question.name());
        }
        let reply = with_own_name(|own| finish(&asked.question, own, ipv6, &ThroughTor, result));
        answer(asked, reply);
    });
}

/// End of a [`sleep`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Slept {
    /// As ppoll(2): -1 with errno.
    Failed,
    /// The program's own entries are ready, or its time is over.
    Over,
    /// Only the questions have gone on.
    Woken,
}

/// Waits as ppoll(2) for all but the last of `entries`, and with that for the questions, which it drives.
/// A cancellation point, at which nothing is held.
pub fn sleep(
    entries: &mut [libc::pollfd],
    limit: Option<Duration>,
    mask: *const libc::sigset_t,
) -> Slept {
    let questions = QUESTIONS.get();
    let set = questions.and_then(Questions::set).unwrap_or(-1);
    let Some((last, own)) = entries.split_last_mut() else { return Slept::Over };
    *last = libc::pollfd { fd: set, events: libc::POLLIN, revents: 0 };
    let count = own.len() + 1;
    let longest = questions.filter(|questions| questions.any()).and_then(Questions::longest_wait);
    let time = limit.into_iter().chain(longest).min();
    let spelled = time.map(time::timespec);
    let spelled = spelled.as_ref().map_or(core::ptr::null(), core::ptr::from_ref);
    let saved = errno::get();
    // SAFETY: libc's ppoll, with entries and a time of ours; a mask of ours, or the caller's.
    let result = unsafe { real::ppoll(entries.as_mut_ptr(), count as libc::nfds_t, spelled, mask) };
    if result < 0 {
        return Slept::Failed;
    }
    let is_ready = |entry: &libc::pollfd| entry.revents != 0;
    let has_moved = entries.last().is_some_and(is_ready) || result == 0 && time != limit;
    let own = entries.iter().rev().skip(1).any(is_ready);
    if has_moved {
        drive();
        errno::set(saved);
    }
    if has_moved && !own { Slept::Woken } else { Slept::Over }
}

/// The same for one descriptor.
pub fn sleep_beside(fd: i32, limit: Option<Duration>, mask: *const libc::sigset_t) -> Slept {
    let entry = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    sleep(&mut [entry; 2], limit, mask)
}

/// In a forked child: the questions are the parent's.
pub fn after_fork_in_child() {
    RESPONDERS.forget();
    if let Some(questions) = QUESTIONS.get() {
        questions.forget();
    }
    if let Some(streams) = STREAMS.get() {
        streams.forget();
    }
}
