//! The values of all options.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;

use super::{ConfigError, Direct, Network};
use crate::bytes::Bytes;
use crate::socks5::Credentials;

/// A file's path: 1 to 1,023 bytes, none of them NUL.
pub type Path = Bytes<1023>;

/// A password of 1 to 255 bytes, which `Debug` hides.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Secret(pub Bytes<255>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// The name of a host, 1 to 255 bytes.
pub type HostName = Bytes<255>;

/// An isolation key of 1 to 200 bytes.
pub type IsolationKey = Bytes<{ Credentials::LONGEST_KEY }>;

/// Traffic that may go to the loopback interface without Tor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum OutboundLocalhost {
    /// Nothing.
    Never = 0,
    /// TCP.
    Streams = 1,
    /// TCP and UDP.
    All = 2,
}

/// Whom programs may let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inbound {
    /// This machine.
    Never,
    /// This machine: a program that would let in others is bound to the loopback address.
    Loopback,
    /// All addresses.
    All,
}

/// Answer for names and addresses of local networks, which no exit of Tor knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LocalDestinations {
    /// They are answered here: no such name, no such way.
    Refuse,
    /// Tor is asked, as for any other.
    Tor,
}

/// Answer for a host name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// The address that Tor resolves it to; onion names get a cookie address.
    Resolve,
    /// A cookie address whatever the name, so that Tor's exit resolves it at connect.
    Cookie,
}

/// Choice between a connect on a non-blocking socket that waits for its end and one that does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connect {
    /// Only in a program that waits for events by system calls of its own.
    Auto,
    /// Always.
    Wait,
}

/// Choice about a socket that could reach the network and comes in a message, unless it is proved
/// to lead through Tor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PassedSockets {
    /// It is closed, and the call fails with `EACCES`.
    Refuse,
    /// It is closed, and the message comes without it and with `MSG_CTRUNC`.
    Drop,
    /// It is taken if it is connected to Tor's port or one of this process's own, refused
    /// otherwise.
    Torified,
    /// It is taken.
    Allow,
}

/// Format of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Use of a backstop by a launch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backstop {
    /// It does not.
    Never,
    /// It does, or is not started.
    Always,
    /// It does where that is possible.
    BestEffort,
}

/// The value of each option of [`OPTIONS`](super::OPTIONS), where each is explained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `TorAddress`; never a v4-mapped IPv6 address. Without meaning while there is a `tor_host`.
    pub tor_address: IpAddr,
    /// `TorAddress`, where it is the name of a host whose address is not known yet.
    pub tor_host: Option<HostName>,
    /// `TorPort`, 1 to 65535.
    pub tor_port: u16,
    /// `OnionAddrRange`; contains neither 127.0.0.1 nor the Tor address.
    pub onion_range: Network,
    /// `Names`.
    pub names: Names,
    /// `Connect`.
    pub connect: Connect,
    /// `SOCKS5Username`, 1 to 255 bytes; set only together with the password.
    pub username: Option<Bytes<255>>,
    /// `SOCKS5Password`.
    pub password: Option<Secret>,
    /// `AllowInbound`.
    pub allow_inbound: Inbound,
    /// `AllowOutboundLocalhost`.
    pub allow_outbound_localhost: OutboundLocalhost,
    /// `AllowDirect`.
    pub allow_direct: Option<Direct>,
    /// `LocalDestinations`.
    pub local_destinations: LocalDestinations,
    /// `IsolatePID`; never set together with user name and password or `IsolationKey`.
    pub isolate_pid: bool,
    /// `IsolationKey`; never set together with user name and password.
    pub isolation_key: Option<IsolationKey>,
    /// `IsolateDestination`; never set together with user name and password.
    pub isolate_destination: bool,
    /// `PassedSockets`.
    pub passed_sockets: PassedSockets,
    /// `UnprotectedHelpers`; without it, [`Settings::HELPERS`].
    pub unprotected_helpers: Option<Bytes<511>>,
    /// `SupervisedPrograms`; without it, [`Settings::SUPERVISED`].
    pub supervised_programs: Option<Bytes<511>>,
    /// `Backstop`.
    pub backstop: Backstop,
    /// `EnableIPv6`.
    pub enable_ipv6: bool,
    /// `LogLevel`: 1 (nothing) to 5 (debug).
    pub log_level: u8,
    /// `LogTime`.
    pub log_time: bool,
    /// `LogFormat`.
    pub log_format: LogFormat,
    /// `LogFile`; without one the log goes to standard error.
    pub log_file: Option<Path>,
    /// `HandshakeTimeout`, 1 second to 1 day.
    pub handshake_timeout: Duration,
}

