//! The tests' private network of real tor daemons, for the time of an experiment.

use std::ffi::OsString;
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

#[path = "../../../tests/support/owner.rs"]
#[expect(dead_code, reason = "the tests use the rest")]
mod owner;

/// Tor's SOCKS port in the network.
pub const SOCKS_PORT: u16 = 9050;
/// An address beyond the exits, and a port there that sends back what it reads.
pub const ECHO: (&str, u16) = ("198.51.100.1", 7);

/// A network that is up until this is dropped.
pub struct PrivateNetwork {
    facts: owner::Facts,
    _presence: UnixStream,
    _holder: Holder,
}

/// The process that all others of the network end with, and the files of the network.
struct Holder {
    process: Child,
    directory: PathBuf,
}

impl PrivateNetwork {
    /// Brings the network up. The error says why it can't be had here.
    pub fn start() -> io::Result<PrivateNetwork> {
        let path = search_path();
        let flags = owner::permitted(&path).map_err(io::Error::other)?;
        // Short enough for the names of sockets.
        let name = format!("epochsocks-benches.{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::DirBuilder::new().mode(0o700).create(&directory)?;
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/network/owner.py");
        let (mut command, mut presence) =
            owner::command(&program.canonicalize()?, &directory, &flags, this_process()?);
        let holder = Holder { process: command.env("PATH", path).spawn()?, directory };
        match owner::greeting(&mut presence)? {
            owner::Greeting::Ready(facts) => {
                take_numbers(&mut presence)?;
                Ok(PrivateNetwork { facts, _presence: presence, _holder: holder })
            }
            owner::Greeting::Failed(why) => Err(io::Error::other(why)),
        }
    }

    /// Makes `command` run in the namespace where Tor listens and nothing else leads out.
    pub fn enter(&self, command: &mut Command) {
        owner::enter(&self.facts, command);
    }
}

/// Lets tor take addresses as numbers (`SafeSocks 0`): the bare client and proxychains4 send such.
fn take_numbers(owner: &mut UnixStream) -> io::Result<()> {
    writeln!(owner, "begin lenient")?;
    match BufReader::new(owner).read_line(&mut String::new())? {
        0 => Err(io::Error::other("the network has ended")),
        _ => Ok(()),
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // unshare takes its child along, and the child is the first process of all others.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn search_path() -> OsString {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin");
    path
}

/// A descriptor that becomes readable when this process ends.
fn this_process() -> io::Result<OwnedFd> {
    // SAFETY: the call takes two integers and returns a new descriptor or -1.
    unsafe {
        match libc::syscall(libc::SYS_pidfd_open, libc::getpid(), 0) {
            -1 => Err(io::Error::last_os_error()),
            descriptor => Ok(OwnedFd::from_raw_fd(descriptor as i32)),
        }
    }
}
