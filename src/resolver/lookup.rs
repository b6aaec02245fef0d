//! From a host to its addresses: what getaddrinfo(3) and gethostbyname(3) have in common.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::error::{LookupError, PoolError};
use super::name_class::{BadName, NameClass};
use super::onion_pool::Lookup as Cookied;
use super::reverse::is_host_name;
use crate::policy::address::is_private;
use crate::socks5::Name;
use crate::tor::ResolveError;

/// Families of addresses that a caller takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    v4: bool,
    v6: bool,
    mapped: bool,
}

impl Wanted {
    /// `family` is `AF_INET`, `AF_INET6` or `AF_UNSPEC`, otherwise there is nothing to want
    /// (`EAI_FAMILY`). `mapped` is getaddrinfo's `AI_V4MAPPED`, `ipv6` the setting EnableIPv6: 0
    /// gives names no IPv6 address.
    pub fn new(family: i32, mapped: bool, ipv6: bool) -> Result<Wanted, LookupError> {
        let (v4, v6) = match family {
            libc::AF_UNSPEC => (true, true),
            libc::AF_INET => (true, false),
            libc::AF_INET6 => (false, true),
            _ => return Err(LookupError::Family),
        };
        Ok(Wanted { v4, v6: v6 && ipv6, mapped: mapped && !v4 })
    }

    fn nothing(self) -> bool {
        !(self.v4 || self.v6 || self.mapped)
    }

    /// The address as the caller takes it.
    fn admit(self, address: IpAddr) -> Result<IpAddr, LookupError> {
        match address {
            IpAddr::V4(_) if self.v4 => Ok(address),
            IpAddr::V4(v4) if self.mapped => Ok(v4.to_ipv6_mapped().into()),
            IpAddr::V6(_) if self.v6 => Ok(address),
            _ => Err(LookupError::NoAddress),
        }
    }
}

/// One or two addresses: Tor's RESOLVE gives one, localhost has two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    first: IpAddr,
    second: Option<IpAddr>,
}

impl Answer {
    /// The addresses, the preferred one first.
    pub fn addresses(self) -> impl Iterator<Item = IpAddr> {
        core::iter::once(self.first).chain(self.second)
    }
}

impl From<IpAddr> for Answer {
    fn from(first: IpAddr) -> Self {
        Answer { first, second: None }
    }
}

/// Service that looks names up.
pub trait Names {
    /// An address of `name`, from Tor.
    fn ask(&self, name: &Name) -> Result<IpAddr, ResolveError>;
    /// The name of `address`, from Tor.
    fn ask_name(&self, address: IpAddr) -> Result<Name, ResolveError>;
    /// Tells whether every name gets a cookie address, instead of a lookup.
    fn gives_cookies(&self) -> bool;
    /// The cookie addresses of `name`.
    fn cookie(&self, name: &[u8]) -> Result<(Ipv4Addr, Ipv6Addr), PoolError>;
    /// The name that `address` is a cookie of.
    fn name_of_cookie(&self, address: IpAddr) -> Cookied<'_>;
    /// Looks `name` up in the machine's hosts file, as far as a program may use it: loopback
    /// addresses, and every address of a name that is reached without Tor.
    fn in_hosts_file(&self, name: &[u8]) -> Pair;
    /// Tells whether a connect to `address`, at some port, goes past Tor.
    fn is_direct(&self, address: IpAddr) -> bool;
    /// Tells whether Tor is asked for what belongs to local networks, too.
    fn asks_for_local(&self) -> bool;
}

/// An address of each family, if there is one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pair {
    /// The IPv4 address.
    pub v4: Option<Ipv4Addr>,
    /// The IPv6 address.
    pub v6: Option<Ipv6Addr>,
}

impl Pair {
    /// Takes `address`, unless there is one of its family.
    pub fn add(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(address) => self.v4 = self.v4.or(Some(address)),
            IpAddr::V6(address) => self.v6 = self.v6.or(Some(address)),
        }
    }
}

