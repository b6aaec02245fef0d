//! `send`, `write` and their kin: data without an address. A socket that could send them past Tor is
//! refused: a UDP socket of this process's own, and any that was connected past the hooks. What a
//! descriptor is, is asked when data first go to it; see [`crate::harmless`].

use core::ffi::{c_int, c_uint, c_void};
use core::net::SocketAddr;

use epochsocks::bytes::Bytes;
use epochsocks::config::PassedSockets;
use epochsocks::policy::address::MAX_LENGTH;
use epochsocks::policy::send::{on_unknown_stream, without_address};
use epochsocks::policy::{Address, Refusal};
use epochsocks::registry::Registry;
use epochsocks::sockets::{Progress, Record};
use epochsocks::sys::net::{self, Answer};
use epochsocks::sys::{self, Errno, copy_from_program};
use libc::{iovec, off_t, size_t, ssize_t};

use super::transfer;
use crate::destinations::Destinations;
use crate::hooks::arguments::socket_kind;
use crate::log::refused;
use crate::nameserver::{self, Peer};
use crate::own_filter::{self, Question};
use crate::sockets::SOCKETS;
use crate::{datagrams, environment, errno, harmless, launch, runtime};

/// The way of data without an address.
pub enum Way {
    /// The kernel's.
    Kernel,
    /// The socket, of this family, is connected to this name server, for which we answer.
    NameServer(c_int, SocketAddr),
}

/// A call that sends: what it is for, so what a descriptor may be that it is called with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Call {
    /// Sockets. No sandbox forbids sendmsg(2), by which they are asked, to a program that calls it.
    OfSockets,
    /// Files of any kind. A process that has put itself under a filter may not even ask with fstat(2).
    OfFiles,
}

/// Finding about a descriptor that data without an address are for.
enum Look {
    /// They may go, and what follows them.
    Harmless,
    /// They go this way, this time.
    This(Way),
}

/// The way of data without an address on the socket `fd`, or why they are not sent.
#[inline]
pub fn way(fd: c_int) -> Result<Way, Errno> {
    if harmless::has(fd) { Ok(Way::Kernel) } else { look(fd, Call::OfSockets) }
}

#[inline(never)]
fn look(fd: c_int, call: Call) -> Result<Way, Errno> {
    if launch::keeps_to_itself() && !datagrams::is_known(fd) {
        // A socket that a hook has made is known. A file is asked only what the filter permits.
        if SOCKETS.registry().contains(fd) || call == Call::OfFiles && !may_be_asked(fd) {
            return Ok(Way::Kernel);
        }
    }
    match examine(fd, call)? {
        Look::This(way) => Ok(way),
        Look::Harmless => {
            // Another thread may have closed it meanwhile, and made another file of the number: what is
            // seen now is true until a hook takes the bit away.
            if harmless::insert(fd) && !matches!(examine(fd, call), Ok(Look::Harmless)) {
                harmless::remove(fd);
            }
            Ok(Way::Kernel)
        }
    }
}

/// Tells whether the filter that this process has put itself under permits what [`examine`] asks of `fd`.
#[cold]
fn may_be_asked(fd: c_int) -> bool {
    own_filter::permits(Question::File)
        && match sys::is_socket(fd) {
            Ok(true) => {
                own_filter::permits(Question::Unix)
                    && (own_filter::permits(Question::Socket) || net::is_unix(fd))
            }
            Ok(false) => true,
            Err(_) => false,
        }
}

fn examine(fd: c_int, call: Call) -> Result<Look, Errno> {
    let is_known = datagrams::is_known(fd);
    if call == Call::OfFiles && !is_known {
        match sys::is_socket(fd) {
            Ok(false) => return Ok(Look::Harmless),
            Err(Errno(libc::EBADF)) => return Ok(Look::This(Way::Kernel)),
            // Where a filter forbids the question, the socket's own may be allowed.
            Ok(true) | Err(_) => {}
        }
    }
    let settings = runtime::loaded();
    if settings.passed_sockets == PassedSockets::Allow && !is_known {
        return Ok(Look::Harmless);
    }
    // Most sockets without an entry are, and no sandbox forbids this question.
    if !is_known && net::is_unix(fd) {
        return Ok(Look::Harmless);
    }
    let kind = match socket_kind(fd) {
        Answer::Is(kind) if kind.is_tcp() => return stream(fd),
        Answer::Is(kind) => kind,
        // The kernel says so as well.
        Answer::NotASocket(_) => return Ok(Look::This(Way::Kernel)),
        Answer::Unknown(errno) => {
            refused!(
                Warning,
                Data,
                "data on descriptor {fd} refused: {} ({errno})",
                Refusal::Untold
            );
            return Err(Refusal::Untold.errno());
        }
    };
    let server = if kind.is_udp() { nameserver::peer(fd) } else { Peer::Kernels };
    let peer = match server {
        Peer::Server(address) => return Ok(Look::This(Way::NameServer(kind.domain, address))),
        Peer::Kernels if kind.is_inet() => peer(fd),
        Peer::Kernels | Peer::None => None,
    };
    if call == Call::OfFiles && !is_known && kind.is_inet() && has_no_peer(fd) {
        // The kernel refuses them, with an errno of its own.
        return Ok(Look::This(Way::Kernel));
    }
    match without_address(kind, peer, settings) {
        // It may get another peer.
        None if kind.is_inet() => Ok(Look::This(Way::Kernel)),
        None => Ok(Look::Harmless),
        Some(refusal) => {
            match peer {
                Some(Address::Inet(peer)) => refuse(peer, refusal),
                _ => refused!(Debug, Data, "data on descriptor {fd} refused: {refusal}"),
            }
            Err(refusal.errno())
        }
    }
}

