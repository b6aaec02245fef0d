//! Services that look names up: Tor's SOCKS port and the onion pool.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use epochsocks::config;
use epochsocks::resolver::error::PoolError;
use epochsocks::resolver::lookup::{Names, Pair};
use epochsocks::resolver::onion_pool::Lookup;
use epochsocks::socks5::Name;
use epochsocks::tor::{ResolveError, Resolver};

use crate::hooks::sockets::socket::confines_streams;
use crate::libc_io::Libc;
use crate::{destinations, errno, launch, runtime};

/// The settings' Tor and the process's onion pool.
pub struct ThroughTor;

impl Names for ThroughTor {
    fn ask(&self, name: &Name) -> Result<IpAddr, ResolveError> {
        let address = with_resolver(|resolver| resolver.address(&Libc, name))?;
        runtime::ANSWERS.note(address, name);
        Ok(address)
    }

    fn ask_name(&self, address: IpAddr) -> Result<Name, ResolveError> {
        with_resolver(|resolver| resolver.name(&Libc, address))
    }

    fn gives_cookies(&self) -> bool {
        runtime::loaded().names == config::Names::Cookie
    }

    fn cookie(&self, name: &[u8]) -> Result<(Ipv4Addr, Ipv6Addr), PoolError> {
        let range = runtime::cookie_range();
        let cookie = launch::cookie(name)?;
        Ok((range.ipv4(cookie), range.ipv6(cookie)))
    }

    fn name_of_cookie(&self, address: IpAddr) -> Lookup<'_> {
        launch::lookup(address)
    }

    fn in_hosts_file(&self, name: &[u8]) -> Pair {
        destinations::in_hosts_file(name)
    }

    fn is_direct(&self, address: IpAddr) -> bool {
        destinations::is_direct_somewhere(address)
    }

    fn asks_for_local(&self) -> bool {
        runtime::loaded().local_destinations == config::LocalDestinations::Tor
    }
}

/// A lookup takes the circuits of the streams that follow it: the same credentials.
fn with_resolver<T>(ask: impl FnOnce(Resolver<'_>) -> T) -> T {
    let settings = runtime::loaded();
    let credentials = runtime::credentials();
    let saved = errno::get();
    let answer = ask(Resolver {
        port: SocketAddr::new(settings.tor_address, settings.tor_port),
        credentials: credentials.as_ref(),
        timeout: settings.handshake_timeout,
        is_confined: confines_streams(),
    });
    errno::set(saved);
    answer
}
