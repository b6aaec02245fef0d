//! One look at a program's file, for all that is to be known of it before it runs.

use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use epochsocks::policy::exec::chain;
use epochsocks::program::{Facts, Kind, Script};
use epochsocks::sys::Errno;

/// A program's file, and what was seen in it.
pub struct Look<'a> {
    /// The file.
    pub file: &'a Path,
    /// Its facts, or why there are none.
    pub facts: Result<Facts, Errno>,
}

impl<'a> Look<'a> {
    /// Opens `file`, once.
    pub fn at(file: &'a Path) -> Look<'a> {
        let name = CString::new(file.as_os_str().as_bytes()).map_err(|_| Errno(libc::ENOENT));
        Look { file, facts: name.and_then(|name| chain::inspect(libc::AT_FDCWD, &name)) }
    }

    /// The program that a script runs, by its path or by the name that `env` looks for; `None` for what is no
    /// script.
    pub fn interpreter(&self) -> Option<PathBuf> {
        let Ok(Facts { kind: Kind::Script(script), .. }) = &self.facts else { return None };
        Some(PathBuf::from(
            env_target(script)
                .unwrap_or_else(|| OsStr::from_bytes(script.interpreter().to_bytes()).to_owned()),
        ))
    }

    /// Tells whether the library may stay in the file's environment.
    pub fn may_load(&self) -> bool {
        chain::may_load(&self.facts)
    }
}

/// The name that `env` would look for: its first word that is neither an option nor an
/// assignment. `None` when the script does not run `env`, or with an option that takes a value.
pub fn env_target(script: &Script) -> Option<OsString> {
    let interpreter = script.interpreter().to_bytes();
    if interpreter.rsplit(|&byte| byte == b'/').next() != Some(b"env") {
        return None;
    }
    let argument = script.argument().to_bytes();
    // Without -S the kernel's one argument is one word, blanks and all.
    let words = match argument.strip_prefix(b"-S") {
        Some(words) => words,
        None if argument.starts_with(b"-") => return None,
        None => return Some(OsString::from_vec(argument.to_vec())).filter(|name| !name.is_empty()),
    };
    let mut words = words.split(|byte| byte.is_ascii_whitespace()).filter(|word| !word.is_empty());
    let word = words.find(|word| !word.contains(&b'='))?;
    (!word.starts_with(b"-")).then(|| OsString::from_vec(word.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(line: &[u8]) -> Option<String> {
        let script = Script::parse(line).unwrap();
        env_target(&script).map(|name| name.into_string().unwrap())
    }

    #[test]
    fn the_program_behind_env_is_found() {
        assert_eq!(target(b"#!/usr/bin/env python3\n"), Some("python3".into()));
        assert_eq!(target(b"#!/usr/bin/env -S A=1 python3 -u\n"), Some("python3".into()));
        assert_eq!(target(b"#!/usr/bin/env -Sperl -w\n"), Some("perl".into()));
    }

    #[test]
    fn what_is_not_plain_env_is_left_to_the_hook() {
        assert_eq!(target(b"#!/bin/sh\n"), None);
        assert_eq!(target(b"#!/usr/bin/env\n"), None);
        assert_eq!(target(b"#!/usr/bin/env -i\n"), None);
        assert_eq!(target(b"#!/usr/bin/env -S -i sh\n"), None);
    }
}
