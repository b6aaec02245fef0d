//! Facts about addresses and names that the settings don't tell: cookie addresses, Tor's answers,
//! and what `AllowDirect` lets a program reach without Tor.

use core::ffi::CStr;
use core::net::{IpAddr, SocketAddr};

use epochsocks::policy::connect::Known;
use epochsocks::resolver::lookup::Pair;
use epochsocks::resolver::{hosts_file, resolv_conf};
use epochsocks::sys::File;

use crate::runtime;

/// The settings' view of the world.
pub struct Destinations;

impl Known for Destinations {
    fn is_cookie(&self, address: SocketAddr) -> bool {
        is_cookie(address.ip())
    }

    /// In a frame of its own: a piece of /etc/hosts is read there.
    #[inline(never)]
    fn is_direct(&self, address: SocketAddr) -> bool {
        let Some(direct) = &runtime::loaded().allow_direct else { return false };
        let (ip, port) = (address.ip().to_canonical(), Some(address.port()));
        direct.has_address(address)
            || direct.has_names() && hosts(|other, name| other == ip && direct.has_name(name, port))
    }

    #[inline(never)]
    fn is_answer(&self, address: SocketAddr) -> bool {
        runtime::ANSWERS.name(address.ip()).is_some()
    }

    /// In a frame of its own: a piece of /etc/resolv.conf is read there.
    #[inline(never)]
    fn is_name_server(&self, address: SocketAddr) -> bool {
        read_by(c"/etc/resolv.conf", |read| resolv_conf::names(address.ip(), read))
    }
}

/// Tells whether a program may reach `ip` without Tor, at some port. Async-signal-safe.
pub fn is_direct_somewhere(ip: IpAddr) -> bool {
    let Some(direct) = &runtime::loaded().allow_direct else { return false };
    let ip = ip.to_canonical();
    direct.has_ip(ip)
        || direct.has_names() && hosts(|other, name| other == ip && direct.has_name(name, None))
}

/// The addresses of `name` in /etc/hosts that a program may use: this machine's own, which an exit is
/// not to hear of, and all of a name that `AllowDirect` has. Async-signal-safe.
pub fn in_hosts_file(name: &[u8]) -> Pair {
    let direct = runtime::loaded().allow_direct.as_ref();
    let is_listed = direct.is_some_and(|direct| direct.has_name(name, None));
    let mut found = Pair::default();
    hosts(|address, other| {
        let may_be_used = (is_listed || address.is_loopback()) && !is_cookie(address);
        if may_be_used && other.eq_ignore_ascii_case(name) {
            found.add(address);
        }
        false
    });
    found
}

fn is_cookie(ip: IpAddr) -> bool {
    runtime::cookie_range().cookie(ip.to_canonical()).is_some()
}

/// Tells whether `each` returns true for an entry of /etc/hosts.
fn hosts(mut each: impl FnMut(IpAddr, &[u8]) -> bool) -> bool {
    read_by(c"/etc/hosts", |read| {
        hosts_file::any(read, |address, name| each(address.to_canonical(), name))
    })
}

/// Answers `look` of the file at `path`; false where it can't be opened.
fn read_by(path: &CStr, look: impl FnOnce(&dyn Fn(&mut [u8]) -> usize) -> bool) -> bool {
    let Ok(file) = File::open_at(libc::AT_FDCWD, path) else { return false };
    look(&|buffer| file.read(buffer).unwrap_or(0))
}
