//! The numeric forms of an IPv4 address that libc accepts.

use core::net::Ipv4Addr;

/// Reads `text` as inet_aton(3) does, without trailing space: one to four parts, each decimal,
/// octal (`0…`) or hexadecimal (`0x…`), the last one filling all bytes that are left: `127.1`,
/// `0x7f000001`, `017700000001`. Async-signal-safe.
pub fn parse(text: &[u8]) -> Option<Ipv4Addr> {
    let count = text.split(|byte| *byte == b'.').count();
    let mut bits = 0;
    for (index, part) in text.split(|byte| *byte == b'.').enumerate() {
        let value = number(part)?;
        let last = index + 1 == count;
        // The leading parts are a byte each; 1 to 4 bytes are left for the last.
        let left = 4_usize.checked_sub(index).filter(|left| *left > 0)?;
        let limit = if last { u32::MAX >> (8 * (4 - left)) } else { 0xff };
        if value > limit {
            return None;
        }
        bits |= if last { value } else { value << (8 * (left - 1)) };
    }
    Some(Ipv4Addr::from_bits(bits))
}

/// Tells whether the last label of `name` is a number. No top-level domain is one (RFC 3696 section
/// 2), so such a name is an address or a mistake, and Tor need not be asked.
pub fn ends_in_number(name: &[u8]) -> bool {
    let last = name.rsplit(|byte| *byte == b'.').next().unwrap_or_default();
    let is_decimal = !last.is_empty() && last.iter().all(u8::is_ascii_digit);
    is_decimal || number(last).is_some()
}

/// A number as strtoul(3) reads it with base 0, without sign or space.
fn number(text: &[u8]) -> Option<u32> {
    let (radix, digits) = match text {
        [b'0', b'x' | b'X', digits @ ..] => (16, digits),
        [b'0', digits @ ..] if !digits.is_empty() => (8, digits),
        digits => (10, digits),
    };
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u32, |value, byte| {
        value.checked_mul(radix)?.checked_add(char::from(*byte).to_digit(radix)?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CString;

    fn inet_aton(text: &str) -> Option<Ipv4Addr> {
        unsafe extern "C" {
            fn inet_aton(text: *const libc::c_char, address: *mut libc::in_addr) -> libc::c_int;
        }
        let text = CString::new(text).unwrap();
        let mut address = libc::in_addr { s_addr: 0 };
        // SAFETY: both pointers are valid for the call.
        let valid = unsafe { inet_aton(text.as_ptr(), &mut address) } != 0;
        valid.then(|| Ipv4Addr::from_bits(u32::from_be(address.s_addr)))
    }

    #[test]
    fn agrees_with_libc() {
        let parts = ["", "0", "1", "127", "255", "256", "08", "010", "0x7f", "0x", "0X10", "65535"];
        let more = ["65536", "16777215", "16777216", "4294967295", "4294967296", "-1", "+1", "a"];
        let parts: Vec<&str> = parts.into_iter().chain(more).collect();
        for a in &parts {
            assert_eq!(parse(a.as_bytes()), inet_aton(a), "{a}");
            for b in &parts {
                for text in [
                    format!("{a}.{b}"),
                    format!("1.{a}.{b}"),
                    format!("1.2.{a}.{b}"),
                    format!("1.2.3.{a}.{b}"),
                    format!("{a}.2.3.{b}"),
                    format!("{a}.2.3.4.{b}"),
                ] {
                    assert_eq!(parse(text.as_bytes()), inet_aton(&text), "{text}");
                }
            }
        }
    }

    #[test]
    fn numbers_at_the_end_are_told_from_names() {
        for name in ["1", "1.2.3.256", "1.2.3.4.5", "a.08", "example.99999999999", "a.0x1f"] {
            assert!(ends_in_number(name.as_bytes()), "{name}");
        }
        for name in ["", "a", "1.example", "0xg", "0x", "a.0x", "4.3.2.1.in-addr.arpa", "1-2"] {
            assert!(!ends_in_number(name.as_bytes()), "{name}");
        }
    }
}
