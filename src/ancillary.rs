//! Ancillary data of a message (cmsg(3)), read, and edited in place. Async-signal-safe.

use core::mem::{align_of, offset_of, size_of};

use libc::cmsghdr;

/// The size of a header; the data follows at once, as both are aligned alike.
const HEADER: usize = size_of::<cmsghdr>();
const _: () = assert!(HEADER & (align_of::<cmsghdr>() - 1) == 0);
/// The size of a descriptor.
const DESCRIPTOR: usize = size_of::<i32>();

/// One message of `control` data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'c> {
    /// `cmsg_level`.
    pub level: i32,
    /// `cmsg_type`.
    pub kind: i32,
    /// Bytes after the header.
    pub data: &'c [u8],
}

/// The messages in `control` data, as far as they are whole. Whatever the bytes are, it comes to an
/// end.
pub fn messages(control: &[u8]) -> impl Iterator<Item = Message<'_>> {
    let mut at = 0;
    core::iter::from_fn(move || {
        let header = control.get(at..).and_then(Header::read)?;
        let data = control.get(at + HEADER..at + header.length).unwrap_or_default();
        at += header.length.next_multiple_of(align_of::<cmsghdr>());
        Some(Message { level: header.level, kind: header.kind, data })
    })
}

/// The descriptors in `control` data.
pub fn descriptors(control: &[u8]) -> impl Iterator<Item = i32> {
    messages(control)
        .filter(|message| is_rights(message.level, message.kind))
        .flat_map(|message| message.data.chunks_exact(DESCRIPTOR))
        .filter_map(|bytes| bytes.first_chunk().copied().map(i32::from_ne_bytes))
}

fn is_rights(level: i32, kind: i32) -> bool {
    (level, kind) == (libc::SOL_SOCKET, libc::SCM_RIGHTS)
}

/// Takes out of the `control` data every descriptor that `keep` is false for, and a header that has
/// no descriptor left. Returns the new length, which is the old one if all were kept. `keep` is
/// called once for each descriptor. Whatever the bytes are, the rest stays as it is, in order.
pub fn retain_descriptors(control: &mut [u8], mut keep: impl FnMut(i32) -> bool) -> usize {
    let (mut read, mut write) = (0, 0);
    while let Some(header) = control.get(read..).and_then(Header::read) {
        let end = (read + header.length.next_multiple_of(align_of::<cmsghdr>())).min(control.len());
        let data = read + HEADER..read + header.length;
        let kept = match control.get_mut(data) {
            Some(data) if is_rights(header.level, header.kind) => HEADER + retain(data, &mut keep),
            _ => header.length,
        };
        if kept == header.length {
            control.copy_within(read..end, write);
            write += end - read;
        } else if kept > HEADER {
            let padded = kept.next_multiple_of(align_of::<cmsghdr>()).min(end - read);
            control.copy_within(read..read + padded, write);
            set_length(control, write, kept);
            write += padded;
        }
        read = end;
    }
    // What is too short for a header.
    control.copy_within(read.., write);
    write + (control.len() - read)
}

/// Moves the descriptors that are kept to the beginning; returns how many bytes they are. The bytes
/// behind them are zero.
fn retain(data: &mut [u8], keep: &mut impl FnMut(i32) -> bool) -> usize {
    let mut write = 0;
    for read in (0..data.len()).step_by(DESCRIPTOR) {
        let Some(bytes) = data.get(read..).and_then(|rest| rest.first_chunk().copied()) else {
            break;
        };
        if keep(i32::from_ne_bytes(bytes)) {
            data.copy_within(read..read + DESCRIPTOR, write);
            write += DESCRIPTOR;
        }
    }
    if write + DESCRIPTOR <= data.len() {
        data.get_mut(write..).unwrap_or_default().fill(0);
        write
    } else {
        data.len()
    }
}

fn set_length(control: &mut [u8], at: usize, length: usize) {
    let at = at + offset_of!(cmsghdr, cmsg_len);
    if let Some(place) = control.get_mut(at..at + size_of::<usize>()) {
        place.copy_from_slice(&length.to_ne_bytes());
    }
}

/// Fields of a `cmsghdr`.
struct Header {
    /// Of header and data, in bytes; never more than there are.
    length: usize,
    level: i32,
    kind: i32,
}

