//! The `#!` line, read as Linux reads it (fs/binfmt_script.c).

use core::ffi::CStr;

/// First bytes of a script.
pub const MAGIC: &[u8] = b"#!";

/// Number of bytes of a script that the kernel looks at (`BINPRM_BUF_SIZE`), the `#!` included.
pub const LINE: usize = 256;

/// A script's interpreter and the one argument that the kernel passes it.
#[derive(Clone, Copy)]
pub struct Script {
    interpreter: [u8; LINE],
    argument: [u8; LINE],
}

impl Script {
    /// Parses the first [`LINE`] bytes of a script (fewer if it is shorter). `None` where the
    /// kernel answers `ENOEXEC`: no interpreter, or one that does not end within the bytes.
    pub fn parse(start: &[u8]) -> Option<Script> {
        let text = start.get(..start.len().min(LINE))?.strip_prefix(MAGIC)?;
        let end = text.iter().position(|&byte| byte == b'\n');
        let line = trim_start(text.get(..end.unwrap_or(text.len()))?);
        let split = line.iter().position(|&byte| is_blank(byte) || byte == 0);
        // A line that fills the buffer may go on behind it: only a finished name can be trusted.
        if split.is_none() && end.is_none() && start.len() >= LINE {
            return None;
        }
        let (name, rest) = line.split_at_checked(split.unwrap_or(line.len()))?;
        if name.is_empty() {
            return None;
        }
        let argument = trim_end(trim_start(rest));
        let argument = argument.split(|&byte| byte == 0).next()?;
        Some(Script { interpreter: with_nul(name)?, argument: with_nul(argument)? })
    }

    /// The interpreter's path, relative to the working directory if it is not absolute.
    pub fn interpreter(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.interpreter).unwrap_or(c"")
    }

    /// The interpreter's path, padded with NULs.
    pub(crate) fn interpreter_bytes(&self) -> &[u8; LINE] {
        &self.interpreter
    }

    /// The rest of the line, one argument with its inner blanks; empty if there is none.
    pub fn argument(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.argument).unwrap_or(c"")
    }
}

impl core::fmt::Debug for Script {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let fields = (self.interpreter(), self.argument());
        f.debug_struct("Script")
            .field("interpreter", &fields.0)
            .field("argument", &fields.1)
            .finish()
    }
}

fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

fn trim_start(mut text: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = text
        && is_blank(*first)
    {
        text = rest;
    }
    text
}

fn trim_end(mut text: &[u8]) -> &[u8] {
    while let [rest @ .., last] = text
        && is_blank(*last)
    {
        text = rest;
    }
    text
}

fn with_nul(text: &[u8]) -> Option<[u8; LINE]> {
    let mut buffer = [0; LINE];
    buffer.get_mut(..text.len())?.copy_from_slice(text);
    (text.len() < LINE).then_some(buffer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(start: &[u8]) -> Option<(String, String)> {
        let script = Script::parse(start)?;
        let text = |part: &CStr| part.to_str().unwrap().to_owned();
        Some((text(script.interpreter()), text(script.argument())))
    }

    #[test]
    fn interpreter_and_argument_are_split_at_the_first_blanks() {
        let pair = |a: &str, b: &str| Some((a.to_owned(), b.to_owned()));
        assert_eq!(parsed(b"#!/bin/sh\nexit"), pair("/bin/sh", ""));
        assert_eq!(parsed(b"#! \t /bin/sh -e  -x \t\n"), pair("/bin/sh", "-e  -x"));
        assert_eq!(parsed(b"#!/bin/sh"), pair("/bin/sh", ""));
        assert_eq!(parsed(b"#!/bin/sh\0 -e\n"), pair("/bin/sh", ""));
    }

    #[test]
    fn a_line_without_an_interpreter_is_refused() {
        assert_eq!(parsed(b"#!"), None);
        assert_eq!(parsed(b"#!  \t\n/bin/sh"), None);
        assert_eq!(parsed(b"#\n"), None);
    }

    #[test]
    fn a_name_cut_by_the_buffer_is_refused_and_a_cut_argument_is_not() {
        let long = [b"#!/".as_slice(), &[b'a'; 300]].concat();
        assert_eq!(parsed(&long[..LINE]), None);
        let argument = [b"#!/bin/sh ".as_slice(), &[b'a'; 300]].concat();
        assert_eq!(parsed(&argument[..LINE]).unwrap().0, "/bin/sh");
        let whole = [b"#!/".as_slice(), &[b'a'; LINE - 4], b"\n"].concat();
        assert_eq!(parsed(&whole).unwrap().0.len(), LINE - 3);
    }
}
