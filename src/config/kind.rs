//! Kinds of values that options take.

use core::net::{IpAddr, Ipv4Addr};
use core::str::FromStr;
use core::time::Duration;

use super::{
    Backstop, Connect, Direct, HostName, Inbound, IsolationKey, LocalDestinations, LogFormat,
    Names, Network, OutboundLocalhost, PassedSockets, Path,
};
use crate::bytes::Bytes;

/// The kind of an option's value. Text is taken as it is: no quotes, no surrounding space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An IPv4 or IPv6 address, or the name of a host.
    Address,
    /// A TCP port.
    Port,
    /// An IPv4 network.
    Network,
    /// A user name.
    Username,
    /// A password; messages don't show it.
    Password,
    /// A name for circuits.
    IsolationKey,
    /// Off or on.
    Switch,
    /// Traffic that may go to the loopback interface.
    Localhost,
    /// Whom programs may let in.
    Inbound,
    /// Destinations that may be reached without Tor.
    Direct,
    /// Answer for names and addresses of local networks.
    LocalDestinations,
    /// Answer for a host name: an address or a cookie address.
    Names,
    /// Choice between a connect that waits and one that does not.
    Connect,
    /// Choice about sockets that another process passes.
    PassedSockets,
    /// Level of the log.
    LogLevel,
    /// Format of a log line.
    LogFormat,
    /// A file.
    Path,
    /// A list of programs.
    Programs,
    /// Use of a backstop.
    Backstop,
    /// A time in seconds.
    Seconds,
}

impl Kind {
    /// Allowed values, to follow "is not" in a message.
    pub const fn expected(self) -> &'static str {
        match self {
            Kind::Address => "an IPv4 or IPv6 address, such as 127.0.0.1, or the name of a host",
            Kind::Port => "a port: 1 to 65535",
            Kind::Network => "an IPv4 network with a prefix of 8 to 32, such as 127.42.42.0/24",
            Kind::Username => "a user name: 1 to 255 bytes",
            Kind::Password => "a password: 1 to 255 bytes",
            Kind::IsolationKey => "a key for isolation: 1 to 200 bytes",
            Kind::Switch => "0 or 1",
            Kind::Localhost => "0, 1 or 2",
            Kind::Inbound => "0, 1 or loopback",
            Kind::Direct => {
                "a list of networks and names, each perhaps with a port, such as \
                 192.168.1.0/24,[fd00::/8]:80,127.0.0.1:5432,nas.lan"
            }
            Kind::LocalDestinations => "refuse or tor",
            Kind::Names => "resolve or cookie",
            Kind::Connect => "auto or wait",
            Kind::PassedSockets => "refuse, drop, torified or allow",
            Kind::LogLevel => "a log level: 1 to 5",
            Kind::LogFormat => "text or json",
            Kind::Path => "a path: 1 to 1023 bytes",
            Kind::Programs => {
                "a list of file names and absolute paths, with commas between: 1 to 511 bytes"
            }
            Kind::Backstop => "0, 1 or best-effort",
            Kind::Seconds => "a number of seconds: 1 to 86400",
        }
    }

    /// Placeholder of the value in help and man page.
    pub const fn placeholder(self) -> &'static str {
        match self {
            Kind::Address => "ADDRESS",
            Kind::Port => "PORT",
            Kind::Network => "NETWORK",
            Kind::Username => "NAME",
            Kind::Password => "PASSWORD",
            Kind::IsolationKey => "KEY",
            Kind::Switch => "0|1",
            Kind::Localhost => "0|1|2",
            Kind::Inbound => "0|1|loopback",
            Kind::Direct => "LIST",
            Kind::LocalDestinations => "refuse|tor",
            Kind::Names => "resolve|cookie",
            Kind::Connect => "auto|wait",
            Kind::PassedSockets => "refuse|drop|torified|allow",
            Kind::LogLevel => "1-5",
            Kind::LogFormat => "text|json",
            Kind::Path => "FILE",
            Kind::Programs => "[+]NAME,...|none",
            Kind::Backstop => "0|1|best-effort",
            Kind::Seconds => "SECONDS",
        }
    }

    /// All values, where there are few: what a shell may complete.
    pub const fn choices(self) -> &'static [&'static str] {
        match self {
            Kind::Switch => &["0", "1"],
            Kind::Localhost => &["0", "1", "2"],
            Kind::Inbound => &["0", "1", "loopback"],
            Kind::LocalDestinations => &["refuse", "tor"],
            Kind::Names => &["resolve", "cookie"],
            Kind::Connect => &["auto", "wait"],
            Kind::PassedSockets => &["refuse", "drop", "torified", "allow"],
            Kind::Backstop => &["0", "1", "best-effort"],
            Kind::LogLevel => &["1", "2", "3", "4", "5"],
            Kind::LogFormat => &["text", "json"],
            _ => &[],
        }
    }
}

/// An address; a v4-mapped one becomes IPv4.
pub(super) fn address(value: &[u8]) -> Option<IpAddr> {
    parse::<IpAddr>(value).map(|address| address.to_canonical())
}

