//! /etc/hosts, of which lookups use what is meant to be local: see hosts(5).

use core::net::IpAddr;

use super::lines;

/// Calls `each` with every address and name of the file, until it answers true; says whether it did.
/// `read` reads on, and answers 0 at the end or where it can't.
pub fn any(
    read: impl FnMut(&mut [u8]) -> usize,
    mut each: impl FnMut(IpAddr, &[u8]) -> bool,
) -> bool {
    lines::any(read, |line, is_cut| entry(line, is_cut, &mut each))
}

/// One line, of which the last word is only a part if it was cut.
fn entry(line: &[u8], is_cut: bool, each: &mut impl FnMut(IpAddr, &[u8]) -> bool) -> bool {
    let text = line.split(|byte| *byte == b'#').next().unwrap_or_default();
    let text = match text.iter().rposition(u8::is_ascii_whitespace) {
        Some(end) if is_cut && text.len() == line.len() => text.get(..end).unwrap_or_default(),
        _ => text,
    };
    let mut words = text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let address = words.next().and_then(|word| core::str::from_utf8(word).ok()?.parse().ok());
    let Some(address) = address else { return false };
    words.any(|name| each(address, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(text: &str, most: usize) -> Vec<String> {
        let mut entries = Vec::new();
        let mut rest = text.as_bytes();
        let read = |buffer: &mut [u8]| {
            let count = rest.len().min(buffer.len()).min(most);
            buffer[..count].copy_from_slice(&rest[..count]);
            rest = &rest[count..];
            count
        };
        any(read, |address, name| {
            entries.push(format!("{address} {}", String::from_utf8_lossy(name)));
            false
        });
        entries
    }

    #[test]
    fn each_name_of_a_line_has_its_address() {
        let text = "127.0.0.1 localhost\n\n# 10.0.0.1 comment\n\t127.0.1.1\tbox.example box # us\n\
                    ::1 ip6\nbad line\n192.168.1.7 nas";
        for most in [1, 7, usize::MAX] {
            assert_eq!(
                entries(text, most),
                [
                    "127.0.0.1 localhost",
                    "127.0.1.1 box.example",
                    "127.0.1.1 box",
                    "::1 ip6",
                    "192.168.1.7 nas"
                ]
            );
        }
    }

    #[test]
    fn no_part_of_a_name_is_taken_for_a_name() {
        let long = format!("10.0.0.1 {} last\n10.0.0.2 next", "n".repeat(lines::LINE - 12));
        assert_eq!(entries(&long, usize::MAX).last().unwrap(), "10.0.0.2 next");
        assert!(entries(&long, usize::MAX).iter().all(|entry| !entry.ends_with(" l")));
    }

    #[test]
    fn the_search_ends_at_the_first_match() {
        let mut calls = 0;
        let text = b"10.0.0.1 a b c\n";
        let read = |buffer: &mut [u8]| {
            buffer[..text.len()].copy_from_slice(text);
            text.len()
        };
        assert!(any(read, |_, name| {
            calls += 1;
            name == b"b"
        }));
        assert_eq!(calls, 2);
    }
}
