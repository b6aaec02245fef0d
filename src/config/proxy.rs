//! Tor's SOCKS port as the variables of libcurl name it.

use core::fmt::Write;
use core::net::SocketAddr;

use super::{Direct, Hosts};
use crate::bytes::Bytes;
use crate::socks5::Credentials;

/// The longest URL: scheme, user name and password with each byte escaped, signs, an IPv6 address
/// and a port.
pub type ProxyUrl = Bytes<{ 10 + 2 * 3 * 255 + 2 + 48 }>;

/// The longest list: an item of `AllowDirect` at most doubles with its prefix.
pub type ProxyList = Bytes<1_400>;

/// Domains that never leave a local network: RFC 6762 (with its appendix G), RFC 8375, RFC 6761, RFC 9476,
/// RFC 9462 and RFC 9665; and those of reverse names, which tell of addresses and have none themselves.
pub const LOCAL_DOMAINS: &[u8] =
    b"local,localdomain,lan,home,home.arpa,internal,intranet,private,corp,invalid,alt,service.arpa,\
    resolver.arpa,in-addr.arpa,ip6.arpa";
/// Addresses that no Tor can reach.
const LOCAL_ADDRESSES: &[u8] =
    b"127.0.0.0/8,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,169.254.0.0/16,100.64.0.0/10,::1,fc00::/7,fe80::/10";

/// Value of `NO_PROXY` with such a URL: what no Tor can reach, and what is reached `direct`ly.
pub fn exceptions(direct: Option<&Direct>) -> ProxyList {
    let mut list = ProxyList::EMPTY;
    for part in [b"localhost,".as_slice(), LOCAL_DOMAINS, b",", LOCAL_ADDRESSES] {
        list.extend(part);
    }
    for item in direct.into_iter().flat_map(Direct::items) {
        list.extend(b",");
        match item.hosts {
            Hosts::Network(address, prefix) => {
                let _ = write!(list, "{address}/{prefix}");
            }
            Hosts::Name(name) | Hosts::Below(name) => {
                list.extend(name);
            }
        }
    }
    list
}

/// `tor` as a URL whose names the proxy resolves (`socks5h`), with `credentials`, so that a stream
/// is isolated as one that a hook leads there.
pub fn url(tor: SocketAddr, credentials: Option<&Credentials>) -> ProxyUrl {
    let mut url = ProxyUrl::EMPTY;
    url.extend(b"socks5h://");
    if let Some(credentials) = credentials {
        escape(&mut url, credentials.username());
        url.extend(b":");
        escape(&mut url, credentials.password());
        url.extend(b"@");
    }
    // It fits, by the type's size.
    let _ = write!(url, "{tor}");
    url
}

/// Percent-encodes all but the unreserved characters of RFC 3986.
fn escape(url: &mut ProxyUrl, text: &[u8]) {
    for byte in text {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
            url.extend(&[*byte]);
        } else {
            let _ = write!(url, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(tor: &str, credentials: Option<&Credentials>) -> String {
        url(tor.parse().unwrap(), credentials).to_string()
    }

    #[test]
    fn the_port_is_named_in_both_families() {
        assert_eq!(text("127.0.0.1:9050", None), "socks5h://127.0.0.1:9050");
        assert_eq!(text("[::1]:9150", None), "socks5h://[::1]:9150");
    }

    #[test]
    fn user_name_and_password_are_escaped() {
        let credentials = Credentials::new(b"a@b:c/", b"%\xff x").unwrap();
        let expected = "socks5h://a%40b%3Ac%2F:%25%FF%20x@127.0.0.1:9050";
        assert_eq!(text("127.0.0.1:9050", Some(&credentials)), expected);
    }

    #[test]
    fn what_is_reached_directly_has_no_proxy() {
        let direct = Direct::new(b"203.0.113.0/24:80 nas.example,.office.example [2001:db8::1]:1");
        let list = exceptions(direct.as_ref()).to_string();
        let expected = ",203.0.113.0/24,nas.example,office.example,2001:db8::1/128";
        assert!(list.starts_with("localhost,") && list.ends_with(expected), "{list}");
        assert!(exceptions(None).to_string().ends_with(",fe80::/10"));
        let longest = Direct::new("::1 ".repeat(127).as_bytes());
        assert!(exceptions(longest.as_ref()).to_string().ends_with(",::1/128"));
    }

    #[test]
    fn the_longest_url_is_whole() {
        let credentials = Credentials::new(&[0xff; 255], &[0xff; 255]).unwrap();
        let tor = "[2001:db8:1111:2222:3333:4444:5555:6666]:65535";
        assert!(text(tor, Some(&credentials)).ends_with(&format!("@{tor}")));
    }
}
