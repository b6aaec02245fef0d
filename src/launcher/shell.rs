//! `on`, `off` and `show`: what a shell evaluates.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::parent_id;

use crate::environment::{Change, Changes};
use crate::failure::{Failure, Status};

/// Command that the shell evaluates if there are no changes to make, because of an error. `set -e`
/// then ends a script, which would go on without Tor.
pub const STOP: &[u8] = b"false\n";

/// Shells of other languages.
const OTHERS: [&str; 6] = ["csh", "tcsh", "elvish", "nu", "pwsh", "xonsh"];

/// The language of the shell that evaluates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    /// The POSIX shell's, which bash, dash and zsh understand.
    Posix,
    /// That of fish.
    Fish,
}

impl Syntax {
    /// The language of the shell called `name`.
    pub fn named(name: &str) -> Option<Syntax> {
        match name {
            "sh" | "bash" | "dash" | "ksh" | "zsh" => Some(Syntax::Posix),
            "fish" => Some(Syntax::Fish),
            _ => None,
        }
    }

    /// The language of the process that has started this one: POSIX unless it is another shell. Errors: the
    /// shell's language is neither.
    pub fn of_parent() -> Result<Syntax, Failure> {
        let name = std::fs::read_to_string(format!("/proc/{}/comm", parent_id()));
        let name = name.unwrap_or_default();
        let name = name.trim_end();
        if OTHERS.contains(&name) {
            let message = format!(
                "nothing is printed that {name} understands: `epochsocks --shell` runs it through Tor, and \
                 `epochsocks on sh` prints what sh evaluates"
            );
            return Err(Failure::new(Status::Own, message));
        }
        Ok(Syntax::named(name).unwrap_or(Syntax::Posix))
    }

    fn set(self, text: &mut Vec<u8>, name: &OsStr, value: &OsStr) {
        let (before, between) = match self {
            Syntax::Posix => (&b"export "[..], &b"="[..]),
            Syntax::Fish => (&b"set -gx "[..], &b" "[..]),
        };
        text.extend(before);
        text.extend(name.as_bytes());
        text.extend(between);
        self.quote(text, value);
    }

    fn unset(self, text: &mut Vec<u8>, name: &OsStr) {
        text.extend(match self {
            Syntax::Posix => &b"unset "[..],
            Syntax::Fish => &b"set -e "[..],
        });
        text.extend(name.as_bytes());
    }

    /// Appends `value` in single quotes, inside which fish gives the backslash a meaning.
    fn quote(self, text: &mut Vec<u8>, value: &OsStr) {
        text.push(b'\'');
        for &byte in value.as_bytes() {
            match (byte, self) {
                (b'\'', Syntax::Posix) => text.extend(b"'\\''"),
                (b'\'' | b'\\', Syntax::Fish) => text.extend([b'\\', byte]),
                _ => text.push(byte),
            }
        }
        text.push(b'\'');
    }
}

/// Commands that make `changes` in the shell that evaluates them.
pub fn commands(changes: &Changes, syntax: Syntax) -> Vec<u8> {
    let mut text = Vec::new();
    for (name, change) in changes {
        match change {
            Change::Set(value) => syntax.set(&mut text, name, value),
            Change::Unset => syntax.unset(&mut text, name),
        }
        text.extend_from_slice(b";\n");
    }
    text
}

/// The line that `show` prints, torsocks' own.
pub fn show(preload: Option<&OsStr>) -> Vec<u8> {
    let preload = preload.map_or(&b""[..], OsStr::as_bytes);
    [b"LD_PRELOAD=\"", preload, b"\"\n"].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Needs the shell; the launcher's tests do it in all of them.
    #[test]
    fn any_value_survives_a_real_shell() {
        let value = "it's $HOME `id` \"x\" \\ \n* \\' end\\";
        let changes =
            vec![("GONE".into(), Change::Unset), ("VALUE".into(), Change::Set(value.into()))];
        let script = format!(
            "{}printf %s \"$VALUE${{GONE-.}}\"",
            String::from_utf8(commands(&changes, Syntax::Posix)).unwrap()
        );
        let output = std::process::Command::new("/bin/sh")
            .args(["-c", &script])
            .env("GONE", "here")
            .output()
            .unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{value}."));
    }

    #[test]
    fn fish_gets_its_own_language() {
        let changes =
            vec![("GONE".into(), Change::Unset), ("VALUE".into(), Change::Set("a'b\\c".into()))];
        let text = String::from_utf8(commands(&changes, Syntax::Fish)).unwrap();
        assert_eq!(text, "set -e GONE;\nset -gx VALUE 'a\\'b\\\\c';\n");
    }
}
