//! `GODEBUG`, by which Go's programs choose their resolver. Go's own refuses onion names (RFC 7686). A
//! dynamic program may ask the C library instead, which has the hooks.

use crate::bytes::Bytes;

/// The variable.
pub const VARIABLE: &str = "GODEBUG";

/// The choice of the C library.
const BY_C_LIBRARY: &[u8] = b"netdns=cgo";

/// An entry of the environment, with its NUL; with a longer one the program's own choice stays.
pub type Entry = Bytes<512>;

/// The entry that adds the choice of the C library to the `value` that the variable has. `None` if the value makes
/// a choice itself, or is too long.
pub fn by_c_library(value: Option<&[u8]>) -> Option<Entry> {
    let value = value.unwrap_or_default();
    if value.split(|byte| *byte == b',').any(|part| part.starts_with(b"netdns=")) {
        return None;
    }
    let separator: &[u8] = if value.is_empty() { b"" } else { b"," };
    let mut entry = Entry::EMPTY;
    let parts = [VARIABLE.as_bytes(), b"=", value, separator, BY_C_LIBRARY, b"\0"];
    parts.iter().all(|part| entry.extend(part)).then_some(entry)
}

/// Message about a program of Go's that has no C library to ask, behind its name.
pub const REFUSES: &str = "refuses onion names, as Go's own resolver does (RFC 7686), before anything is asked: \
    name Tor's port by its own proxy setting";

/// Tells whether an argument has an onion name.
pub fn names_onion<'a>(mut arguments: impl Iterator<Item = &'a [u8]>) -> bool {
    const DOMAIN: &[u8] = b".onion";
    let ends = |rest: &[u8]| {
        !rest.first().is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
    };
    arguments.any(|argument| {
        let mut rests = (0..argument.len()).filter_map(|start| argument.get(start..));
        rests.any(|rest| {
            rest.split_at_checked(DOMAIN.len())
                .is_some_and(|(domain, rest)| domain.eq_ignore_ascii_case(DOMAIN) && ends(rest))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(value: Option<&str>) -> Option<String> {
        let entry = by_c_library(value.map(str::as_bytes))?;
        let text = std::ffi::CStr::from_bytes_with_nul(entry.as_slice()).unwrap();
        Some(text.to_str().unwrap().to_owned())
    }

    #[test]
    fn the_choice_is_added_to_what_the_user_has_set() {
        for value in [None, Some("")] {
            assert_eq!(entry(value).as_deref(), Some("GODEBUG=netdns=cgo"));
        }
        assert_eq!(entry(Some("gctrace=1")).as_deref(), Some("GODEBUG=gctrace=1,netdns=cgo"));
    }

    #[test]
    fn onion_names_are_found_in_arguments() {
        let named = |text: &str| names_onion([b"x", text.as_bytes()].into_iter());
        for text in ["abc.onion", "http://ABC.Onion/x", "--to=abc.onion:80", "a.onionx.onion"] {
            assert!(named(text), "{text}");
        }
        for text in ["", "onion", "a.onions", "a.onion-b.example", "a.onio"] {
            assert!(!named(text), "{text}");
        }
    }

    #[test]
    fn the_users_own_choice_stays() {
        for value in ["netdns=go", "gctrace=1,netdns=go+1", "netdns=1", &"x".repeat(1000)] {
            assert_eq!(entry(Some(value)), None, "{value}");
        }
    }
}