/// A host's name: one that ends in a number would be taken for an address.
pub(super) fn host(value: &[u8]) -> Option<HostName> {
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let mut labels = value.split(|byte| *byte == b'.');
    let is_name = labels.all(|label| matches!(label.len(), 1..=63) && label.iter().all(fits));
    let last = value.rsplit(|byte| *byte == b'.').next().unwrap_or_default();
    if is_name && !last.iter().all(u8::is_ascii_digit) { text(value) } else { None }
}

pub(super) fn port(value: &[u8]) -> Option<u16> {
    number(value).filter(|port| *port != 0)
}

pub(super) fn network(value: &[u8]) -> Option<Network> {
    let slash = value.iter().position(|byte| *byte == b'/')?;
    let (address, prefix) = (value.get(..slash)?, value.get(slash + 1..)?);
    Network::new(parse::<Ipv4Addr>(address)?, number(prefix)?)
}

/// A user name or a password.
pub(super) fn credential(value: &[u8]) -> Option<Bytes<255>> {
    text(value)
}

pub(super) fn isolation_key(value: &[u8]) -> Option<IsolationKey> {
    text(value)
}

pub(super) fn switch(value: &[u8]) -> Option<bool> {
    match value {
        b"0" => Some(false),
        b"1" => Some(true),
        _ => None,
    }
}

pub(super) fn localhost(value: &[u8]) -> Option<OutboundLocalhost> {
    match value {
        b"0" => Some(OutboundLocalhost::Never),
        b"1" => Some(OutboundLocalhost::Streams),
        b"2" => Some(OutboundLocalhost::All),
        _ => None,
    }
}

pub(super) fn inbound(value: &[u8]) -> Option<Inbound> {
    match value {
        b"0" => Some(Inbound::Never),
        b"1" => Some(Inbound::All),
        b"loopback" => Some(Inbound::Loopback),
        _ => None,
    }
}

pub(super) fn direct(value: &[u8]) -> Option<Direct> {
    if value.contains(&0) { None } else { Direct::new(value) }
}

pub(super) fn local_destinations(value: &[u8]) -> Option<LocalDestinations> {
    match value {
        b"refuse" => Some(LocalDestinations::Refuse),
        b"tor" => Some(LocalDestinations::Tor),
        _ => None,
    }
}

pub(super) fn passed_sockets(value: &[u8]) -> Option<PassedSockets> {
    match value {
        b"refuse" => Some(PassedSockets::Refuse),
        b"drop" => Some(PassedSockets::Drop),
        b"torified" => Some(PassedSockets::Torified),
        b"allow" => Some(PassedSockets::Allow),
        _ => None,
    }
}

pub(super) fn names(value: &[u8]) -> Option<Names> {
    match value {
        b"resolve" => Some(Names::Resolve),
        b"cookie" => Some(Names::Cookie),
        _ => None,
    }
}

pub(super) fn connect(value: &[u8]) -> Option<Connect> {
    match value {
        b"auto" => Some(Connect::Auto),
        b"wait" => Some(Connect::Wait),
        _ => None,
    }
}

pub(super) fn backstop(value: &[u8]) -> Option<Backstop> {
    match value {
        b"0" => Some(Backstop::Never),
        b"1" => Some(Backstop::Always),
        b"best-effort" => Some(Backstop::BestEffort),
        _ => None,
    }
}

pub(super) fn log_level(value: &[u8]) -> Option<u8> {
    number(value).filter(|level| (1..=5).contains(level))
}

pub(super) fn log_format(value: &[u8]) -> Option<LogFormat> {
    match value {
        b"text" => Some(LogFormat::Text),
        b"json" => Some(LogFormat::Json),
        _ => None,
    }
}

pub(super) fn path(value: &[u8]) -> Option<Path> {
    text(value)
}

/// Names of files and absolute paths: a relative path would mean another file in each directory.
pub(super) fn programs(value: &[u8]) -> Option<Bytes<511>> {
    let words = value.strip_prefix(b"+").unwrap_or(value);
    let is_relative = |word: &[u8]| word.contains(&b'/') && !word.starts_with(b"/");
    let is_good = !words.split(|byte| b", ".contains(byte)).any(is_relative);
    if is_good { text(value) } else { None }
}

pub(super) fn seconds(value: &[u8]) -> Option<Duration> {
    number(value).filter(|seconds| (1..=86_400).contains(seconds)).map(Duration::from_secs)
}

/// Text that an environment variable can hold: a NUL would end it.
fn text<const N: usize>(value: &[u8]) -> Option<Bytes<N>> {
    if value.is_empty() || value.contains(&0) { None } else { Bytes::new(value) }
}

/// Decimal digits alone; the standard parser takes a sign as well.
fn number<T: FromStr>(value: &[u8]) -> Option<T> {
    if value.iter().all(u8::is_ascii_digit) { parse(value) } else { None }
}

fn parse<T: FromStr>(value: &[u8]) -> Option<T> {
    core::str::from_utf8(value).ok()?.parse().ok()
}
