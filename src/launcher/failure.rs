//! End of a launcher that does not become the program: message and exit status.

use std::fmt;
use std::io::{Write, stderr, stdout};

/// The kinds of ends. The exit statuses, which are [`Persona`](crate::persona::Persona)'s, are those of
/// env(1) and nohup(1): what is below 125 is the program's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The command line is wrong.
    Usage,
    /// epochsocks itself can't work: its library, its configuration.
    Own,
    /// The program was found and can't be run.
    NotRun,
    /// The program must not be run: it would not go through Tor.
    Refused,
    /// The program was not found.
    NotFound,
}

/// An end with a message of one line: what happened, to which thing, what to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Exit status.
    pub status: Status,
    /// The line, without `epochsocks: `.
    pub message: String,
}

impl Failure {
    /// A failure with `message`, in one line.
    pub fn new(status: Status, message: impl fmt::Display) -> Failure {
        Failure { status, message: one_line(message) }
    }
}

/// `text` with its control characters (those of a hostile file name) escaped, so that it stays one line.
pub fn one_line(text: impl fmt::Display) -> String {
    let mut line = String::new();
    for character in text.to_string().chars() {
        if character.is_control() {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}

/// Says on standard error what is odd, or what to do.
pub fn warn(message: impl fmt::Display) {
    let _ = writeln!(stderr(), "epochsocks: {}", one_line(message));
}

/// Writes `text` to standard output. Errors: it can't be written, as on a full disk.
pub fn print(text: &[u8]) -> Result<(), Failure> {
    let printed = stdout().write_all(text).and_then(|()| stdout().flush());
    printed.map_err(|error| {
        let errno = error.raw_os_error().unwrap_or_default();
        let why = describe(epochsocks::sys::Errno(errno));
        Failure::new(Status::Own, format!("standard output can't be written: {why}"))
    })
}

/// An errno as the C library words it.
pub fn describe(errno: epochsocks::sys::Errno) -> String {
    let text = std::io::Error::from_raw_os_error(errno.0).to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line_whatever_the_file_is_called() {
        let failure = Failure::new(Status::NotFound, "a\nb\x1b[31m: not found");
        assert_eq!(failure.message, "a\\nb\\u{1b}[31m: not found");
    }
}
