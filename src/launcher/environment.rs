//! The environment that the program gets.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use crate::registry::is_ours;

/// Variable that names the libraries which ld.so loads before the program's own.
pub const PRELOAD: &str = "LD_PRELOAD";
/// Variable that names auditing libraries (rtld-audit(7)). They run with a C library of their own,
/// which has no hooks.
pub const AUDIT: &str = "LD_AUDIT";

/// A change of one environment variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It gets a value.
    Set(OsString),
    /// It goes.
    Unset,
}

impl Change {
    /// The value that the variable gets, if any.
    pub fn value(&self) -> Option<&OsString> {
        match self {
            Change::Set(value) => Some(value),
            Change::Unset => None,
        }
    }
}

/// The variables that change, in the order in which a shell would be told.
pub type Changes = Vec<(OsString, Change)>;

/// `current` with `library` in front, once, and without any other library of ours.
pub fn with_library(current: Option<&OsStr>, library: &Path) -> OsString {
    let mut parts = vec![library.as_os_str().as_bytes()];
    parts.extend(others(current).filter(|part| *part != library.as_os_str().as_bytes()));
    OsString::from_vec(parts.join(&b':'))
}

/// `current` without our libraries; `None` when nothing is left.
pub fn without_library(current: Option<&OsStr>) -> Option<OsString> {
    let parts: Vec<_> = others(current).collect();
    (!parts.is_empty()).then(|| OsString::from_vec(parts.join(&b':')))
}

/// The user's own entries; ld.so splits at spaces and colons.
fn others(current: Option<&OsStr>) -> impl Iterator<Item = &[u8]> {
    let bytes = current.map_or(&[][..], OsStr::as_bytes);
    let parts = bytes.split(|byte| b" :".contains(byte));
    parts.filter(|part| !part.is_empty() && !is_ours(part))
}

/// The environment `base` after `changes`.
pub fn apply(
    base: impl IntoIterator<Item = (OsString, OsString)>,
    changes: &Changes,
) -> Vec<(OsString, OsString)> {
    let changed = |name: &OsString| changes.iter().any(|(other, _)| other == name);
    let kept = base.into_iter().filter(|(name, _)| !changed(name));
    let set = changes
        .iter()
        .filter_map(|(name, change)| change.value().map(|value| (name.clone(), value.clone())));
    kept.chain(set).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(current: &str) -> String {
        let library = Path::new("/a/libepochsocks_preload.so");
        with_library(Some(OsStr::new(current)), library).into_string().unwrap()
    }

    #[test]
    fn our_library_comes_first_and_once() {
        assert_eq!(with(""), "/a/libepochsocks_preload.so");
        assert_eq!(with("/x.so"), "/a/libepochsocks_preload.so:/x.so");
        assert_eq!(
            with("/x.so /a/libepochsocks_preload.so::/y.so"),
            "/a/libepochsocks_preload.so:/x.so:/y.so"
        );
    }

    #[test]
    fn another_library_of_ours_gives_way() {
        assert_eq!(with("/b/libepochsocks_preload-mutex.so"), "/a/libepochsocks_preload.so");
    }

    #[test]
    fn switching_off_leaves_what_the_user_had() {
        let off = |current: &str| without_library(Some(OsStr::new(current)));
        assert_eq!(off("/a/libepochsocks_preload.so:/x.so"), Some("/x.so".into()));
        assert_eq!(off("/a/libepochsocks_preload.so"), None);
        assert_eq!(without_library(None), None);
    }

    #[test]
    fn changes_replace_add_and_remove() {
        let base = [("A", "1"), ("B", "2")].map(|(name, value)| (name.into(), value.into()));
        let changes = vec![("A".into(), Change::Unset), ("C".into(), Change::Set("3".into()))];
        let after = apply(base, &changes);
        assert_eq!(after, [("B".into(), "2".into()), ("C".into(), "3".into())]);
    }
}