/// Looks at a TCP socket that data are for. One that this process connects through Tor has a record that says so.
#[inline(never)]
fn stream(fd: c_int) -> Result<Look, Errno> {
    let progress = SOCKETS.registry().borrow(fd, Record::progress);
    match progress.filter(|_| SOCKETS.is_current(fd)) {
        Some(Progress::Connected) => return Ok(Look::Harmless),
        // They wait.
        Some(Progress::Busy | Progress::Waiting(_) | Progress::Failed(_)) => {
            return Ok(Look::This(Way::Kernel));
        }
        Some(Progress::Unconnected) | None => {}
    }
    let peer = peer(fd);
    let is_connecting = peer.is_none() && net::is_connecting(fd);
    match on_unknown_stream(peer, is_connecting, &Destinations, runtime::loaded()) {
        None if peer.is_some() => Ok(Look::Harmless),
        None => Ok(Look::This(Way::Kernel)),
        Some(refusal) => {
            refused!(Warning, Data, "data on descriptor {fd} refused: {refusal}");
            Err(refusal.errno())
        }
    }
}

fn has_no_peer(fd: c_int) -> bool {
    net::peer_address(fd, &mut [0; MAX_LENGTH]) == Err(Errno(libc::ENOTCONN))
}

fn peer(fd: c_int) -> Option<Address> {
    let mut bytes = [0; MAX_LENGTH];
    let length = net::peer_address(fd, &mut bytes).ok()?;
    bytes.get(..length).map(Address::parse)
}

/// Waits until `fd` may be written to as by `write`, or says why not.
pub fn ready(fd: c_int) -> Result<(), Errno> {
    may_write_inside(fd)?;
    transfer::ready_to_write(fd)
}

/// Tells whether a thread of libc's may write to `fd` as by `write`, or why not; does not wait.
pub fn may_write_apart(fd: c_int) -> Result<(), Errno> {
    may_write_inside(fd)?;
    transfer::ready_now(fd)
}

fn may_write_inside(fd: c_int) -> Result<(), Errno> {
    if harmless::has(fd) {
        return Ok(());
    }
    match look(fd, Call::OfFiles)? {
        Way::Kernel => Ok(()),
        // libc writes it inside.
        Way::NameServer(..) => Err(Refusal::NotAStream.errno()),
    }
}

/// Tells whether libc may write to `fd` where no hook sees it, or why not. A UDP socket of this process's own is
/// bound to the loopback interface.
pub fn may_write_unseen(fd: c_int) -> Result<(), Errno> {
    if !harmless::has(fd) && !datagrams::is_known(fd) {
        look(fd, Call::OfFiles)?;
    }
    Ok(())
}

/// Tells that datagrams to `destination` are refused, once a port where the user sees it.
#[cold]
pub fn refuse(destination: SocketAddr, refusal: Refusal) {
    let program = environment::program().escape_ascii();
    // To port 0 nothing is sent: a program asks the kernel for the way to an address.
    if destination.port() != 0 && datagrams::is_first_refusal(destination.port()) {
        refused!(Warning, Data, "{program}: datagrams to {destination} refused: {refusal}");
    } else {
        refused!(Debug, Data, "{program}: datagrams to {destination} refused: {refusal}");
    }
}

/// The longest query that is looked at; one that is longer has options behind its question.
const LONGEST_QUERY: usize = 512;
/// As many pieces as the kernel takes in one call (`UIO_MAXIOV`).
const MOST_PIECES: usize = 1_024;

/// Place of the data of a call.
pub enum Pieces {
    /// In one piece.
    One(iovec),
    /// In as many as there are at the address.
    Many(*const iovec, usize),
    /// In another file, which no program asks a name server from.
    File,
}

