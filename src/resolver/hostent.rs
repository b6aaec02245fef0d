//! `struct hostent` in a caller's buffer, as gethostbyname_r(3) gives it.

use core::net::{Ipv4Addr, Ipv6Addr};
use core::ptr::null_mut;
use libc::{AF_INET, AF_INET6, c_char, c_int, hostent};

/// The addresses of one host, all of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addresses<'a> {
    /// `AF_INET`.
    V4(&'a [Ipv4Addr]),
    /// `AF_INET6`.
    V6(&'a [Ipv6Addr]),
}

impl Addresses<'_> {
    fn family(self) -> c_int {
        match self {
            Addresses::V4(_) => AF_INET,
            Addresses::V6(_) => AF_INET6,
        }
    }

    fn count(self) -> usize {
        match self {
            Addresses::V4(list) => list.len(),
            Addresses::V6(list) => list.len(),
        }
    }

    fn width(self) -> usize {
        match self {
            Addresses::V4(_) => 4,
            Addresses::V6(_) => 16,
        }
    }

    fn write(self, index: usize, to: &mut [u8]) {
        match self {
            Addresses::V4(list) => copy(list.get(index).map(|a| a.octets()).as_ref(), to),
            Addresses::V6(list) => copy(list.get(index).map(|a| a.octets()).as_ref(), to),
        }
    }
}

fn copy<const N: usize>(octets: Option<&[u8; N]>, to: &mut [u8]) {
    if let (Some(octets), Some(to)) = (octets, to.first_chunk_mut()) {
        *to = *octets;
    }
}

/// The buffer is too small: `ERANGE`; the caller comes back with a larger one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooShort;

/// Describes the host `name` with `addresses` and no aliases; everything that the answer points to
/// lies in `buffer`, which may have any alignment. Async-signal-safe.
pub fn build(
    buffer: &mut [u8],
    name: &[u8],
    addresses: Addresses<'_>,
) -> Result<hostent, TooShort> {
    let pointer = size_of::<*mut c_char>();
    let misaligned = buffer.as_ptr().addr() % pointer;
    let padding = if misaligned == 0 { 0 } else { pointer - misaligned };
    let count = addresses.count();

    let (_, rest) = buffer.split_at_mut_checked(padding).ok_or(TooShort)?;
    // One pointer ends the empty list of aliases, one the list of addresses.
    let (pointers, rest) = rest.split_at_mut_checked((count + 2) * pointer).ok_or(TooShort)?;
    let (octets, rest) = rest.split_at_mut_checked(count * addresses.width()).ok_or(TooShort)?;
    let (text, _) = rest.split_at_mut_checked(name.len() + 1).ok_or(TooShort)?;

    let aliases = pointers.as_mut_ptr().cast::<*mut c_char>();
    // SAFETY: `pointers` is aligned and holds `count + 2` pointers; `aliases` is the first.
    let list = unsafe { aliases.add(1) };
    // SAFETY: as above, and `list` has room for `count + 1`.
    unsafe {
        aliases.write(null_mut());
        list.add(count).write(null_mut());
    }
    for (index, octets) in octets.chunks_exact_mut(addresses.width()).enumerate() {
        addresses.write(index, octets);
        // SAFETY: `index` is below `count`.
        unsafe { list.add(index).write(octets.as_mut_ptr().cast()) };
    }
    for (to, byte) in text.iter_mut().zip(name.iter().chain(&[0])) {
        *to = *byte;
    }
    Ok(hostent {
        h_name: text.as_mut_ptr().cast(),
        h_aliases: aliases,
        h_addrtype: addresses.family(),
        h_length: addresses.width() as c_int,
        h_addr_list: list,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CStr;

    const V4: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2)];

    fn read(host: &hostent) -> (&[u8], Vec<Vec<u8>>) {
        // SAFETY: `build` has written the strings and lists into a buffer that is alive.
        unsafe {
            assert!((*host.h_aliases).is_null());
            let name = CStr::from_ptr(host.h_name).to_bytes();
            let mut addresses = Vec::new();
            let mut next = host.h_addr_list;
            while !(*next).is_null() {
                let octets = core::slice::from_raw_parts((*next).cast(), host.h_length as usize);
                addresses.push(octets.to_vec());
                next = next.add(1);
            }
            (name, addresses)
        }
    }

    #[test]
    fn every_alignment_of_the_buffer_works() {
        let mut buffer = [0_u8; 256];
        for start in 0..16 {
            let host = build(&mut buffer[start..], b"example.org", Addresses::V4(&V4)).unwrap();
            assert_eq!((host.h_addrtype, host.h_length), (AF_INET, 4));
            assert_eq!(host.h_addr_list.addr() % align_of::<*mut c_char>(), 0);
            let (name, addresses) = read(&host);
            assert_eq!(name, b"example.org");
            assert_eq!(addresses, [[192, 0, 2, 1], [192, 0, 2, 2]]);
        }
    }

    #[test]
    fn ipv6_addresses_have_sixteen_bytes() {
        let mut buffer = [0_u8; 128];
        let host = build(&mut buffer, b"h", Addresses::V6(&[Ipv6Addr::LOCALHOST])).unwrap();
        assert_eq!((host.h_addrtype, host.h_length), (AF_INET6, 16));
        assert_eq!(read(&host).1, [Ipv6Addr::LOCALHOST.octets()]);
    }

    #[test]
    fn a_buffer_one_byte_short_is_refused_and_never_overrun() {
        let mut buffer = [0_u8; 256];
        let padding = buffer.as_ptr().align_offset(align_of::<*mut c_char>());
        let needed = padding + 4 * size_of::<usize>() + 8 + b"example.org\0".len();
        assert!(build(&mut buffer[..needed], b"example.org", Addresses::V4(&V4)).is_ok());
        for short in 0..needed {
            buffer.fill(0xaa);
            let built = build(&mut buffer[..short], b"example.org", Addresses::V4(&V4));
            assert_eq!(built.err(), Some(TooShort));
            assert!(buffer[short..].iter().all(|byte| *byte == 0xaa));
        }
    }
}
