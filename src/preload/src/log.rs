//! One-line messages for the user, on standard error or in the log file.
//!
//! No descriptor is kept: the file is opened for each line, and standard error is written only
//! while descriptor 2 is what it was when the program started, and no socket that leads to another
//! machine. Async-signal-safe; errno is left alone.

use core::ffi::CStr;
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use epochsocks::policy::socket::stays_local;
use epochsocks::sys::{self, File, net, time};

use crate::settings;

/// The longest line, in bytes; what is longer is cut.
const LINE: usize = 512;
/// The longest path of a log file with its NUL, in bytes.
const LONGEST_PATH: usize = 1_024;

/// How much a message matters: torsocks' log levels.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// A call failed or was refused for a reason that the program can't see.
    Error = 2,
    /// Something is off but goes on.
    Warning = 3,
    /// What goes through Tor.
    Notice = 4,
    /// Every decision.
    Debug = 5,
}

/// Writes one line if the settings' level lets it through.
pub fn line(level: Level, message: fmt::Arguments<'_>) {
    let settings = settings::get();
    if level as u8 > settings.map_or(Level::Warning as u8, |settings| settings.log_level) {
        return;
    }
    let errno = crate::errno::get();
    let mut line = Line::new();
    let _ =
        write_line(&mut line, level, settings.is_none_or(|settings| settings.log_time), message);
    match settings.and_then(|settings| settings.log_file.as_ref()) {
        Some(path) => append(path.as_slice(), line.finish()),
        None if standard_error_is_ours() => {
            let _ = sys::write(libc::STDERR_FILENO, line.finish());
        }
        None => {}
    }
    crate::errno::set(errno);
}

fn append(path: &[u8], line: &[u8]) {
    let mut name = [0; LONGEST_PATH];
    let Some(place) = name.get_mut(..path.len()) else { return };
    place.copy_from_slice(path);
    let Ok(name) = CStr::from_bytes_until_nul(&name) else { return };
    let _ = File::append_to(name).map(|file| sys::write(file.fd(), line));
}

fn write_line(
    line: &mut Line,
    level: Level,
    with_time: bool,
    message: fmt::Arguments<'_>,
) -> fmt::Result {
    if with_time {
        let time = time::Utc::from_unix(time::realtime().as_secs());
        write!(line, "{time} ")?;
    }
    let word = match level {
        Level::Error => "error",
        Level::Warning => "warning",
        Level::Notice => "notice",
        Level::Debug => "debug",
    };
    write!(line, "epochsocks[{}]: {word}: {message}", sys::getpid())
}

macro_rules! log {
    ($level:ident, $($message:tt)*) => {
        $crate::log::line($crate::log::Level::$level, format_args!($($message)*))
    };
}
pub(crate) use log;

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

/// Whether a line would go to a peer, as in a program that inetd or a shell's redirection connects.
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

struct Line {
    bytes: [u8; LINE],
    length: usize,
}

impl Line {
    fn new() -> Self {
        Line { bytes: [0; LINE], length: 0 }
    }

    fn finish(&mut self) -> &[u8] {
        let end = self.length.min(LINE - 1);
        self.bytes[end] = b'\n';
        &self.bytes[..=end]
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if self.length == LINE - 1 {
                return Ok(());
            }
            // A name or a server's word must not break the line or move the terminal's cursor.
            self.bytes[self.length] = if byte.is_ascii_control() { b'?' } else { byte };
            self.length += 1;
        }
        Ok(())
    }
}
