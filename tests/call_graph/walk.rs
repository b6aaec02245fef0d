//! Walk over the call graph. A function reaches what it calls, jumps to or takes the address of,
//! but not what lies behind a function that is allowed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::allowed;
use crate::library::{Function, Library};

/// Hooked functions whose calls inside libc are harmless: they work on descriptors, wait, load or end. A new
/// hook that does no more than that belongs here. Those of
/// the name service switch lead to a module's function of a name: for hosts and networks only functions
/// ask that are found by [`HOSTS`] or have hooks.
const HARMLESS: &str = "close __close close_range closefrom dup dup2 __dup2 dup3 fclose _IO_fclose \
    freopen freopen64 fdopen _IO_fdopen fcntl fcntl64 __fcntl __libc_fcntl64 fork __fork __libc_fork \
    _Fork daemon login_tty forkpty listen accept accept4 getpeername getsockopt setsockopt shutdown \
    ioctl recv __recv recvfrom recvmsg recvmmsg __recv_chk __recvfrom_chk pidfd_getfd read __read readv \
    __read_chk write __write writev preadv2 preadv64v2 pwritev2 pwritev64v2 sendfile sendfile64 splice \
    poll __poll ppoll __poll_chk __ppoll_chk select __select pselect epoll_ctl epoll_wait epoll_pwait \
    epoll_pwait2 dlopen getenv socketpair _exit _Exit prctl bind __nss_lookup __nss_next2 __nss_lookup_function";
/// The switch's way to the modules that are asked for hosts.
const HOSTS: &str = "__nss_hosts_lookup2";

/// The system calls that are looked for.
const SYSTEM_CALLS: [(u64, &str); 8] = [
    (41, "socket"),
    (42, "connect"),
    (44, "sendto"),
    (46, "sendmsg"),
    (307, "sendmmsg"),
    (59, "execve"),
    (322, "execveat"),
    (425, "io_uring_setup"),
];

/// Functions that make a socket, by their first argument; UNIX and netlink sockets lead nowhere.
const SOCKET: [&str; 2] = ["socket", "__socket"];
const LOCAL_FAMILIES: [u64; 2] = [1, 16];
/// Functions that use a socket: harmless in a function that has made it as a local one.
const USES: [&str; 6] = ["connect", "__connect", "send", "__send", "sendto", "sendmsg"];

/// The libraries so far.
pub struct Walk<'h> {
    hooked: &'h BTreeSet<&'static str>,
    /// Exported functions without a hook that lead past the hooks, in the libraries so far.
    reaching: BTreeSet<String>,
    sinks: usize,
}

/// An exported function that leads past the hooks.
pub struct Reached {
    /// Its name.
    pub export: String,
    way: Vec<String>,
}

impl fmt::Display for Reached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} by {}", self.export, self.way.join(" -> "))
    }
}

impl<'h> Walk<'h> {
    /// With the names of all hooks.
    pub fn new(hooked: &'h BTreeSet<&'static str>) -> Self {
        Walk { hooked, reaching: BTreeSet::new(), sinks: 0 }
    }

    /// Number of functions and system calls that are looked for in the libraries so far.
    pub fn sinks(&self) -> usize {
        self.sinks
    }

    /// Follows the calls of a library.
    pub fn add(&mut self, library: &Library) -> Vec<Reached> {
        // The name that makes a function one of those looked for.
        let mut sinks = BTreeMap::new();
        for (address, names) in &library.exports {
            let is_one = |name: &&String| {
                let is_harmless = || HARMLESS.split_whitespace().any(|other| other == *name);
                name.as_str() == HOSTS || self.hooked.contains(name.as_str()) && !is_harmless()
            };
            if let Some(name) = names.iter().find(is_one) {
                sinks.insert(*address, name.clone());
            }
        }
        self.sinks += sinks.len();
        let is_allowed =
            |names: &BTreeSet<String>| names.iter().any(|it| allowed::reason(it).is_some());
        let allowed: BTreeSet<u64> = library
            .exports
            .iter()
            .filter(|(_, names)| is_allowed(names))
            .map(|(address, _)| *address)
            .collect();
        let next = self.next_steps(library, &sinks, &allowed);
        let mut found = Vec::new();
        for (address, names) in &library.exports {
            let without: Vec<_> =
                names.iter().filter(|name| !self.hooked.contains(name.as_str())).collect();
            let Some(start) = library.start_of(*address).filter(|_| !without.is_empty()) else {
                continue;
            };
            if let Some(way) = way(library, &next, start) {
                for name in without {
                    self.reaching.insert(name.clone());
                    found.push(Reached { export: name.clone(), way: way.clone() });
                }
            }
        }
        found
    }

