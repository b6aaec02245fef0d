//! /etc/resolv.conf, of which only the name servers matter: see resolv.conf(5).

use core::net::IpAddr;

use super::lines;

/// Tells whether the file names `server` as a name server. `read` reads on, and answers 0 at the end or
/// where it can't. Async-signal-safe.
pub fn names(server: IpAddr, read: impl FnMut(&mut [u8]) -> usize) -> bool {
    let server = server.to_canonical();
    lines::any(read, |line, is_cut| !is_cut && name_server(line) == Some(server))
}

/// The name server of a line, without its scope.
fn name_server(line: &[u8]) -> Option<IpAddr> {
    let rest = line.strip_prefix(b"nameserver")?;
    if !rest.first()?.is_ascii_whitespace() {
        return None;
    }
    let word = rest.split(u8::is_ascii_whitespace).find(|word| !word.is_empty())?;
    let address = word.split(|byte| *byte == b'%').next()?;
    let address: IpAddr = core::str::from_utf8(address).ok()?.parse().ok()?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(text: &str, server: &str) -> bool {
        let mut rest = text.as_bytes();
        let read = |buffer: &mut [u8]| {
            let count = rest.len().min(buffer.len()).min(7);
            buffer[..count].copy_from_slice(&rest[..count]);
            rest = &rest[count..];
            count
        };
        names(server.parse().unwrap(), read)
    }

    #[test]
    fn the_servers_are_those_of_the_nameserver_lines() {
        let text = "search example\nnameserver 192.0.2.53\n# nameserver 192.0.2.1\n\
                    nameserver\t2001:db8::53 trailing\nnameserver fe80::1%eth0\n nameserver 192.0.2.2\n\
                    nameservers 192.0.2.3\nnameserver\nnameserver nonsense\nnameserver 198.51.100.53";
        for server in
            ["192.0.2.53", "2001:db8::53", "fe80::1", "198.51.100.53", "::ffff:192.0.2.53"]
        {
            assert!(has(text, server), "{server}");
        }
        for other in ["192.0.2.1", "192.0.2.2", "192.0.2.3", "127.0.0.1"] {
            assert!(!has(text, other), "{other}");
        }
    }
}
