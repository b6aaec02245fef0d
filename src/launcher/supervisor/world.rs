//! Knowledge of names and addresses beside the settings: cookie addresses, which every process of the
//! launch shares, Tor's answers, and what `AllowDirect` lets a program reach without Tor.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use epochsocks::config::{self, Settings};
use epochsocks::launch_store::{Launch, Store};
use epochsocks::policy::connect::Known;
use epochsocks::resolver::answers::Answers;
use epochsocks::resolver::cookie_range::CookieRange;
use epochsocks::resolver::error::PoolError;
use epochsocks::resolver::hosts_file;
use epochsocks::resolver::lookup::{Names, Pair};
use epochsocks::resolver::onion_pool::{Lookup, OnionPool, Sharing};
use epochsocks::resolver::resolv_conf;
use epochsocks::socks5::{Command, Host, Name, Request};
use epochsocks::sys::File;
use epochsocks::tor::ResolveError;

/// The settings and what has been looked up.
pub struct World<'s> {
    pub settings: &'s Settings,
    answers: Answers,
    pool: OnionPool,
    sharing: Sharing,
}

impl<'s> World<'s> {
    /// A world in which nothing was looked up, but by other processes of `launch`.
    pub fn new(settings: &'s Settings, launch: Option<Launch>) -> World<'s> {
        let sharing = launch.map_or(Sharing::Nothing, |launch| Sharing::Tells(Store::of(launch)));
        World { settings, answers: Answers::new(), pool: OnionPool::new(), sharing }
    }

    fn range(&self) -> CookieRange {
        let network = self.settings.cookie_network();
        CookieRange::new(network.base(), network.prefix())
    }

    /// Notes what Tor has answered.
    pub fn note(&self, address: IpAddr, name: &Name) {
        self.answers.note(address.to_canonical(), name);
    }

    /// The request to Tor that reaches `destination`; `None` for a cookie address that no lookup has given.
    pub fn request(&self, destination: SocketAddr, is_cookie: bool) -> Option<Request> {
        let ip = destination.ip();
        let host = match is_cookie {
            false => self.answers.name(ip).map_or(Host::Address(ip), Host::Name),
            true => match self.pool.lookup(self.range(), ip, self.sharing) {
                Lookup::Name(name) => Host::Name(Name::new(name).ok()?),
                Lookup::Ordinary | Lookup::Unknown => return None,
            },
        };
        Some(Request { command: Command::Connect, host, port: destination.port() })
    }

    fn is_cookie_ip(&self, ip: IpAddr) -> bool {
        self.range().cookie(ip.to_canonical()).is_some()
    }
}

impl Known for World<'_> {
    fn is_cookie(&self, address: SocketAddr) -> bool {
        self.is_cookie_ip(address.ip())
    }

    fn is_direct(&self, address: SocketAddr) -> bool {
        let Some(direct) = &self.settings.allow_direct else { return false };
        let (ip, port) = (address.ip().to_canonical(), Some(address.port()));
        direct.has_address(address)
            || direct.has_names() && hosts(|other, name| other == ip && direct.has_name(name, port))
    }

    fn is_answer(&self, address: SocketAddr) -> bool {
        self.answers.name(address.ip()).is_some()
    }

    fn is_name_server(&self, address: SocketAddr) -> bool {
        let Ok(file) = File::open_at(libc::AT_FDCWD, c"/etc/resolv.conf") else { return false };
        let read = |buffer: &mut [u8]| file.read(buffer).unwrap_or(0);
        resolv_conf::names(address.ip(), read)
    }
}

/// Tor itself is asked by the supervisor's loop alone, which never waits: see
/// [`start`](epochsocks::resolver::query::start).
impl Names for World<'_> {
    fn ask(&self, _: &Name) -> Result<IpAddr, ResolveError> {
        Err(ResolveError::Mismatch)
    }

    fn ask_name(&self, _: IpAddr) -> Result<Name, ResolveError> {
        Err(ResolveError::Mismatch)
    }

    fn gives_cookies(&self) -> bool {
        self.settings.names == config::Names::Cookie
    }

    fn cookie(&self, name: &[u8]) -> Result<(Ipv4Addr, Ipv6Addr), PoolError> {
        let cookie = self.pool.cookie(self.range(), name, self.sharing)?;
        if let Sharing::Tells(store) = self.sharing {
            store.hold();
        }
        Ok((self.range().ipv4(cookie), self.range().ipv6(cookie)))
    }

    fn name_of_cookie(&self, address: IpAddr) -> Lookup<'_> {
        self.pool.lookup(self.range(), address, self.sharing)
    }

    fn in_hosts_file(&self, name: &[u8]) -> Pair {
        let direct = self.settings.allow_direct.as_ref();
        let is_listed = direct.is_some_and(|direct| direct.has_name(name, None));
        let mut found = Pair::default();
        hosts(|address, other| {
            let may_be_used = (is_listed || address.is_loopback()) && !self.is_cookie_ip(address);
            if may_be_used && other.eq_ignore_ascii_case(name) {
                found.add(address);
            }
            false
        });
        found
    }

    fn is_direct(&self, address: IpAddr) -> bool {
        let Some(direct) = &self.settings.allow_direct else { return false };
        let ip = address.to_canonical();
        direct.has_ip(ip)
            || direct.has_names() && hosts(|other, name| other == ip && direct.has_name(name, None))
    }

    fn asks_for_local(&self) -> bool {
        self.settings.local_destinations == config::LocalDestinations::Tor
    }
}

/// Tells whether `each` answers true for an entry of /etc/hosts.
pub fn hosts(mut each: impl FnMut(IpAddr, &[u8]) -> bool) -> bool {
    let Ok(file) = File::open_at(libc::AT_FDCWD, c"/etc/hosts") else { return false };
    let read = |buffer: &mut [u8]| file.read(buffer).unwrap_or(0);
    hosts_file::any(read, |address, name| each(address.to_canonical(), name))
}
