//! A torified socket's destination, carried by its open file description: whoever gets the socket,
//! by a message or over exec, can read where it leads.
//!
//! The kernel keeps nothing of a program's with a socket, but for locks: a read lock of an open file
//! description (fcntl(2), `F_OFD_SETLK`) stays with it, whoever holds it and whatever it is called,
//! and goes with its last descriptor. Nobody locks ranges of a socket, locks cost no packet
//! anything, and a range has room for a number of 63 bits. So a label is a row of locks of one byte
//! each, and what it says is where they lie:
//!
//! ```text
//!   slot 0                slot 1              slot 2
//!   | magic length sum    | bytes 0 to 5      | bytes 6 to 11     | ...
//!   0                     2^50                2 * 2^50
//! ```
//!
//! The header is written last and holds a checksum, so that a label is read whole or not at all.
//! Async-signal-safe; no I/O in here.

use core::net::SocketAddr;

use crate::bytes::Bytes;
use crate::policy::Address;
use crate::policy::address::encode;
use crate::socks5::Name;

/// The distance of two slots.
const SLOT: i64 = 1 << 50;
/// A slot's bytes, and their bits: a value is never the last before the next slot, so that no two
/// locks touch and are made one by the kernel.
const SLOT_BYTES: usize = 6;
/// A label's first two bytes; the second one counts the layouts.
const MAGIC: [u8; 2] = [0xe5, 1];
/// The longest label: the length of a `sockaddr`, itself, and a name.
const LONGEST: usize = 1 + size_of::<libc::sockaddr_in6>() + 255;

/// What a label says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    /// What `getpeername` answers to whoever connected the socket.
    pub destination: SocketAddr,
    /// The name that this is a cookie address for. The address is one of the pool of whoever wrote
    /// the label; another process has its own for the name.
    pub name: Option<Name>,
}

impl Label {
    /// Where the locks lie, in the order in which they are to be made.
    pub fn locks(&self) -> impl Iterator<Item = i64> {
        let body = self.body();
        let header = header(body.as_slice());
        let slots = 1 + body.len().div_ceil(SLOT_BYTES);
        (1..slots).chain([0]).map(move |slot| {
            let value = match slot {
                0 => header,
                _ => value(body.as_slice().get((slot - 1) * SLOT_BYTES..).unwrap_or_default()),
            };
            slot as i64 * SLOT + value
        })
    }

    /// Reads a label by `lock`, which tells where the first lock from an offset on, within so many
    /// bytes, begins. `None` if there is no label, or not all of one.
    pub fn read(mut lock: impl FnMut(i64, i64) -> Option<i64>) -> Option<Label> {
        let mut slot = |slot: usize| {
            let start = slot as i64 * SLOT;
            let bytes = lock(start, SLOT)?.checked_sub(start)?.to_le_bytes();
            bytes.first_chunk::<SLOT_BYTES>().copied()
        };
        let head = slot(0)?;
        let length = usize::from(u16::from_le_bytes([head[2], head[3]]));
        if !head.starts_with(&MAGIC) || length > LONGEST {
            return None;
        }
        let mut body = Bytes::<{ LONGEST }>::EMPTY;
        for index in 1..=length.div_ceil(SLOT_BYTES) {
            let left = length - body.len();
            body.extend(slot(index)?.get(..left.min(SLOT_BYTES))?);
        }
        (header(body.as_slice()).to_le_bytes().starts_with(&head))
            .then(|| parse(body.as_slice()))?
    }

    /// Whether the lock that begins in slot 0 is a label's: one that may be replaced.
    pub fn begins_at(lock: i64) -> bool {
        lock.to_le_bytes().starts_with(&MAGIC)
    }

    fn body(&self) -> Bytes<LONGEST> {
        let (address, length) = encode(&self.destination);
        let name = self.name.as_ref().map_or(&[][..], Name::as_bytes);
        let mut body = Bytes::EMPTY;
        body.extend(&[length as u8]);
        body.extend(address.get(..length).unwrap_or_default());
        body.extend(name);
        body
    }
}

/// The first slot's range: offset and length.
pub const HEADER: (i64, i64) = (0, SLOT);

/// The range of the longest label.
pub const WHOLE: (i64, i64) = (0, (1 + LONGEST.div_ceil(SLOT_BYTES) as i64) * SLOT);

/// The range of the slot that a lock lies in.
pub const fn slot_of(lock: i64) -> (i64, i64) {
    (lock - lock % SLOT, SLOT)
}