impl Header {
    fn read(bytes: &[u8]) -> Option<Header> {
        let field = |at: usize| bytes.get(at..)?.first_chunk().copied().map(i32::from_ne_bytes);
        let length = bytes.get(offset_of!(cmsghdr, cmsg_len)..)?.first_chunk().copied();
        let length = usize::from_ne_bytes(length?);
        (length >= HEADER && length <= bytes.len()).then_some(Header {
            length,
            level: field(offset_of!(cmsghdr, cmsg_level))?,
            kind: field(offset_of!(cmsghdr, cmsg_type))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message(kind: i32, data: &[u8]) -> Vec<u8> {
        let mut bytes = (HEADER + data.len()).to_ne_bytes().to_vec();
        bytes.extend(libc::SOL_SOCKET.to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(data);
        bytes.resize(bytes.len().next_multiple_of(align_of::<cmsghdr>()), 0);
        bytes
    }

    fn rights(descriptors: &[i32]) -> Vec<u8> {
        let data: Vec<u8> = descriptors.iter().flat_map(|fd| fd.to_ne_bytes()).collect();
        message(libc::SCM_RIGHTS, &data)
    }

    fn retained(parts: &[Vec<u8>], keep: impl Fn(i32) -> bool) -> Vec<u8> {
        let mut control = parts.concat();
        let length = retain_descriptors(&mut control, keep);
        control.truncate(length);
        control
    }

    #[test]
    fn harmless_descriptors_stay_in_order() {
        let seen = retained(&[rights(&[3, 100, 4, 101, 5])], |fd| fd < 100);
        assert_eq!(seen, rights(&[3, 4, 5]));
    }

    #[test]
    fn other_messages_stay_wherever_they_are() {
        let credentials = message(libc::SCM_CREDENTIALS, &[7; 12]);
        let parts = [credentials.clone(), rights(&[100]), credentials.clone(), rights(&[4, 100])];
        let expected = [credentials.clone(), credentials, rights(&[4])].concat();
        assert_eq!(retained(&parts, |fd| fd < 100), expected);
    }

    #[test]
    fn a_length_cut_short_is_no_padding() {
        // The kernel does not count the padding of a message that just fits.
        let mut control = rights(&[3, 4, 5]);
        control.truncate(HEADER + 12);
        let length = retain_descriptors(&mut control, |fd| fd != 4);
        assert_eq!(control[..length], rights(&[3, 5])[..HEADER + 8]);
    }

    #[test]
    fn every_descriptor_is_found_wherever_it_is() {
        let credentials = message(libc::SCM_CREDENTIALS, &[7; 12]);
        let parts = [rights(&[3]), credentials, rights(&[4, 5, 6])].concat();
        assert_eq!(descriptors(&parts).collect::<Vec<_>>(), [3, 4, 5, 6]);
        assert_eq!(descriptors(&parts[..HEADER + 3]).count(), 0);
    }

    #[test]
    fn messages_are_read_up_to_the_first_that_is_not_whole() {
        let credentials = message(libc::SCM_CREDENTIALS, &[7; 12]);
        let parts = [rights(&[3]), credentials].concat();
        let seen = |control| messages(control).map(|part| (part.kind, part.data.to_vec()));
        let three = (libc::SCM_RIGHTS, 3i32.to_ne_bytes().to_vec());
        let sevens = (libc::SCM_CREDENTIALS, vec![7; 12]);
        assert_eq!(seen(&parts).collect::<Vec<_>>(), [three.clone(), sevens]);
        assert_eq!(seen(&parts[..parts.len() - 8]).collect::<Vec<_>>(), [three]);
        assert!(messages(&parts).all(|part| part.level == libc::SOL_SOCKET));
    }

    proptest! {
        #[test]
        fn any_bytes_have_an_end(bytes: Vec<u8>) {
            prop_assert!(descriptors(&bytes).count() <= bytes.len() / DESCRIPTOR);
        }

        #[test]
        fn any_bytes_are_left_alone_if_all_is_kept(bytes: Vec<u8>) {
            let mut control = bytes.clone();
            prop_assert_eq!(retain_descriptors(&mut control, |_| true), bytes.len());
            prop_assert_eq!(control, bytes);
        }

        #[test]
        fn any_descriptors_are_kept_as_asked(
            parts in prop::collection::vec(prop::collection::vec(0..200, 1..9), 0..5),
        ) {
            let all: Vec<Vec<u8>> = parts.iter().map(|part| rights(part)).collect();
            let kept = |part: &Vec<i32>| part.iter().copied().filter(|fd| *fd < 100).collect::<Vec<_>>();
            let expected: Vec<Vec<u8>> = parts
                .iter()
                .map(kept)
                .filter(|part| !part.is_empty())
                .map(|part| rights(&part))
                .collect();
            prop_assert_eq!(retained(&all, |fd| fd < 100), expected.concat());
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(mut bytes: Vec<u8>) {
            let before = bytes.len();
            prop_assert!(retain_descriptors(&mut bytes, |_| false) <= before);
        }
    }
}
