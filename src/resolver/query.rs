//! From a DNS question to its reply, without a name server.

use super::dns::{Kind, Question, Reply};
use super::error::{LookupError, h_errno};
use super::lookup::{Names, Wanted, lookup, reverse};
use super::node::Node;
use super::reverse;

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
    let answer = lookup(Node::classify(question.name().as_bytes(), own), wanted?, names)?;
    Ok(answer.addresses().next().map_or(Reply::NoData, Reply::Address))
}

/// What is replied when a lookup has failed.
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
