//! The registry backends that `--registry` chooses from, each a preload library of its own.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use epochsocks::registry::{VARIANTS, Variant};

use crate::failure::{Failure, Status};

/// Every backend's name; the first is the default.
pub fn names() -> impl Iterator<Item = &'static str> {
    VARIANTS.iter().map(|variant| variant.name)
}

/// A backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registry(&'static Variant);

impl Default for Registry {
    fn default() -> Registry {
        Registry(VARIANTS[0])
    }
}

impl Registry {
    /// The backend called `name`.
    pub fn named(name: &str) -> Result<Registry, Failure> {
        Variant::find(name).map(Registry).ok_or_else(|| {
            let choice = names().collect::<Vec<_>>().join(", ");
            Failure::new(Status::Usage, format!("no registry is called {name:?}: one of {choice}"))
        })
    }

    /// The file name of the preload library that is built with it.
    pub fn library(self) -> String {
        if self == Registry::default() {
            return "libepochsocks_preload.so".to_owned();
        }
        format!("libepochsocks_preload-{}.so", self.0.name)
    }

    /// The command that builds that library.
    pub fn recipe(self) -> String {
        if self == Registry::default() {
            return "cargo build --release".to_owned();
        }
        format!("src/preload/build-variants {}", self.0.name)
    }

    /// Lines about the guarantees that this backend lacks, one for each.
    pub fn caveats(self) -> impl Iterator<Item = String> {
        let Registry(variant) = self;
        variant.guarantees.missing.iter().map(|(letter, reason)| {
            format!("registry {} lacks guarantee {letter:?}: {reason}", variant.name)
        })
    }
}

/// Tells whether `path` names a preload library of epochsocks, of any backend.
pub fn is_ours(path: &[u8]) -> bool {
    let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    name.starts_with(b"libepochsocks_preload") && name.ends_with(b".so")
}

/// Tells whether an LD_PRELOAD contains one of them.
pub fn lists_ours(preload: &OsStr) -> bool {
    preload.as_bytes().split(|byte| b" :".contains(byte)).any(is_ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_backend_has_a_library_of_its_own_that_is_known_as_ours() {
        let files: Vec<_> = names().map(|name| Registry::named(name).unwrap().library()).collect();
        assert_eq!(files[0], "libepochsocks_preload.so");
        for (index, file) in files.iter().enumerate() {
            assert!(is_ours(format!("/usr/lib/epochsocks/{file}").as_bytes()));
            assert!(!files[..index].contains(file));
        }
        assert!(!is_ours(b"/usr/lib/epochsocks/libtorsocks.so"));
    }

    #[test]
    fn an_unknown_backend_is_a_usage_error_that_lists_the_known() {
        let failure = Registry::named("tree").unwrap_err();
        assert_eq!(failure.status, Status::Usage);
        assert!(failure.message.contains("slots-hazard"), "{}", failure.message);
    }

    #[test]
    fn what_a_backend_lacks_is_said_and_the_default_lacks_nothing() {
        assert_eq!(Registry::default().caveats().count(), 0);
        let caveats: Vec<_> = Registry::named("mutex").unwrap().caveats().collect();
        assert!(caveats[0].starts_with("registry mutex lacks guarantee H: "), "{caveats:?}");
        assert_eq!(caveats.len(), 2);
    }
}