fn parse(body: &[u8]) -> Option<Label> {
    let (&length, rest) = body.split_first()?;
    let (address, name) = rest.split_at_checked(usize::from(length))?;
    let Address::Inet(destination) = Address::parse(address) else { return None };
    let name = match name {
        [] => None,
        name => Some(Name::new(name).ok()?),
    };
    Some(Label { destination, name })
}

fn header(body: &[u8]) -> i64 {
    let [a, b] = (body.len() as u16).to_le_bytes();
    let [c, d] = checksum(body).to_le_bytes();
    value(&[MAGIC[0], MAGIC[1], a, b, c, d])
}

/// Up to six bytes as a number.
fn value(bytes: &[u8]) -> i64 {
    let mut value = [0; 8];
    for (place, byte) in value.iter_mut().zip(bytes.iter().take(SLOT_BYTES)) {
        *place = *byte;
    }
    i64::from_le_bytes(value)
}

/// Fletcher's, which tells the order of bytes.
fn checksum(bytes: &[u8]) -> u16 {
    let (low, high) = bytes.iter().fold((1u32, 0u32), |(low, high), byte| {
        let low = (low + u32::from(*byte)) % 251;
        (low, (high + low) % 251)
    });
    (high << 8 | low) as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn label(destination: &str, name: Option<&[u8]>) -> Label {
        let name = name.map(|name| Name::new(name).unwrap());
        Label { destination: destination.parse().unwrap(), name }
    }

    /// Reads as the kernel would answer.
    fn read(locks: &[i64]) -> Option<Label> {
        Label::read(|start, length| {
            locks.iter().copied().filter(|lock| (start..start + length).contains(lock)).min()
        })
    }

    #[test]
    fn a_label_is_read_as_it_was_written() {
        for label in [
            label("192.0.2.1:80", None),
            label("[2001:db8::1]:65535", None),
            label("[fe80::1%7]:1", None),
            label("127.42.42.9:443", Some(b"example.onion")),
            label("[100::1]:443", Some(&[b'a'; 255])),
        ] {
            let locks: Vec<i64> = label.locks().collect();
            assert_eq!(read(&locks), Some(label));
            assert!(Label::begins_at(*locks.last().unwrap()), "the header comes last");
        }
    }

    #[test]
    fn no_two_locks_touch() {
        let mut locks: Vec<i64> = label("127.42.42.9:1", Some(&[0xff; 255])).locks().collect();
        locks.sort_unstable();
        assert!(locks.windows(2).all(|pair| pair[1] - pair[0] > 1), "{locks:?}");
    }

    #[test]
    fn what_is_not_whole_is_no_label() {
        let locks: Vec<i64> = label("127.42.42.9:1", Some(b"example.onion")).locks().collect();
        for missing in 0..locks.len() {
            let mut rest = locks.clone();
            rest.remove(missing);
            assert_eq!(read(&rest), None, "without {missing}");
        }
        for changed in 0..locks.len() {
            let mut other = locks.clone();
            other[changed] ^= 4;
            assert_eq!(read(&other), None, "{changed} changed");
        }
        assert_eq!(read(&[]), None);
    }

    #[test]
    fn every_lock_lies_in_the_range_of_the_longest_label() {
        let (start, length) = WHOLE;
        for lock in label("[100::1]:1", Some(&[0xff; 255])).locks() {
            assert!((start..start + length).contains(&lock));
            let (start, length) = slot_of(lock);
            assert!((start..start + length).contains(&lock) && start % SLOT == 0);
        }
    }

    proptest! {
        #[test]
        fn any_locks_are_read_without_a_panic(slots: Vec<u64>) {
            let locks: Vec<i64> = slots
                .iter()
                .enumerate()
                .map(|(slot, value)| slot as i64 * SLOT + (*value as i64).rem_euclid(SLOT))
                .collect();
            let _ = read(&locks);
        }

        #[test]
        fn any_label_is_read_as_it_was_written(
            destination: SocketAddr,
            name in prop::option::of(prop::collection::vec(1_u8.., 1..255)),
        ) {
            // One trailing dot is taken off each time: of names with several, none is as it was.
            let name = name.filter(|name| !name.ends_with(b".."));
            let name = name.and_then(|name| Name::new(&name).ok());
            let label = Label { destination, name };
            let locks: Vec<i64> = label.locks().collect();
            prop_assert_eq!(read(&locks), Some(label));
        }
    }
}