/// The addresses of `host` that `wanted` admits. Only [`NameClass::Ask`] asks Tor, unless `names` asks
/// for local names as well, and an answer that is local counts as none. A caller that takes both families gets the IPv4 cookie of an onion name.
pub fn lookup(
    host: NameClass<'_>,
    wanted: Wanted,
    names: &impl Names,
) -> Result<Answer, LookupError> {
    if wanted.nothing() {
        return Err(LookupError::NoAddress);
    }
    match host {
        NameClass::Numeric { address, scope: None } => wanted.admit(address).map(Answer::from),
        // These callers have nowhere to put a scope.
        NameClass::Numeric { scope: Some(_), .. } => Err(LookupError::Bad(BadName::Character)),
        NameClass::Bad(reason) => Err(LookupError::Bad(reason)),
        NameClass::Localhost => both(wanted, Ipv4Addr::LOCALHOST, Ipv6Addr::LOCALHOST),
        NameClass::Onion(name) => cookie(name, wanted, names),
        NameClass::Local(name) | NameClass::Ask(name) => {
            let local = names.in_hosts_file(name);
            if local != Pair::default() {
                return pair(wanted, local);
            }
            if matches!(host, NameClass::Local(_)) && !names.asks_for_local() {
                return Err(LookupError::LocalName);
            }
            ask(name, wanted, names)
        }
    }
}

fn ask(name: &[u8], wanted: Wanted, names: &impl Names) -> Result<Answer, LookupError> {
    let name = Name::new(name).map_err(|_| LookupError::Bad(BadName::Character))?;
    if names.gives_cookies() {
        return cookie(name.as_bytes(), wanted, names);
    }
    let address = names.ask(&name).map_err(LookupError::Tor)?;
    if is_automapped(address) {
        // connect() takes a cookie to Tor by name, which tor knows from its own answer.
        return cookie(name.as_bytes(), wanted, names);
    }
    if is_local(address, names) {
        return Err(LookupError::LocalAnswer(address));
    }
    wanted.admit(address).map(Answer::from)
}

/// Tells whether tor itself has made `address` up for a name (`AutomapHostsOnResolve`): of its
/// `VirtualAddrNetworkIPv4` as it is by default.
fn is_automapped(address: IpAddr) -> bool {
    matches!(address, IpAddr::V4(address) if address.to_bits() >> 22 == 0x7fc0_0000 >> 22)
}

/// Tells whether a connect to `address` would not ask Tor for it. An exit that answers so leads the
/// program to a service of this machine, or to another name's cookie (DNS rebinding).
fn is_local(address: IpAddr, names: &impl Names) -> bool {
    let address = address.to_canonical();
    address.is_loopback()
        || address.is_unspecified()
        || names.is_direct(address)
        || names.name_of_cookie(address) != Cookied::Ordinary
}

fn cookie(name: &[u8], wanted: Wanted, names: &impl Names) -> Result<Answer, LookupError> {
    let (v4, v6) = names.cookie(name).map_err(LookupError::Pool)?;
    both(wanted, v4, v6).map(|answer| answer.first.into())
}

/// A host of the hosts file, as [`both`] if it has both addresses.
fn pair(wanted: Wanted, host: Pair) -> Result<Answer, LookupError> {
    match (host.v4, host.v6) {
        (Some(v4), Some(v6)) => both(wanted, v4, v6),
        (v4, v6) => {
            let only = v4.map(IpAddr::V4).or(v6.map(IpAddr::V6)).ok_or(LookupError::NoAddress)?;
            wanted.admit(only).map(Answer::from)
        }
    }
}

/// A host that has both addresses: all that are wanted, IPv4 first, a mapped one only for want of
/// a real one.
fn both(wanted: Wanted, v4: Ipv4Addr, v6: Ipv6Addr) -> Result<Answer, LookupError> {
    match (wanted.admit(v4.into()), wanted.admit(v6.into())) {
        (Ok(first), Ok(second)) if wanted.v4 => Ok(Answer { first, second: Some(second) }),
        (_, Ok(only)) | (Ok(only), _) => Ok(only.into()),
        (Err(error), Err(_)) => Err(error),
    }
}

