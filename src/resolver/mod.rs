//! Host names: what a name is, the addresses that stand for onion names, and the C structures that
//! carry an answer.
//!
//! - [`name_class`]: classes of host names, decided without a question to Tor
//! - [`ipv4_text`]: the numeric forms of IPv4 that libc accepts
//! - [`cookie_range`]: the two networks that cookie addresses come from
//! - [`onion_pool`]: cookie address <-> name, lock-free, over an `onion_table`
//! - [`answers`]: the names that Tor has resolved to addresses
//! - [`hosts_file`]: what /etc/hosts says
//! - [`resolv_conf`]: the name servers of /etc/resolv.conf
//! - `lines`: the lines of both
//! - [`dns`]: DNS messages, for res_query(3)
//! - [`hostent`]: `struct hostent` in a caller's buffer
//! - [`reverse`]: the names of PTR records
//! - [`lookup`]: from a host to its addresses
//! - [`query`]: from a DNS question to its reply
//! - [`error`]: why there is no answer, and the codes that say so in C
//!
//! Nothing here asks Tor; [`crate::tor`] does. Everything may be entered from a signal
//! handler.

pub mod answers;
pub mod cookie_range;
pub mod dns;
pub mod error;
pub mod hostent;
pub mod hosts_file;
pub mod ipv4_text;
mod lines;
pub mod lookup;
#[cfg(all(test, crossbeam_loom))]
mod models;
pub mod name_class;
pub mod onion_pool;
mod onion_table;
pub mod query;
pub mod resolv_conf;
pub mod reverse;