impl Settings {
    /// Settings where nothing is set.
    pub const DEFAULT: Settings = Settings {
        tor_address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        tor_host: None,
        tor_port: 9050,
        onion_range: match Network::new(Ipv4Addr::new(127, 42, 42, 0), 24) {
            Some(network) => network,
            None => panic!("a constant network"),
        },
        names: Names::Resolve,
        connect: Connect::Auto,
        username: None,
        password: None,
        allow_inbound: Inbound::Never,
        allow_outbound_localhost: OutboundLocalhost::Never,
        allow_direct: None,
        local_destinations: LocalDestinations::Refuse,
        isolate_pid: false,
        isolation_key: None,
        isolate_destination: false,
        passed_sockets: PassedSockets::Refuse,
        unprotected_helpers: None,
        supervised_programs: None,
        backstop: Backstop::Always,
        enable_ipv6: true,
        log_level: 3,
        log_time: true,
        log_format: LogFormat::Text,
        log_file: None,
        handshake_timeout: Duration::from_secs(150),
    };

    /// Shells, terminal multiplexers, build tools and package tools: what they start may be static, or Go's.
    pub const SUPERVISED: &'static str = "ash,bash,csh,dash,elvish,fish,ksh,mksh,nu,sh,tcsh,xonsh,zsh,\
        screen,tmux,bazel,bazelisk,cmake,ctest,gmake,gradle,gradlew,just,make,meson,mvn,mvnw,ninja,scons,\
        task,tox,bundle,cargo,composer,conda,gem,git,go,hatch,nox,npm,npx,pdm,pip,pipx,pnpm,poetry,rake,\
        rustup,uv,yarn";

    /// Set-ID programs and programs with file capabilities that speak no IP and that ordinary use
    /// needs.
    pub const HELPERS: &'static str = "chrome-sandbox,fusermount,fusermount3,newgidmap,newuidmap,\
        plocate,ssh-agent,unix_chkpwd,utempter";

    /// Tor's SOCKS port.
    pub const fn tor(&self) -> SocketAddr {
        SocketAddr::new(self.tor_address, self.tor_port)
    }

    /// Tells whether `address`, or the IPv4 address mapped into it, is Tor's SOCKS port.
    pub fn is_tor(&self, address: SocketAddr) -> bool {
        address.port() == self.tor_port && address.ip().to_canonical() == self.tor_address
    }

    /// The range that cookie addresses come from: `OnionAddrRange`, but 127.64.0.0/10, with room for four
    /// million names, where all names get one and no range was set.
    pub fn cookie_network(&self) -> Network {
        const LARGE: Network = match Network::new(Ipv4Addr::new(127, 64, 0, 0), 10) {
            Some(network) => network,
            None => panic!("a constant network"),
        };
        match self.names {
            Names::Cookie if self.onion_range == Settings::DEFAULT.onion_range => LARGE,
            _ => self.onion_range,
        }
    }

    /// The user name and password that the process `pid`, which started at `started` (any clock,
    /// as long as a reused pid gets another value), shows to Tor. `None`: no authentication.
    pub fn credentials(&self, pid: i32, started: u64) -> Option<Credentials> {
        let own = match &self.isolation_key {
            _ if self.isolate_pid => Some(Credentials::of_process(pid, started)),
            Some(key) => Some(Credentials::of_key(key)),
            None if self.isolate_destination => Some(Credentials::of_all()),
            None => None,
        };
        if own.is_some() {
            return if self.isolate_destination {
                own.map(Credentials::by_destination)
            } else {
                own
            };
        }
        let (username, password) = (self.username.as_ref()?, self.password.as_ref()?);
        Credentials::new(username.as_slice(), password.0.as_slice()).ok()
    }

