//! Says once that a well-known helper, to which the program has just connected, runs without the library.

use core::ffi::CStr;
use core::fmt::Write;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use epochsocks::bytes::Bytes;
use epochsocks::policy::helper;
use epochsocks::sys::{self, Errno, File, net, paths};

use crate::hooks::arguments::AddressArgument;
use crate::log::log;
use crate::{environment, inheritance, real};

/// Set once the log has said it. Guards nothing else: Relaxed.
static HAS_TOLD: AtomicBool = AtomicBool::new(false);

/// Looks at the peer of `fd`, which was connected to the UNIX socket `address`. Of any other than a
/// well-known helper's socket the kernel is asked nothing. errno is left alone; async-signal-safe.
#[inline(never)]
pub fn look_at(fd: i32, address: &AddressArgument) {
    let path = helper::path_in(address.bytes());
    let Some(helper) = helper::at(environment::program(), path, is_agent) else { return };
    if is_inside(fd, helper.process) || HAS_TOLD.swap(true, Relaxed) {
        return;
    }
    let name = helper.name;
    log!(
        Warning,
        Connect,
        "{name} at {} runs outside of epochsocks: what it does for this program does not go through \
         Tor; start it under epochsocks, too",
        path.escape_ascii()
    );
}

/// Tells whether `path` is that of ssh's agent, which makes no connections.
fn is_agent(path: &[u8]) -> bool {
    // SAFETY: a C string; what getenv answers stays until the program changes its environment.
    unsafe {
        let agent = real::getenv(c"SSH_AUTH_SOCK".as_ptr());
        !agent.is_null() && CStr::from_ptr(agent).to_bytes() == path
    }
}

/// The process that listened at the peer's end, where the kernel tells.
fn peer(fd: i32) -> Option<i32> {
    // SAFETY: SO_PEERCRED is a ucred, plain numbers.
    let peer = unsafe { net::option::<libc::ucred>(fd, libc::SOL_SOCKET, libc::SO_PEERCRED) };
    peer.ok().map(|peer| peer.pid).filter(|pid| *pid > 0)
}

/// Tells whether the helper at the peer's end of `fd` has the library. The kernel names the process that began to
/// listen: where that has ended, a child of it has gone into the background, and each process of this user
/// that is called `process` must have the library.
fn is_inside(fd: i32, process: &[u8]) -> bool {
    let Some(pid) = peer(fd) else { return false };
    loads_the_library(pid).unwrap_or_else(|| {
        let (mut found, mut all) = (false, true);
        let _ = paths::each_entry(c"/proc", |entry| {
            let pid = entry.to_str().ok().and_then(|name| name.parse().ok());
            if let Some(pid) = pid.filter(|pid| is_called(*pid, process)) {
                found = true;
                all = loads_the_library(pid).unwrap_or(true);
            }
            all
        });
        found && all
    })
}

/// A file of the process `pid`.
fn file_of(pid: i32, name: &str) -> Result<File, Errno> {
    let mut path = Bytes::<32>::EMPTY;
    let _ = write!(path, "/proc/{pid}/{name}\0");
    let path = CStr::from_bytes_until_nul(path.as_slice()).map_err(|_| Errno(libc::ENOENT))?;
    File::open_at(libc::AT_FDCWD, path)
}

/// Tells whether `pid` is a process of this user with this name.
fn is_called(pid: i32, name: &[u8]) -> bool {
    let mut buffer = [0; 32];
    let Ok(file) = file_of(pid, "comm") else { return false };
    let is_ours = file.owner_and_mode().is_ok_and(|(owner, _)| owner == sys::effective_user());
    let length = file.read(&mut buffer).unwrap_or(0);
    is_ours && buffer.get(..length).unwrap_or_default().trim_ascii_end() == name
}

/// Tells whether the process `pid` has a library of our file's name in its memory; nothing if it has ended.
/// One that can't be read, as another user's, has none.
fn loads_the_library(pid: i32) -> Option<bool> {
    let library = inheritance::library().map_or(&[][..], CStr::to_bytes);
    let name = library.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    match file_of(pid, "maps") {
        // Its first byte is a digit.
        Ok(maps) if maps.read(&mut [0]) == Ok(0) => None,
        Ok(maps) => Some(maps.contains(name)),
        Err(Errno(libc::ENOENT | libc::ESRCH)) => None,
        Err(_) => Some(false),
    }
}
