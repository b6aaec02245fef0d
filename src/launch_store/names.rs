//! The names behind cookie addresses: an entry for each address, made once and never changed.

use core::fmt::Write;
use core::net::Ipv4Addr;

use super::store::{Store, Text};
use crate::bytes::Bytes;
use crate::sys::Errno;

/// A name as it was looked up, in lower case; not empty.
pub type CookieName = Bytes<255>;

impl Store {
    /// Lets `address` stand for `name`, unless it stands for another one already: that name. Errors:
    /// as for [`Store::make`], and `EIO` for an entry that is not a name.
    pub fn claim(self, address: Ipv4Addr, name: &[u8]) -> Result<CookieName, Errno> {
        let mut own = CookieName::EMPTY;
        if !name.iter().all(|byte| own.extend(&[byte.to_ascii_lowercase()])) {
            return Err(Errno(libc::EINVAL));
        }
        let before = self.make(entry_name(address).as_str(), own.as_slice())?;
        self.hold();
        match before {
            None => Ok(own),
            Some(text) => parse(&text).ok_or(Errno(libc::EIO)),
        }
    }

    /// The name that `address` stands for.
    pub fn name_behind(self, address: Ipv4Addr) -> Option<CookieName> {
        let text = self.read(entry_name(address).as_str())?;
        self.hold();
        parse(&text)
    }
}

fn parse(text: &Text) -> Option<CookieName> {
    CookieName::new(text.as_slice()).filter(|name| !name.is_empty())
}

/// The name of an entry.
pub(super) struct EntryName(Bytes<16>);

impl EntryName {
    /// `kind` and a number.
    pub(super) fn new(kind: char, number: u32) -> EntryName {
        let mut name = Bytes::EMPTY;
        // Nine bytes at most.
        let _ = write!(name, "{kind}{number:x}");
        EntryName(name)
    }

    pub(super) fn as_str(&self) -> &str {
        core::str::from_utf8(self.0.as_slice()).unwrap_or_default()
    }
}

fn entry_name(address: Ipv4Addr) -> EntryName {
    EntryName::new('n', address.to_bits())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::launch_store::tests::Scratch;

    const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 42, 42, 9);

    #[test]
    fn the_first_name_of_an_address_stays() {
        let scratch = Scratch::new();
        let store = scratch.store();
        assert_eq!(store.name_behind(ADDRESS), None);
        for name in [&b"First.Onion"[..], b"second.onion", b"first.onion"] {
            assert_eq!(store.claim(ADDRESS, name).unwrap().as_slice(), b"first.onion");
        }
        assert_eq!(store.name_behind(ADDRESS).unwrap().as_slice(), b"first.onion");
        assert_eq!(store.name_behind(Ipv4Addr::new(127, 42, 42, 10)), None);
    }

    #[test]
    fn a_name_of_any_length_and_of_any_bytes_but_nul_is_kept() {
        let scratch = Scratch::new();
        let store = scratch.store();
        for (last, name) in [&[b'a'; 255][..], b"/", b"..", b"a b\n\xff"].into_iter().enumerate() {
            let address = Ipv4Addr::new(127, 42, 42, last as u8);
            store.claim(address, name).unwrap();
            assert_eq!(store.name_behind(address).unwrap().as_slice(), name);
        }
        for name in [&b""[..], b"a\0b", &[b'a'; 256]] {
            assert_eq!(store.claim(Ipv4Addr::BROADCAST, name), Err(Errno(libc::EINVAL)));
        }
    }

    #[test]
    fn processes_that_race_for_an_address_agree_on_its_name() {
        let scratch = Scratch::new();
        let store = scratch.store();
        let address = |n| Ipv4Addr::new(127, 42, 0, n);
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|thread| {
                    let claim = move |n| {
                        store.claim(address(n), format!("{thread}.{n}.onion").as_bytes()).unwrap()
                    };
                    scope.spawn(move || (0..100).map(claim).collect::<Vec<_>>())
                })
                .collect();
            let answers: Vec<_> = threads.into_iter().map(|t| t.join().unwrap()).collect();
            assert!(answers.iter().all(|answer| *answer == answers[0]));
        });
    }
}
