//! The launch that a process belongs to: what the environment variable `_EPOCHSOCKS_LAUNCH` says.

use core::fmt;

/// The variable. Whatever a process of a launch executes gets it. Its prefix is not that of the
/// settings.
pub const VARIABLE: &str = "_EPOCHSOCKS_LAUNCH";

/// Behind the launch in the launcher's own exec: no other process belongs to it yet.
pub const ALONE: u8 = b'+';

/// A launch: all that one `epochsocks` command starts, or a shell after `on`, or a program that was
/// given the library by hand. Shown as in the environment: `0123456789abcdef.4711`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Launch {
    /// A random number.
    pub id: u64,
    /// The process that it began with, or the shell that waits for it: while that one lives, the
    /// launch does.
    pub first: i32,
}

impl Launch {
    /// A launch that `process` begins, with two numbers that can't be guessed. Neither of them can be
    /// told from it.
    pub const fn new(process: i32, random: [u64; 2]) -> Launch {
        Launch { id: random[0].rotate_left(29) ^ random[1], first: process }
    }

    /// Reads the value of [`VARIABLE`], with or without [`ALONE`].
    pub fn parse(value: &[u8]) -> Option<Launch> {
        let value = value.strip_suffix(&[ALONE]).unwrap_or(value);
        let (id, first) = core::str::from_utf8(value).ok()?.split_once('.')?;
        let is_id = id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        let id = is_id.then(|| u64::from_str_radix(id, 16).ok())??;
        let first = first.parse().ok().filter(|first| *first > 0)?;
        Some(Launch { id, first })
    }
}

impl fmt::Display for Launch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}.{}", self.id, self.first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_launch_is_read_as_it_is_shown() {
        for launch in [Launch { id: 0, first: 1 }, Launch { id: u64::MAX, first: i32::MAX }] {
            assert_eq!(Launch::parse(launch.to_string().as_bytes()), Some(launch));
            assert_eq!(Launch::parse(format!("{launch}+").as_bytes()), Some(launch));
        }
    }

    #[test]
    fn what_is_no_launch_is_none() {
        for value in ["", "+", "1.1", "0123456789abcdef", "0123456789abcdef.", "0123456789abcdef.0"]
        {
            assert_eq!(Launch::parse(value.as_bytes()), None, "{value}");
        }
        for value in ["0123456789abcdef.-4", "+123456789abcdef.4", "0123456789abcdef.4x"] {
            assert_eq!(Launch::parse(value.as_bytes()), None, "{value}");
        }
    }
}
