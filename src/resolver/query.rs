//! From a DNS question to its reply, without a name server.

use core::cell::Cell;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::dns::{Kind, Question, Reply};
use super::error::{LookupError, PoolError, h_errno};
use super::lookup::{Names, Pair, Wanted, lookup, reverse};
use super::name_class::NameClass;
use super::onion_pool::Lookup;
use super::reverse;
use crate::socks5::{Answer, Name, Request};
use crate::tor::ResolveError;

/// The reply to `question`: addresses and names as the other lookups find them, no services,
/// everything else refused. `own` is the machine's name, `ipv6` the setting EnableIPv6. A failed
/// lookup has a reply as well, by [`failure`].
pub fn reply(
    question: &Question,
    own: &[u8],
    ipv6: bool,
    names: &impl Names,
) -> Result<Reply, LookupError> {
    match question.kind() {
        Kind::A => address(question, own, Wanted::new(libc::AF_INET, false, ipv6), names),
        Kind::Aaaa => address(question, own, Wanted::new(libc::AF_INET6, false, ipv6), names),
        Kind::Ptr => match reverse::parse(question.name().as_bytes()) {
            Some(address) => reverse(address, names).map(Reply::Name),
            None => Ok(Reply::NoData),
        },
        // A name with an underscore is there for such records only (RFC 8552).
        Kind::Service if question.name().as_bytes().starts_with(b"_") => Ok(Reply::NoName),
        Kind::Service => Ok(Reply::NoData),
        Kind::Other(_) => Ok(Reply::Refused),
    }
}

fn address(
    question: &Question,
    own: &[u8],
    wanted: Result<Wanted, LookupError>,
    names: &impl Names,
) -> Result<Reply, LookupError> {
    let answer = lookup(NameClass::classify(question.name().as_bytes(), own), wanted?, names)?;
    Ok(answer.addresses().next().map_or(Reply::NoData, Reply::Address))
}

/// Result of a question without waiting for Tor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Its end; Tor is not asked.
    Replied(Result<Reply, LookupError>),
    /// Tor has to be asked this; [`finish`] then makes the reply.
    Asks(Request),
}

/// As [`reply`], up to the moment at which Tor would be asked.
pub fn start(question: &Question, own: &[u8], ipv6: bool, names: &impl Names) -> Step {
    let told = Told { names, answer: None, request: Cell::new(None) };
    let replied = reply(question, own, ipv6, &told);
    told.request.get().map_or(Step::Replied(replied), Step::Asks)
}

/// The reply to a question that [`Step::Asks`], to which this is Tor's `answer`.
pub fn finish(
    question: &Question,
    own: &[u8],
    ipv6: bool,
    names: &impl Names,
    answer: Result<Answer, ResolveError>,
) -> Result<Reply, LookupError> {
    reply(question, own, ipv6, &Told { names, answer: Some(answer), request: Cell::new(None) })
}

/// Names of which Tor's answer is known, or will be.
struct Told<'n, N> {
    names: &'n N,
    answer: Option<Result<Answer, ResolveError>>,
    /// Request that Tor would have got.
    request: Cell<Option<Request>>,
}

impl<N> Told<'_, N> {
    fn ask(&self, request: Request) -> Result<Answer, ResolveError> {
        self.answer.unwrap_or_else(|| {
            self.request.set(Some(request));
            Err(ResolveError::Mismatch)
        })
    }
}

impl<N: Names> Names for Told<'_, N> {
    fn ask(&self, name: &Name) -> Result<IpAddr, ResolveError> {
        self.ask(Request::resolve(name)).and_then(ResolveError::address)
    }

    fn ask_name(&self, address: IpAddr) -> Result<Name, ResolveError> {
        self.ask(Request::resolve_address(address)).and_then(ResolveError::name)
    }

    fn gives_cookies(&self) -> bool {
        self.names.gives_cookies()
    }

    fn cookie(&self, name: &[u8]) -> Result<(Ipv4Addr, Ipv6Addr), PoolError> {
        self.names.cookie(name)
    }

    fn name_of_cookie(&self, address: IpAddr) -> Lookup<'_> {
        self.names.name_of_cookie(address)
    }

    fn in_hosts_file(&self, name: &[u8]) -> Pair {
        self.names.in_hosts_file(name)
    }

    fn is_direct(&self, address: IpAddr) -> bool {
        self.names.is_direct(address)
    }

    fn asks_for_local(&self) -> bool {
        self.names.asks_for_local()
    }
}

/// Reply after a lookup that has failed.
pub fn failure(error: &LookupError) -> Reply {
    match error.codes().h_errno {
        h_errno::HOST_NOT_FOUND => Reply::NoName,
        h_errno::NO_DATA => Reply::NoData,
        _ => Reply::Failure,
    }
}

/// The `h_errno` with which res_query(3) fails for a reply without records.
pub fn error_of(reply: Reply) -> Option<i32> {
    match reply {
        Reply::Address(_) | Reply::Name(_) => None,
        Reply::NoData => Some(h_errno::NO_DATA),
        Reply::NoName => Some(h_errno::HOST_NOT_FOUND),
        Reply::Failure => Some(h_errno::TRY_AGAIN),
        Reply::Refused => Some(h_errno::NO_RECOVERY),
    }
}
