//! `socket`, `socketpair`: a TCP socket gets its record at birth, and a UDP socket is confined to the
//! loopback interface: programs ask the kernel by one, and nothing leaves by it.

use core::ffi::c_int;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use epochsocks::config::{Inbound, OutboundLocalhost};
use epochsocks::policy::{Refusal, SocketDecision, socket as policy};
use epochsocks::sys::{self, Errno, net};

use crate::hooks::descriptors::tables;
use crate::hooks::exec::vfork;
use crate::log::refused;
use crate::sockets::SOCKETS;
use crate::{datagrams, environment, errno, harmless, own_filter, real, runtime};

/// # Safety
/// As socket(2).
pub unsafe fn socket(domain: c_int, kind: c_int, protocol: c_int) -> c_int {
    // SAFETY: the caller's contract.
    let fd = unsafe { open(domain, kind, protocol) };
    // The bit is another file's, which was closed by a raw system call.
    harmless::remove(fd);
    fd
}

/// # Safety
/// As socket(2).
unsafe fn open(domain: c_int, kind: c_int, protocol: c_int) -> c_int {
    match policy::open(domain, kind, protocol) {
        // SAFETY: the caller's contract.
        SocketDecision::Libc => unsafe { real::socket(domain, kind, protocol) },
        SocketDecision::Refuse(refusal) => refuse("socket", (domain, kind, protocol), refusal),
        SocketDecision::Track => {
            // SAFETY: the caller's contract.
            let fd = unsafe { make(domain, kind, protocol) };
            if fd < 0 {
                return fd;
            }
            confine_stream(fd);
            or_closed(fd, track(fd))
        }
        SocketDecision::Confine => {
            // SAFETY: the caller's contract.
            let fd = unsafe { make(domain, kind, protocol) };
            if fd < 0 {
                return fd;
            }
            // An entry belongs to a descriptor that was closed by a raw system call.
            SOCKETS.forget(fd);
            or_closed(fd, confine(fd))
        }
    }
}

/// Gives the TCP socket `fd` its record. The kernel is asked at once which socket it is for the first one of the
/// process, which shows a system that does not tell, and where numbers may change unseen; also where a filter of the
/// program's forbids what a later call would have to ask besides.
fn track(fd: c_int) -> Result<(), Errno> {
    let can_wait = SOCKETS.is_used()
        && tables::numbers_hold()
        && own_filter::permits(own_filter::Question::Socket);
    if can_wait { SOCKETS.track_unasked(fd) } else { SOCKETS.track(fd) }
}

/// Makes an inet socket. The filter of a backstop asks for its secret, which libc's function does not carry.
///
/// # Safety
/// As socket(2).
unsafe fn make(domain: c_int, kind: c_int, protocol: c_int) -> c_int {
    // Loads the secret, too, where no constructor has run yet.
    runtime::loaded();
    vfork::presume_alone_if_told();
    if net::secret().is_some() {
        net::socket(domain, kind, protocol).unwrap_or_else(errno::fail)
    } else {
        // SAFETY: the caller's contract.
        unsafe { real::socket(domain, kind, protocol) }
    }
}

/// Binds the TCP socket `fd` to the loopback interface, where there is a backstop: for what is done with it
/// that no hook sees. Kernels before 5.7 don't let everybody, and all that the hooks see goes without.
fn confine_stream(fd: c_int) {
    if confines_streams() {
        let _ = net::confine(fd);
    }
}

/// Tells whether TCP sockets are bound to the loopback interface.
pub fn confines_streams() -> bool {
    net::secret().is_some() && policy::confines_streams(runtime::loaded())
}

/// Binds the UDP socket `fd` to the loopback interface. Where every host may connect it stays free;
/// where the kernel refuses to bind it, it is good for localhost if that is allowed.
fn confine(fd: c_int) -> Result<(), Errno> {
    let settings = runtime::loaded();
    datagrams::remember(fd)?;
    if policy::silences_datagrams(settings) {
        net::silence(fd);
    }
    if settings.allow_inbound == Inbound::All {
        return Ok(());
    }
    match net::confine(fd) {
        Err(errno) if settings.allow_outbound_localhost != OutboundLocalhost::All => {
            datagrams::forget(fd);
            refused!(
                Debug,
                Socket,
                "UDP socket refused: it can't be bound to the interface lo ({errno})"
            );
            Err(Refusal::NotAStream.errno())
        }
        _ => Ok(()),
    }
}

fn or_closed(fd: c_int, done: Result<(), Errno>) -> c_int {
    match done {
        Ok(()) => fd,
        Err(why) => {
            tell_without_cookies(fd, why);
            let _ = sys::close(fd);
            errno::fail(why)
        }
    }
}

/// Tells the user, once, of a system that does not tell its sockets apart, as an emulator may not.
#[cold]
fn tell_without_cookies(fd: c_int, why: Errno) {
    if net::cookie(fd) == Err(why) && !HAS_TOLD.swap(true, Relaxed) {
        refused!(Error, Socket, "sockets refused: this system does not answer SO_COOKIE ({why})");
    }
}

/// Tells whether the user has been told of a refused socket. Guards nothing else: Relaxed.
static HAS_TOLD: AtomicBool = AtomicBool::new(false);

/// Refuses a socket of this family, type and protocol. The first one that was to reach the network is a warning,
/// as a program may say no more than that it is not permitted; families of old and MPTCP are tried by
/// programs that go on without them.
#[cold]
fn refuse(call: &str, what: (c_int, c_int, c_int), refusal: Refusal) -> c_int {
    let (program, (domain, kind, protocol)) = (environment::program().escape_ascii(), what);
    let told =
        format_args!("{program}: {call}({domain}, {kind:#x}, {protocol}) refused: {refusal}");
    let is_wanted = matches!(domain, libc::AF_INET | libc::AF_INET6 | libc::AF_PACKET)
        && protocol != libc::IPPROTO_MPTCP;
    if is_wanted && !HAS_TOLD.swap(true, Relaxed) {
        refused!(Warning, Socket, "{told}");
    } else {
        refused!(Debug, Socket, "{told}");
    }
    errno::fail(refusal.errno())
}

/// # Safety
/// As socketpair(2).
pub unsafe fn socketpair(domain: c_int, kind: c_int, protocol: c_int, pair: *mut c_int) -> c_int {
    match policy::open(domain, kind, protocol) {
        // SAFETY: the caller's contract. The kernel makes no pairs of TCP or UDP sockets.
        SocketDecision::Libc => unsafe { real::socketpair(domain, kind, protocol, pair) },
        SocketDecision::Track | SocketDecision::Confine => errno::fail(Errno(libc::EOPNOTSUPP)),
        SocketDecision::Refuse(refusal) => refuse("socketpair", (domain, kind, protocol), refusal),
    }
}