    /// Checks the rules between options, once all of them are set.
    pub fn check(&self) -> Result<(), ConfigError<'static>> {
        match (&self.username, &self.password) {
            (Some(_), None) => return Err(ConfigError::PasswordMissing),
            (None, Some(_)) => return Err(ConfigError::UsernameMissing),
            _ => {}
        }
        let isolations = [self.isolate_pid, self.isolation_key.is_some(), self.username.is_some()];
        let is_twice = isolations.into_iter().filter(|is_set| *is_set).count() > 1;
        if is_twice || self.isolate_destination && self.username.is_some() {
            return Err(ConfigError::IsolatedTwice);
        }
        let taken = [IpAddr::V4(Ipv4Addr::LOCALHOST), self.tor_address];
        match taken.into_iter().find(|address| self.cookie_network().contains(*address)) {
            Some(address) => Err(ConfigError::OnionRangeTaken(self.cookie_network(), address)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_user_and_password() -> Settings {
        Settings {
            username: Bytes::new(b"me"),
            password: Bytes::new(b"secret").map(Secret),
            ..Settings::DEFAULT
        }
    }

    #[test]
    fn the_defaults_keep_the_rules_and_need_no_authentication() {
        assert_eq!(Settings::DEFAULT.check(), Ok(()));
        assert_eq!(Settings::DEFAULT.credentials(1, 1), None);
    }

    #[test]
    fn user_name_and_password_come_in_pairs() {
        let both = with_user_and_password();
        assert_eq!(both.check(), Ok(()));
        assert_eq!(both.credentials(1, 1).unwrap().password(), b"secret");
        let half = Settings { password: None, ..both.clone() };
        assert_eq!(half.check(), Err(ConfigError::PasswordMissing));
        let half = Settings { username: None, ..both };
        assert_eq!(half.check(), Err(ConfigError::UsernameMissing));
    }

    #[test]
    fn one_isolation_excludes_the_others() {
        let settings = Settings { isolate_pid: true, ..with_user_and_password() };
        assert_eq!(settings.check(), Err(ConfigError::IsolatedTwice));
        let isolation_key = Bytes::new(b"mail");
        let settings = Settings { isolation_key, ..with_user_and_password() };
        assert_eq!(settings.check(), Err(ConfigError::IsolatedTwice));
        let settings = Settings { isolation_key, isolate_pid: true, ..Settings::DEFAULT };
        assert_eq!(settings.check(), Err(ConfigError::IsolatedTwice));
        let settings = Settings { isolate_destination: true, ..with_user_and_password() };
        assert_eq!(settings.check(), Err(ConfigError::IsolatedTwice));
    }

    #[test]
    fn isolation_by_destination_goes_with_that_by_process_and_by_key() {
        let by_all = Settings { isolate_destination: true, ..Settings::DEFAULT };
        let by_pid = Settings { isolate_pid: true, ..by_all.clone() };
        let by_key = Settings { isolation_key: Bytes::new(b"mail"), ..by_all.clone() };
        let mut pairs = Vec::new();
        for settings in [by_all, by_pid, by_key] {
            assert_eq!(settings.check(), Ok(()));
            let pair = settings.credentials(7, 9).unwrap();
            let without = Settings { isolate_destination: false, ..settings };
            assert_ne!(Some(pair), without.credentials(7, 9));
            pairs.push(pair.username().to_vec());
        }
        pairs.dedup();
        assert_eq!(pairs.len(), 3);
    }

    #[test]
    fn an_isolation_key_gives_every_process_the_same_user_name_and_no_other_key_does() {
        let with = |key: &[u8]| {
            let isolation_key = Bytes::new(key);
            let settings = Settings { isolation_key, ..Settings::DEFAULT };
            assert_eq!(settings.check(), Ok(()));
            settings
        };
        let mail = |pid, started| with(b"mail").credentials(pid, started).unwrap();
        assert_eq!(mail(7, 9), mail(8, 10));
        assert_ne!(mail(7, 9), with(b"web").credentials(7, 9).unwrap());
        let by_pid = Settings { isolate_pid: true, ..Settings::DEFAULT };
        assert_ne!(with(b"7-9").credentials(7, 9), by_pid.credentials(7, 9));
    }

    #[test]
    fn isolation_by_pid_differs_by_pid_and_start() {
        let settings = Settings { isolate_pid: true, ..Settings::DEFAULT };
        let credentials = |pid, started| settings.credentials(pid, started).unwrap();
        assert_eq!(credentials(7, 9), credentials(7, 9));
        assert_ne!(credentials(7, 9).username(), credentials(8, 9).username());
        assert_ne!(credentials(7, 9).username(), credentials(7, 8).username());
        assert_eq!(credentials(7, 9).password(), b"0");
    }

    #[test]
    fn the_onion_range_takes_no_address_that_is_in_use() {
        let network = |octets: [u8; 4], prefix| Network::new(octets.into(), prefix).unwrap();
        let loopback = network([127, 0, 0, 1], 8);
        let settings = Settings { onion_range: loopback, ..Settings::DEFAULT };
        let localhost = IpAddr::V4(Ipv4Addr::LOCALHOST);
        assert_eq!(settings.check(), Err(ConfigError::OnionRangeTaken(loopback, localhost)));

        let tor_address = "10.9.8.7".parse().unwrap();
        let onion_range = network([10, 0, 0, 0], 8);
        let settings = Settings { onion_range, tor_address, ..Settings::DEFAULT };
        assert_eq!(settings.check(), Err(ConfigError::OnionRangeTaken(onion_range, tor_address)));
    }

    #[test]
    fn debug_hides_the_password() {
        let text = format!("{:?}", with_user_and_password());
        assert!(text.contains("me") && !text.contains("\"secret\""), "{text}");
    }
}
