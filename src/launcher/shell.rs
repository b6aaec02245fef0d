//! `on`, `off` and `show`: what a shell evaluates.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::environment::{Change, Changes};

/// Commands of the POSIX shell that make `changes` in the shell that evaluates them.
pub fn commands(changes: &Changes) -> Vec<u8> {
    let mut text = Vec::new();
    for (name, change) in changes {
        match change {
            Change::Set(value) => {
                text.extend_from_slice(b"export ");
                text.extend_from_slice(name.as_bytes());
                text.push(b'=');
                text.extend(quoted(value));
            }
            Change::Unset => {
                text.extend_from_slice(b"unset ");
                text.extend_from_slice(name.as_bytes());
            }
        }
        text.extend_from_slice(b";\n");
    }
    text
}

/// `value` in single quotes.
fn quoted(value: &OsStr) -> Vec<u8> {
    let mut text = vec![b'\''];
    for &byte in value.as_bytes() {
        match byte {
            b'\'' => text.extend_from_slice(b"'\\''"),
            _ => text.push(byte),
        }
    }
    text.push(b'\'');
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

    #[test]
    fn any_value_survives_a_real_shell() {
        let value = "it's $HOME `id` \"x\" \\ \n* end";
        let changes =
            vec![("GONE".into(), Change::Unset), ("VALUE".into(), Change::Set(value.into()))];
        let script = format!(
            "{}printf %s \"$VALUE${{GONE-.}}\"",
            String::from_utf8(commands(&changes)).unwrap()
        );
        let output = std::process::Command::new("/bin/sh")
            .args(["-c", &script])
            .env("GONE", "here")
            .output()
            .unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{value}."));
    }
}
