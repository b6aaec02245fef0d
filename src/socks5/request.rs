//! Requests to the proxy.

use core::fmt::Write;
use core::net::IpAddr;

use super::{Name, VERSION, address_type};
use crate::bytes::Bytes;

/// Commands to the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Command {
    /// Open a stream to the host and port (RFC 1928).
    Connect = 1,
    /// Find an address of the name (torspec socks-extensions); the port is ignored.
    Resolve = 0xF0,
    /// Find the name of the address (torspec socks-extensions); the port is ignored.
    ResolvePtr = 0xF1,
}

/// The host that a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::large_enum_variant, reason = "there is no allocator to box the name with")]
pub enum Host {
    /// An address; a v4-mapped IPv6 address is sent as IPv4, since tor refuses the mapped form.
    /// CONNECT carries it as text, like a name: tor takes a number for a sign of a DNS leak, warns,
    /// and with `SafeSocks 1` refuses it.
    Address(IpAddr),
    /// A name, for the proxy to resolve.
    Name(Name),
}

impl core::fmt::Display for Host {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Host::Address(address) => address.fmt(f),
            Host::Name(name) => name.fmt(f),
        }
    }
}

/// One request; a SOCKS connection carries exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Request {
    /// Command to the proxy.
    pub command: Command,
    /// With which host.
    pub host: Host,
    /// Its port, in the host's byte order.
    pub port: u16,
}

impl Request {
    /// Asks for an address of `name`.
    pub const fn resolve(name: &Name) -> Request {
        Request { command: Command::Resolve, host: Host::Name(*name), port: 0 }
    }

    /// Asks for the name of `address`.
    pub const fn resolve_address(address: IpAddr) -> Request {
        Request { command: Command::ResolvePtr, host: Host::Address(address), port: 0 }
    }

    /// The longest encoding: head, length byte, 255 bytes of name, port.
    pub(super) const ENCODED: usize = 4 + 1 + 255 + 2;

    /// Appends the request of RFC 1928, section 4, to `output`, which has room for
    /// [`Self::ENCODED`].
    pub(super) fn encode<const N: usize>(&self, output: &mut Bytes<N>) {
        output.extend(&[VERSION, self.command as u8, 0]);
        match (&self.host, self.command) {
            (Host::Address(address), Command::Connect) => {
                let text = text(address.to_canonical());
                encode_name(output, text.as_slice());
            }
            (Host::Address(address), _) => match address.to_canonical() {
                IpAddr::V4(address) => {
                    output.extend(&[address_type::IPV4]);
                    output.extend(&address.octets());
                }
                IpAddr::V6(address) => {
                    output.extend(&[address_type::IPV6]);
                    output.extend(&address.octets());
                }
            },
            (Host::Name(name), _) => encode_name(output, name.as_bytes()),
        }
        output.extend(&self.port.to_be_bytes());
    }
}

fn encode_name<const N: usize>(output: &mut Bytes<N>, name: &[u8]) {
    output.extend(&[address_type::NAME, name.len() as u8]);
    output.extend(name);
}

/// An address as the host of a URL (RFC 3986): tor takes an IPv6 address without brackets for a name.
fn text(address: IpAddr) -> Bytes<48> {
    let mut text = Bytes::EMPTY;
    match address {
        // By hand, as nearly every connect needs it: `write!` takes ten times as long.
        IpAddr::V4(address) => {
            for (index, octet) in address.octets().into_iter().enumerate() {
                let digits = [octet / 100, octet / 10 % 10, octet % 10].map(|digit| b'0' + digit);
                let first = usize::from(octet < 100) + usize::from(octet < 10);
                text.extend(if index == 0 { b"" } else { b"." });
                text.extend(digits.get(first..).unwrap_or(&digits));
            }
        }
        // The longest has 41 bytes.
        IpAddr::V6(address) => _ = write!(text, "[{address}]"),
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(command: Command, host: Host, port: u16) -> Vec<u8> {
        let mut output = Bytes::<{ Request::ENCODED }>::EMPTY;
        Request { command, host, port }.encode(&mut output);
        output.as_slice().to_vec()
    }

    fn address(text: &str) -> Host {
        Host::Address(text.parse().unwrap())
    }

    fn name(text: &[u8]) -> Host {
        Host::Name(Name::new(text).unwrap())
    }

    #[test]
    fn connect_carries_an_address_as_text() {
        assert_eq!(
            encoded(Command::Connect, address("192.0.2.7"), 443),
            b"\x05\x01\x00\x03\x09192.0.2.7\x01\xbb"
        );
        assert_eq!(
            encoded(Command::Connect, address("2001:db8::1"), 443),
            b"\x05\x01\x00\x03\x0d[2001:db8::1]\x01\xbb"
        );
        let longest = "1111:2222:3333:4444:5555:6666:7777:8888";
        let expected = format!("[{longest}]");
        assert!(
            encoded(Command::Connect, address(longest), 0)[5..].starts_with(expected.as_bytes())
        );
    }

    #[test]
    fn each_octet_of_an_address_is_its_decimal_number() {
        for octet in 0..=255 {
            let address = core::net::Ipv4Addr::new(octet, 7, 255 - octet, octet);
            assert_eq!(text(address.into()).as_slice(), address.to_string().as_bytes());
        }
    }

    #[test]
    fn a_question_for_a_name_carries_an_address_as_a_number() {
        assert_eq!(
            encoded(Command::ResolvePtr, address("192.0.2.7"), 0),
            b"\x05\xf1\x00\x01\xc0\x00\x02\x07\0\0"
        );
        assert_eq!(
            encoded(Command::ResolvePtr, address("2001:db8::1"), 0),
            b"\x05\xf1\x00\x04\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\0\0"
        );
    }

    #[test]
    fn a_v4_mapped_address_is_sent_as_ipv4() {
        assert_eq!(
            encoded(Command::Connect, address("::ffff:192.0.2.7"), 80),
            encoded(Command::Connect, address("192.0.2.7"), 80)
        );
    }

    #[test]
    fn a_name_is_sent_as_type_3_with_its_length() {
        assert_eq!(
            encoded(Command::Resolve, name(b"a.example."), 0),
            b"\x05\xf0\x00\x03\x09a.example\0\0"
        );
    }

    #[test]
    fn the_longest_name_fits() {
        let bytes = encoded(Command::Connect, name(&[b'a'; 255]), 65535);
        assert_eq!(bytes.len(), Request::ENCODED);
        assert_eq!(bytes[4], 255);
        assert_eq!(bytes[260..], [0xff, 0xff]);
    }
}