/// The name of `address`: "localhost" for a loopback address, the onion name for a cookie, what
/// Tor says for any other, if that is a host's name.
pub fn reverse(address: IpAddr, names: &impl Names) -> Result<Name, LookupError> {
    let address = address.to_canonical();
    match names.name_of_cookie(address) {
        Cookied::Name(name) => Name::new(name).map_err(|_| LookupError::UnknownCookie),
        Cookied::Unknown => Err(LookupError::UnknownCookie),
        Cookied::Ordinary if address.is_loopback() => {
            Name::new(b"localhost").map_err(|_| LookupError::NoAddress)
        }
        // 0.0.0.0 and :: are no host's address.
        Cookied::Ordinary if address.is_unspecified() => Err(LookupError::LocalAddress),
        Cookied::Ordinary if is_private(address) && !names.asks_for_local() => {
            Err(LookupError::LocalAddress)
        }
        Cookied::Ordinary => {
            let name = names.ask_name(address).map_err(LookupError::Tor)?;
            if is_host_name(name.as_bytes()) { Ok(name) } else { Err(LookupError::NameAnswer) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolver::cookie_range::CookieRange;
    use crate::resolver::onion_pool::{OnionPool, Sharing};
    use core::cell::Cell;

    const RANGE: CookieRange = CookieRange::DEFAULT;

    /// A Tor that knows one address for every name, and counts who asks.
    struct World {
        pool: OnionPool,
        gives_cookies: bool,
        address: IpAddr,
        asked: Cell<u32>,
        hosts: Pair,
        asks_for_local: bool,
    }

    impl World {
        fn new(address: &str) -> Self {
            let address = address.parse().unwrap();
            World {
                pool: OnionPool::new(),
                gives_cookies: false,
                address,
                asked: Cell::new(0),
                hosts: Pair::default(),
                asks_for_local: false,
            }
        }

        fn lookup(&self, host: &str, wanted: Wanted) -> Result<Vec<String>, LookupError> {
            let host = NameClass::classify(host.as_bytes(), b"this-machine");
            let answer = lookup(host, wanted, self)?;
            Ok(answer.addresses().map(|address| address.to_string()).collect())
        }
    }

    impl Names for World {
        fn ask(&self, _: &Name) -> Result<IpAddr, ResolveError> {
            self.asked.set(self.asked.get() + 1);
            Ok(self.address)
        }

        fn ask_name(&self, _: IpAddr) -> Result<Name, ResolveError> {
            self.asked.set(self.asked.get() + 1);
            Ok(Name::new(b"host.example").unwrap())
        }

        fn gives_cookies(&self) -> bool {
            self.gives_cookies
        }

        fn cookie(&self, name: &[u8]) -> Result<(Ipv4Addr, Ipv6Addr), PoolError> {
            let cookie = self.pool.cookie(RANGE, name, Sharing::Nothing)?;
            Ok((RANGE.ipv4(cookie), RANGE.ipv6(cookie)))
        }

        fn name_of_cookie(&self, address: IpAddr) -> Cookied<'_> {
            self.pool.lookup(RANGE, address, Sharing::Nothing)
        }

        fn in_hosts_file(&self, name: &[u8]) -> Pair {
            if name == b"listed.example" || name == b"nas" { self.hosts } else { Pair::default() }
        }

        fn is_direct(&self, address: IpAddr) -> bool {
            address.to_string() == "192.168.1.7"
        }

        fn asks_for_local(&self) -> bool {
            self.asks_for_local
        }
    }

    fn wanted(family: i32) -> Wanted {
        Wanted::new(family, false, true).unwrap()
    }

    fn mapped() -> Wanted {
        Wanted::new(libc::AF_INET6, true, true).unwrap()
    }

    #[test]
    fn tors_answer_is_given_in_the_wanted_family_only() {
        let v4 = World::new("192.0.2.1");
        let v6 = World::new("2001:db8::1");
        let found = |address: &str| Ok(vec![address.to_owned()]);
        for (family, in_v4, in_v6) in [
            (libc::AF_UNSPEC, found("192.0.2.1"), found("2001:db8::1")),
            (libc::AF_INET, found("192.0.2.1"), Err(LookupError::NoAddress)),
            (libc::AF_INET6, Err(LookupError::NoAddress), found("2001:db8::1")),
        ] {
            assert_eq!(v4.lookup("a.example", wanted(family)), in_v4);
            assert_eq!(v6.lookup("a.example", wanted(family)), in_v6);
        }
        assert_eq!(v4.lookup("a.example", mapped()), found("::ffff:192.0.2.1"));
        assert_eq!(v6.lookup("a.example", mapped()), found("2001:db8::1"));
    }

    #[test]
    fn an_answer_that_is_local_is_none() {
        let answers = [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "127.42.42.7",
            "::1",
            "::",
            "::ffff:127.0.0.1",
            "::ffff:0.0.0.0",
            "100::7",
        ];
        for address in answers {
            let refused = Err(LookupError::LocalAnswer(address.parse().unwrap()));
            let world = World::new(address);
            for wanted in [wanted(libc::AF_UNSPEC), wanted(libc::AF_INET), mapped()] {
                assert_eq!(world.lookup("a.example", wanted), refused, "{address}");
            }
            // What the program itself says is not an exit's word.
            assert_eq!(world.lookup("127.0.0.1", wanted(libc::AF_INET)).unwrap(), ["127.0.0.1"]);
        }
        // A cookie that has a name is another name's.
        let world = World::new("127.42.42.7");
        let taken = world.lookup("a.onion", wanted(libc::AF_INET)).unwrap();
        let world = World { address: taken[0].parse().unwrap(), ..world };
        let refused = Err(LookupError::LocalAnswer(world.address));
        assert_eq!(world.lookup("a.example", wanted(libc::AF_INET)), refused);
        assert!(World::new("10.0.0.1").lookup("a.example", wanted(libc::AF_INET)).is_ok());
    }

    #[test]
    fn an_exit_does_not_lead_to_what_is_reached_directly() {
        let world = World::new("192.168.1.7");
        let refused = Err(LookupError::LocalAnswer(world.address));
        assert_eq!(world.lookup("a.example", wanted(libc::AF_INET)), refused);
    }

    #[test]
    fn a_name_that_tor_has_mapped_itself_gets_a_cookie() {
        for (address, has_cookie) in [
            ("127.192.0.0", true),
            ("127.255.255.255", true),
            ("127.191.255.255", false),
            ("127.0.0.1", false),
        ] {
            let answer = World::new(address).lookup("a.example", wanted(libc::AF_INET));
            let is_cookie = answer.as_ref().is_ok_and(|found| found[0].starts_with("127.42.42."));
            assert_eq!(is_cookie, has_cookie, "{address}: {answer:?}");
        }
    }

    #[test]
    fn local_names_are_asked_of_nobody_unless_wanted() {
        let world = World::new("192.0.2.1");
        for name in ["printer", "nas.local", "a.b.LAN.", "x.home.arpa", "a.internal", "a.invalid"] {
            let answer = world.lookup(name, wanted(libc::AF_UNSPEC));
            assert_eq!(answer, Err(LookupError::LocalName), "{name}");
        }
        for address in ["192.168.1.1", "10.0.0.1", "fe80::1", "::ffff:172.16.0.1", "0.0.0.0", "::"]
        {
            let name = reverse(address.parse().unwrap(), &world);
            assert_eq!(name, Err(LookupError::LocalAddress), "{address}");
        }
        assert_eq!(world.asked.get(), 0);
        let world = World { asks_for_local: true, ..world };
        assert_eq!(world.lookup("printer", wanted(libc::AF_INET)).unwrap(), ["192.0.2.1"]);
        assert!(reverse("192.168.1.1".parse().unwrap(), &world).is_ok());
    }

    #[test]
    fn the_hosts_file_answers_before_anybody_is_asked() {
        let v4 = Some(Ipv4Addr::new(192, 168, 1, 7));
        let world = World { hosts: Pair { v4, v6: None }, ..World::new("192.0.2.1") };
        for name in ["nas", "listed.example"] {
            assert_eq!(world.lookup(name, wanted(libc::AF_UNSPEC)).unwrap(), ["192.168.1.7"]);
            assert_eq!(world.lookup(name, mapped()).unwrap(), ["::ffff:192.168.1.7"]);
            let v6 = world.lookup(name, wanted(libc::AF_INET6));
            assert_eq!(v6, Err(LookupError::NoAddress));
        }
        assert_eq!(world.asked.get(), 0);
    }

    #[test]
    fn where_all_names_get_cookies_nobody_is_asked() {
        let world = World { gives_cookies: true, ..World::new("192.0.2.1") };
        let first = world.lookup("a.example", wanted(libc::AF_UNSPEC)).unwrap();
        assert!(first[0].starts_with("127.42.42."), "{first:?}");
        assert_eq!(world.lookup("A.example.", wanted(libc::AF_INET)).unwrap(), first);
        let v6 = world.lookup("a.example", wanted(libc::AF_INET6)).unwrap();
        assert!(v6[0].starts_with("100::"), "{v6:?}");
        assert_eq!(world.lookup("192.0.2.9", wanted(libc::AF_INET)).unwrap(), ["192.0.2.9"]);
        assert_eq!(world.asked.get(), 0);
    }

    #[test]
    fn only_names_of_the_outside_are_asked_for() {
        let world = World::new("192.0.2.1");
        for host in ["localhost", "this-machine", "127.1", "::1", "x.onion", "a..b", "", "1.2.3.4."]
        {
            let _ = world.lookup(host, wanted(libc::AF_UNSPEC));
        }
        assert_eq!(world.asked.get(), 0);
        let _ = world.lookup("a.example", wanted(libc::AF_UNSPEC));
        assert_eq!(world.asked.get(), 1);
    }

    #[test]
    fn localhost_has_a_loopback_address_in_each_family() {
        let world = World::new("192.0.2.1");
        let lookup = |wanted| world.lookup("localhost", wanted).unwrap();
        assert_eq!(lookup(wanted(libc::AF_UNSPEC)), ["127.0.0.1", "::1"]);
        assert_eq!(lookup(wanted(libc::AF_INET)), ["127.0.0.1"]);
        assert_eq!(lookup(wanted(libc::AF_INET6)), ["::1"]);
        assert_eq!(lookup(mapped()), ["::1"]);
    }

    #[test]
    fn an_onion_name_has_one_cookie_whose_name_is_found_again() {
        let world = World::new("192.0.2.1");
        for family in [libc::AF_UNSPEC, libc::AF_INET, libc::AF_INET6] {
            let answer = world.lookup("a.onion", wanted(family)).unwrap();
            assert_eq!(answer.len(), 1);
            let address: IpAddr = answer[0].parse().unwrap();
            assert_eq!(address.is_ipv6(), family == libc::AF_INET6);
            assert_eq!(reverse(address, &world), Ok(Name::new(b"a.onion").unwrap()));
        }
        assert_eq!(world.asked.get(), 0);
    }

    #[test]
    fn without_ipv6_names_have_ipv4_addresses_only() {
        let world = World::new("2001:db8::1");
        let any = Wanted::new(libc::AF_UNSPEC, false, false).unwrap();
        assert_eq!(world.lookup("localhost", any).unwrap(), ["127.0.0.1"]);
        assert_eq!(world.lookup("a.example", any), Err(LookupError::NoAddress));
        let v6 = Wanted::new(libc::AF_INET6, false, false).unwrap();
        assert_eq!(world.lookup("a.onion", v6), Err(LookupError::NoAddress));
        let mapped = Wanted::new(libc::AF_INET6, true, false).unwrap();
        assert!(world.lookup("a.onion", mapped).unwrap()[0].starts_with("::ffff:127.42.42."));
    }

    #[test]
    fn an_unused_cookie_has_no_name_and_nobody_is_asked() {
        let world = World::new("192.0.2.1");
        let unused = "127.42.42.200".parse().unwrap();
        assert_eq!(reverse(unused, &world), Err(LookupError::UnknownCookie));
        let localhost = Name::new(b"localhost").unwrap();
        for address in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(reverse(address.parse().unwrap(), &world), Ok(localhost));
        }
        assert_eq!(world.asked.get(), 0);
        let outside = reverse("192.0.2.7".parse().unwrap(), &world);
        assert_eq!(outside, Ok(Name::new(b"host.example").unwrap()));
    }

    #[test]
    fn other_families_are_refused() {
        assert_eq!(Wanted::new(libc::AF_UNIX, false, true), Err(LookupError::Family));
    }
}