/// Asks the name server `server` what the data at `pieces` say, on the UDP socket `fd` of the family
/// `domain`; answers as sendmsg(2).
///
/// # Safety
/// As for writev(2).
pub unsafe fn ask(fd: c_int, domain: c_int, server: SocketAddr, pieces: Pieces) -> ssize_t {
    let (pieces, count) = match &pieces {
        Pieces::One(piece) => (&raw const *piece, 1),
        Pieces::Many(pieces, count) => (*pieces, *count),
        Pieces::File => return errno::fail(Refusal::NotAStream.errno()),
    };
    let saved = errno::get();
    let mut query = Bytes::<LONGEST_QUERY>::EMPTY;
    // SAFETY: the caller's contract.
    let asked = unsafe { gather(&mut query, pieces, count) }.and_then(|length| {
        nameserver::ask(fd, domain, server, query.as_slice())?;
        Ok(length)
    });
    match asked {
        Ok(length) => {
            errno::set(saved);
            length as ssize_t
        }
        Err(errno) => errno::fail(errno),
    }
}

/// Collects the start of the data; says how long all are. Errors: `EFAULT`, `EMSGSIZE`.
///
/// # Safety
/// As for writev(2).
unsafe fn gather(
    query: &mut Bytes<LONGEST_QUERY>,
    pieces: *const iovec,
    count: usize,
) -> Result<usize, Errno> {
    let mut length = 0usize;
    for index in 0..count.min(MOST_PIECES) {
        let mut copy = [0; size_of::<iovec>()];
        // SAFETY: the caller's contract.
        unsafe { copy_from_program(pieces.wrapping_add(index).cast(), &mut copy)? };
        // SAFETY: an iovec is plain data.
        let piece = unsafe { copy.as_ptr().cast::<iovec>().read_unaligned() };
        let mut bytes = [0; LONGEST_QUERY];
        let room = LONGEST_QUERY - query.len();
        let start = bytes.get_mut(..piece.iov_len.min(room)).unwrap_or_default();
        // SAFETY: the caller's contract.
        unsafe { copy_from_program(piece.iov_base.cast(), start)? };
        query.extend(start);
        length = length.checked_add(piece.iov_len).ok_or(Errno(libc::EMSGSIZE))?;
    }
    if length > usize::from(u16::MAX) { Err(Errno(libc::EMSGSIZE)) } else { Ok(length) }
}

macro_rules! outgoing_hooks {
    ($($name:ident($fd:ident $(, $argument:ident: $type:ty)*), $call:ident, $pieces:expr;)*) => {
        $(
            /// # Safety
            /// As the C function's.
            pub unsafe fn $name($fd: c_int $(, $argument: $type)*) -> ssize_t {
                // SAFETY: the caller's contract.
                unsafe {
                    match harmless::has($fd) {
                        true => transfer::$name($fd $(, $argument)*),
                        false => looked_at::$name($fd $(, $argument)*),
                    }
                }
            }
        )*

        /// Apart, so that files and pipes pay nothing for it.
        mod looked_at {
            use super::*;
            $(
                #[inline(never)]
                pub unsafe fn $name($fd: c_int $(, $argument: $type)*) -> ssize_t {
                    match look($fd, Call::$call) {
                        // SAFETY: the caller's contract.
                        Ok(Way::Kernel) => unsafe { transfer::$name($fd $(, $argument)*) },
                        // SAFETY: as above.
                        Ok(Way::NameServer(domain, server)) => unsafe {
                            ask($fd, domain, server, $pieces)
                        },
                        Err(errno) => errno::fail(errno),
                    }
                }
            )*
        }
    };
}

/// Data in one piece.
pub fn one(data: *const c_void, size: size_t) -> Pieces {
    Pieces::One(iovec { iov_base: data.cast_mut(), iov_len: size })
}

fn many(pieces: *const iovec, count: c_int) -> Pieces {
    Pieces::Many(pieces, count.max(0) as usize)
}

outgoing_hooks! {
    send(fd, data: *const c_void, size: size_t, flags: c_int), OfSockets, one(data, size);
    write(fd, data: *const c_void, size: size_t), OfFiles, one(data, size);
    writev(fd, pieces: *const iovec, count: c_int), OfFiles, many(pieces, count);
    pwritev2(fd, pieces: *const iovec, count: c_int, offset: off_t, flags: c_int), OfFiles, many(pieces, count);
    sendfile(target, source: c_int, offset: *mut off_t, size: size_t), OfFiles, Pieces::File;
}

/// # Safety
/// As splice(2).
pub unsafe fn splice(
    source: c_int,
    source_offset: *mut i64,
    target: c_int,
    target_offset: *mut i64,
    size: size_t,
    flags: c_uint,
) -> ssize_t {
    if !harmless::has(target) {
        match look(target, Call::OfFiles) {
            Ok(Way::Kernel) => {}
            Ok(Way::NameServer(..)) => return errno::fail(Refusal::NotAStream.errno()),
            Err(errno) => return errno::fail(errno),
        }
    }
    // SAFETY: the caller's contract.
    unsafe { transfer::splice(source, source_offset, target, target_offset, size, flags) }
}
