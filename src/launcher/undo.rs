//! The record that `on` leaves in the shell's environment, by which `off` restores what was there.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::environment::{Change, Changes, PRELOAD, without_library};
use crate::registry;

/// The variable that holds the record. Its prefix is not that of the settings, so that programs
/// neither read it nor hand it on.
pub const VARIABLE: &str = "_EPOCHSOCKS_UNDO";

/// A variable that `on` changed: the values before and after, `None` where it was unset.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    name: OsString,
    before: Option<OsString>,
    after: Option<OsString>,
}

/// The current value of a variable.
type Lookup<'a> = &'a dyn Fn(&OsStr) -> Option<OsString>;

/// `changes`, made by `on`, and the change of the record that lets `off` restore what they replace.
/// A second `on` keeps the values from before the first.
pub fn recorded(changes: Changes, current: Lookup<'_>) -> Changes {
    let old = record(current);
    let new = changes.iter().map(|(name, change)| {
        let first = old.iter().find(|entry| entry.name == *name);
        let before = match first {
            Some(entry) if entry.after == current(name) => entry.before.clone(),
            _ => current(name),
        };
        Entry { name: name.clone(), before, after: change.value().cloned() }
    });
    let kept = |entry: &&Entry| !changes.iter().any(|(name, _)| *name == entry.name);
    let entries: Vec<_> = new.chain(old.iter().filter(kept).cloned()).collect();
    let text = entries.iter().map(encoded).collect::<Vec<_>>().join(&b' ');
    let record = (VARIABLE.into(), Change::Set(OsString::from_vec(text)));
    changes.into_iter().chain([record]).collect()
}

/// The changes that `off` makes: each variable gets the value from before `on`, unless the user has
/// changed it since. The library leaves LD_PRELOAD in any case.
pub fn undone(current: Lookup<'_>) -> Changes {
    let entries = record(current);
    let restored = entries.into_iter().filter(|entry| current(&entry.name) == entry.after);
    let mut changes: Changes = restored
        .map(|entry| (entry.name, entry.before.map_or(Change::Unset, Change::Set)))
        .collect();
    let preload = current(OsStr::new(PRELOAD));
    let is_restored = changes.iter().any(|(name, _)| name == PRELOAD);
    if !is_restored && preload.as_deref().is_some_and(registry::lists_ours) {
        let rest = without_library(preload.as_deref());
        changes.push((PRELOAD.into(), rest.map_or(Change::Unset, Change::Set)));
    }
    if current(OsStr::new(VARIABLE)).is_some() {
        changes.push((VARIABLE.into(), Change::Unset));
    }
    changes
}

fn record(current: Lookup<'_>) -> Vec<Entry> {
    let text = current(OsStr::new(VARIABLE)).unwrap_or_default();
    text.as_bytes().split(|&byte| byte == b' ').filter_map(decoded).collect()
}

/// An entry as `NAME=BEFORE=AFTER`: a value follows a `+`, an unset variable is empty.
fn encoded(entry: &Entry) -> Vec<u8> {
    let mut text = entry.name.as_bytes().to_vec();
    for value in [&entry.before, &entry.after] {
        text.push(b'=');
        let Some(value) = value else { continue };
        text.push(b'+');
        for &byte in value.as_bytes() {
            match byte {
                b' ' | b'=' | b'%' | 0..b' ' | 127.. => {
                    text.extend(format!("%{byte:02x}").into_bytes());
                }
                _ => text.push(byte),
            }
        }
    }
    text
}

fn decoded(text: &[u8]) -> Option<Entry> {
    let mut parts = text.split(|&byte| byte == b'=');
    let name = parts.next().filter(|name| !name.is_empty())?;
    let mut value = || match parts.next()?.split_first() {
        None => Some(None),
        Some((b'+', text)) => Some(Some(OsString::from_vec(unescaped(text)?))),
        Some(_) => None,
    };
    Some(Entry { name: OsStr::from_bytes(name).to_owned(), before: value()?, after: value()? })
}

fn unescaped(text: &[u8]) -> Option<Vec<u8>> {
    let mut pieces = text.split(|&byte| byte == b'%');
    let mut value = pieces.next()?.to_vec();
    for piece in pieces {
        let (digits, rest) = piece.split_at_checked(2)?;
        value.push(u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()?);
        value.extend(rest);
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    struct Shell(BTreeMap<OsString, OsString>);

    impl Shell {
        fn with(variables: &[(&str, &str)]) -> Shell {
            Shell(variables.iter().map(|&(name, value)| (name.into(), value.into())).collect())
        }

        fn make(&mut self, changes: Changes) {
            for (name, change) in changes {
                match change {
                    Change::Set(value) => self.0.insert(name, value),
                    Change::Unset => self.0.remove(&name),
                };
            }
        }

        fn on(&mut self, port: &str) {
            let preload = self.0.get(OsStr::new(PRELOAD)).cloned();
            let library = std::path::Path::new("/a/libepochsocks_preload.so");
            let preload = crate::environment::with_library(preload.as_deref(), library);
            let changes = vec![
                ("PORT".into(), Change::Set(port.into())),
                ("GONE".into(), Change::Unset),
                (PRELOAD.into(), Change::Set(preload)),
            ];
            let before = self.clone();
            self.make(recorded(changes, &|name| before.0.get(name).cloned()));
        }

        fn off(&mut self) {
            let before = self.clone();
            self.make(undone(&|name| before.0.get(name).cloned()));
        }
    }

    #[test]
    fn off_restores_every_variable_to_the_byte() {
        for variables in [
            &[][..],
            &[("PORT", "9150"), ("GONE", "%= \n\u{e9}"), (PRELOAD, "/x.so /y.so"), ("OTHER", "1")],
            &[("PORT", ""), (PRELOAD, "")],
        ] {
            let before = Shell::with(variables);
            let mut shell = before.clone();
            shell.on("1");
            assert_ne!(shell, before);
            shell.on("2");
            shell.off();
            assert_eq!(shell, before);
            shell.off();
            assert_eq!(shell, before, "a second `off` changes nothing");
        }
    }

    #[test]
    fn off_leaves_what_was_changed_after_on() {
        let mut shell = Shell::with(&[("PORT", "9150")]);
        shell.on("1");
        shell.0.insert("PORT".into(), "2".into());
        shell.0.insert(PRELOAD.into(), "/a/libepochsocks_preload.so:/x.so".into());
        shell.off();
        assert_eq!(shell, Shell::with(&[("PORT", "2"), (PRELOAD, "/x.so")]));
    }

    #[test]
    fn a_record_that_is_none_is_passed_over() {
        let mut shell = Shell::with(&[(VARIABLE, "=x A B=c D=+%4=+ E==+1"), ("E", "1")]);
        shell.off();
        assert_eq!(shell, Shell::default());
    }
}