    /// For each function that leads to one that is looked for, where it does so.
    fn next_steps(
        &self,
        library: &Library,
        sinks: &BTreeMap<u64, String>,
        allowed: &BTreeSet<u64>,
    ) -> BTreeMap<u64, Step> {
        // A module of the name service switch is called by those that ask for hosts and networks.
        let modules: BTreeSet<u64> = library
            .exports
            .iter()
            .filter(|(_, names)| names.iter().any(|name| name.starts_with("_nss_")))
            .map(|(address, _)| *address)
            .collect();
        let functions: Vec<_> =
            library.functions.iter().filter(|(start, _)| !allowed.contains(*start)).collect();
        let mut steps = BTreeMap::new();
        for (start, function) in &functions {
            if let Some(end) = self.end_in(function, sinks, &modules) {
                steps.insert(**start, Step::End(end));
            }
        }
        loop {
            let before = steps.len();
            for (start, function) in &functions {
                let to = |inner: &&u64| steps.contains_key(*inner) && !sinks.contains_key(*inner);
                let taken = function.taken.difference(&modules);
                if !steps.contains_key(*start)
                    && let Some(inner) = function.inner.iter().chain(taken).find(to)
                {
                    steps.insert(**start, Step::Inner(*inner));
                }
            }
            if steps.len() == before {
                return steps;
            }
        }
    }

    /// Finds the functions looked for that the function itself calls.
    fn end_in(
        &self,
        function: &Function,
        sinks: &BTreeMap<u64, String>,
        modules: &BTreeSet<u64>,
    ) -> Option<String> {
        let families = function.calls.iter().filter_map(|(callee, argument)| {
            SOCKET.contains(&sinks.get(callee)?.as_str()).then_some(*argument)
        });
        let is_local = |family: Option<u64>| family.is_some_and(|it| LOCAL_FAMILIES.contains(&it));
        let mut families = families.peekable();
        let has_local = families.peek().is_some() && families.all(is_local);
        let taken = function.taken.difference(modules);
        let called = function.inner.iter().chain(taken).filter_map(|inner| sinks.get(inner));
        let mut other = called.filter(|name| {
            let name = name.as_str();
            !(has_local && (SOCKET.contains(&name) || USES.contains(&name)))
        });
        if let Some(name) = other.next() {
            return Some(name.clone());
        }
        let number = function.system_calls.iter().find_map(|number| {
            SYSTEM_CALLS.iter().find(|(known, _)| known == number).map(|(_, name)| *name)
        });
        let import = function.imports.iter().find(|name| self.reaching.contains(*name));
        number.map(|name| format!("the system call {name}")).or_else(|| import.cloned())
    }
}

/// Ways in which a function leads on.
enum Step {
    /// By a call of this.
    End(String),
    /// By a call of the function at this address.
    Inner(u64),
}

/// The names on the way from the function at `start`, if it is one that leads past the hooks.
fn way(library: &Library, steps: &BTreeMap<u64, Step>, start: u64) -> Option<Vec<String>> {
    let mut way = Vec::new();
    let mut at = start;
    loop {
        match steps.get(&at)? {
            Step::End(name) => {
                way.push(name.clone());
                return Some(way);
            }
            Step::Inner(inner) => {
                at = *inner;
                let name = library.exports.get(&at).and_then(|names| names.first());
                way.push(name.cloned().unwrap_or_else(|| format!("{at:#x}")));
            }
        }
    }
}
