//! One-line messages for the user, on standard error, in the log file or in systemd's journal.
//!
//! No descriptor is kept: the file is opened for each line, and standard error is written only
//! while descriptor 2 is what it was when the program started, and no socket that leads to another
//! machine. Async-signal-safe; errno is left alone.

use core::ffi::CStr;
use core::fmt;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use epochsocks::bytes::Bytes;
use epochsocks::config::{LogFormat, Settings};
use epochsocks::log::file::{self, Unfit};
use epochsocks::log::{Admission, Form, Head, Level, Limit, Line, Subject};
use epochsocks::policy::socket::stays_local;
use epochsocks::sys::{self, Errno, net, time};

use crate::{environment, settings};

/// The longest path of a log file with its NUL, in bytes.
const LONGEST_PATH: usize = 1_024;
/// Socket at which systemd's journal takes lines (systemd.io, "Native Journal Protocol").
const JOURNAL_SOCKET: &[u8] = b"/run/systemd/journal/socket";

/// The lines of each subject.
static LIMITS: [Limit; Subject::ALL.len()] = [const { Limit::new() }; Subject::ALL.len()];

/// Number of refusals in this process, by subject. Each is a number by itself: Relaxed.
pub static REFUSALS: [AtomicU32; Subject::ALL.len()] =
    [const { AtomicU32::new(0) }; Subject::ALL.len()];

/// Counts a refusal, whether or not a line tells of it.
pub fn count(subject: Subject) {
    if let Some(count) = REFUSALS.get(subject as usize) {
        count.fetch_add(1, Relaxed);
    }
}

fn settings() -> &'static Settings {
    settings::get().unwrap_or(&Settings::DEFAULT)
}

/// Tells whether the settings' level lets lines of `level` through.
pub fn writes(level: Level) -> bool {
    level as u8 <= settings().log_level
}

/// Writes one line if the settings' level lets it through. Of each subject a limited number is written in a
/// second, but all of them where everything is asked for.
pub fn line(level: Level, subject: Subject, message: fmt::Arguments<'_>) {
    if !writes(level) {
        return;
    }
    let settings = settings();
    let admission = match LIMITS.get(subject as usize) {
        Some(limit) if settings.log_level < Level::Debug as u8 => {
            limit.admit(time::monotonic().as_secs() as u32)
        }
        _ => Admission::Written(0),
    };
    if admission == Admission::LeftOut {
        return;
    }
    let errno = crate::errno::get();
    let time = settings.log_time.then(|| time::Utc::from_unix(time::realtime().as_secs()));
    let head = Head { time, pid: sys::getpid(), level, subject, admission };
    write(settings, &head, message);
    crate::errno::set(errno);
}

/// Writes a line where the settings say; to standard error where that can't be had, as an unheard
/// line helps no reader.
fn write(settings: &Settings, head: &Head, message: fmt::Arguments<'_>) {
    let written = match settings.log_file.as_ref().map(Bytes::as_slice) {
        None => false,
        Some(file::JOURNAL) => {
            send_to_journal(Line::new(Form::Journal, head, message).as_slice()).is_ok()
        }
        Some(path) => {
            append(path, Line::new(form(settings, false), head, message).as_slice()).is_ok()
        }
    };
    if !written && standard_error_is_ours() {
        let line = Line::new(form(settings, is_for_eyes()), head, message);
        let _ = sys::write(libc::STDERR_FILENO, line.as_slice());
    }
}

fn form(settings: &Settings, coloured: bool) -> Form {
    match (settings.log_format, coloured) {
        (LogFormat::Json, _) => Form::Json,
        (LogFormat::Text, true) => Form::Coloured,
        (LogFormat::Text, false) => Form::Plain,
    }
}

/// Tells whether standard error is a terminal that shows colours, and the user has not asked for
/// none (no-color.org).
fn is_for_eyes() -> bool {
    sys::is_terminal(libc::STDERR_FILENO)
        && environment::at_start("NO_COLOR").is_none_or(<[u8]>::is_empty)
        && environment::at_start("TERM").is_some_and(|terminal| terminal != b"dumb")
}

/// In a frame of its own, as some stacks are small.
#[inline(never)]
fn append(path: &[u8], line: &[u8]) -> Result<(), Unfit> {
    let mut name = [0; LONGEST_PATH];
    let too_long = Unfit::Closed(Errno(libc::ENAMETOOLONG));
    name.get_mut(..path.len()).ok_or(too_long)?.copy_from_slice(path);
    let name = CStr::from_bytes_until_nul(&name).map_err(|_| too_long)?;
    let file = file::open(name)?;
    sys::write(file.fd(), line).map(drop).map_err(Unfit::Closed)
}

/// Sends one datagram to the journal. In a frame of its own, as some stacks are small.
#[inline(never)]
fn send_to_journal(line: &[u8]) -> Result<(), Errno> {
    let mut address = [0; size_of::<libc::sa_family_t>() + JOURNAL_SOCKET.len() + 1];
    let (family, path) = address.split_at_mut(size_of::<libc::sa_family_t>());
    family.copy_from_slice(&(libc::AF_UNIX as libc::sa_family_t).to_ne_bytes());
    path[..JOURNAL_SOCKET.len()].copy_from_slice(JOURNAL_SOCKET);
    let fd = net::socket(libc::AF_UNIX, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0)?;
    let sent = net::send_to(fd, line, &address);
    let _ = sys::close(fd);
    sent
}

/// A line of the log.
macro_rules! log {
    ($level:ident, $subject:ident, $($message:tt)*) => {
        $crate::log::line(
            epochsocks::log::Level::$level,
            epochsocks::log::Subject::$subject,
            format_args!($($message)*),
        )
    };
}
pub(crate) use log;

/// A refusal: counted, and a line of the log.
macro_rules! refused {
    ($level:ident, $subject:ident, $($message:tt)*) => {{
        $crate::log::count(epochsocks::log::Subject::$subject);
        $crate::log::log!($level, $subject, $($message)*)
    }};
}
pub(crate) use refused;

/// Device and inode of descriptor 2 at start, folded into one word; 0 before the constructor. A
/// single word that guards no other memory: Relaxed is enough.
static STANDARD_ERROR: AtomicU64 = AtomicU64::new(0);

/// Remembers what descriptor 2 is, in the constructor.
pub fn remember_standard_error() {
    STANDARD_ERROR.store(identity_of_standard_error(), Relaxed);
}

fn standard_error_is_ours() -> bool {
    let remembered = STANDARD_ERROR.load(Relaxed);
    (remembered == 0 || remembered == identity_of_standard_error()) && !standard_error_is_network()
}

/// Tells whether a line would go to a peer, as in a program that inetd or a shell's redirection
/// connects.
fn standard_error_is_network() -> bool {
    net::socket_number(libc::STDERR_FILENO, libc::SO_DOMAIN)
        .is_ok_and(|domain| !stays_local(domain))
}

fn identity_of_standard_error() -> u64 {
    match sys::identity(libc::STDERR_FILENO) {
        Ok((device, inode)) => (device.rotate_left(40) ^ inode) | 1,
        Err(_) => 1,
    }
}
