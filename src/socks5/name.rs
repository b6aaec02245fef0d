//! A host name that fits SOCKS5's one length byte.

use core::fmt;

use crate::bytes::Bytes;

/// Reason that bytes are not a host name that SOCKS5 can carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameError {
    /// No byte is left (a lone trailing dot counts as none).
    Empty,
    /// More than 255 bytes without the trailing dot.
    TooLong,
    /// A NUL byte, which tor and every C resolver would cut the name at.
    Nul,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NameError::Empty => "the host name is empty",
            NameError::TooLong => "the host name is longer than 255 bytes",
            NameError::Nul => "the host name contains a NUL byte",
        })
    }
}

impl core::error::Error for NameError {}

/// A host name of 1 to 255 bytes, none of them NUL, kept without its trailing dot: tor does not
/// know the absolute form. Bytes beyond ASCII are passed on as they are. `Display` escapes what is
/// not printable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct Name(Bytes<255>);

impl Name {
    /// Takes `name` as a host name, without one trailing dot if it has one.
    pub fn new(name: &[u8]) -> Result<Name, NameError> {
        let name = name.strip_suffix(b".").unwrap_or(name);
        if name.is_empty() {
            return Err(NameError::Empty);
        }
        if name.contains(&0) {
            return Err(NameError::Nul);
        }
        Bytes::new(name).map(Name).ok_or(NameError::TooLong)
    }

    /// The name's 1 to 255 bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_slice()
    }

    /// Tells whether the name ends in `.onion` (in any case) with something before it (RFC 7686).
    pub fn is_onion(&self) -> bool {
        const SUFFIX: &[u8] = b".onion";
        self.as_bytes()
            .split_last_chunk::<{ SUFFIX.len() }>()
            .is_some_and(|(label, end)| !label.is_empty() && end.eq_ignore_ascii_case(SUFFIX))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_1_to_255_are_names() {
        assert_eq!(Name::new(b""), Err(NameError::Empty));
        assert_eq!(Name::new(b"a").unwrap().as_bytes(), b"a");
        assert_eq!(Name::new(&[b'a'; 255]).unwrap().as_bytes(), [b'a'; 255]);
        assert_eq!(Name::new(&[b'a'; 256]), Err(NameError::TooLong));
    }

    #[test]
    fn one_trailing_dot_is_dropped() {
        assert_eq!(Name::new(b"example.org."), Name::new(b"example.org"));
        assert_eq!(Name::new(b"a..").unwrap().as_bytes(), b"a.");
        assert_eq!(Name::new(b"."), Err(NameError::Empty));
        let mut longest = [b'a'; 256];
        longest[255] = b'.';
        assert_eq!(Name::new(&longest).unwrap().as_bytes().len(), 255);
    }

    #[test]
    fn a_nul_is_refused_wherever_it_stands() {
        for name in [&b"\0"[..], b"\0a", b"a\0b", b"a\0", b"a\0."] {
            assert_eq!(Name::new(name), Err(NameError::Nul), "{name:?}");
        }
    }

    #[test]
    fn onion_names_are_told_by_their_last_label() {
        let is_onion = |name: &str| Name::new(name.as_bytes()).unwrap().is_onion();
        for name in ["a.onion", "A.ONION", "www.a.Onion", "a.onion."] {
            assert!(is_onion(name), "{name}");
        }
        for name in [".onion", "onion", "aonion", "a.onion.org", "a.onions"] {
            assert!(!is_onion(name), "{name}");
        }
    }

    #[test]
    fn unprintable_bytes_are_escaped_for_the_log() {
        assert_eq!(Name::new(b"a\nb\xff").unwrap().to_string(), r"a\nb\xff");
    }
}
