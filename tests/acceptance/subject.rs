//! A program, with and without the library.

use crate::support::preload::{hermetic, launcher};
use crate::support::{Network, Observed, preload_library, skip};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Time in which a program without the library must leak its first packet.
pub const LEAK_LIMIT: Duration = Duration::from_secs(10);

/// A command line, run as it is or through `epochsocks`.
pub struct Subject {
    flags: Vec<OsString>,
    program: OsString,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
}

impl Subject {
    pub fn new(program: impl AsRef<OsStr>) -> Subject {
        let program = program.as_ref().to_owned();
        Subject { flags: Vec::new(), program, arguments: Vec::new(), environment: Vec::new() }
    }

    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Subject {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    pub fn args<A: AsRef<OsStr>>(self, arguments: impl IntoIterator<Item = A>) -> Subject {
        arguments.into_iter().fold(self, Subject::arg)
    }

    /// A flag of `epochsocks`.
    pub fn flag(mut self, flag: &str) -> Subject {
        self.flags.push(flag.into());
        self
    }

    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Subject {
        self.environment.push((name.into(), value.as_ref().to_owned()));
        self
    }

    /// The program as it is.
    pub fn bare(&self) -> Command {
        let mut command = Command::new(&self.program);
        hermetic(&mut command);
        self.complete(command)
    }

    /// The program through `epochsocks`.
    pub fn torified(&self) -> Command {
        self.torified_by(&[])
    }

    /// The program through `epochsocks` with more flags.
    pub fn torified_by(&self, flags: &[&str]) -> Command {
        let mut command = launcher();
        command.args(&self.flags).args(flags).arg(&self.program);
        self.complete(command)
    }

    fn complete(&self, mut command: Command) -> Command {
        let environment = self.environment.iter().map(|(name, value)| (name, value));
        command.args(&self.arguments).envs(environment);
        command
    }

    /// Runs the program through `epochsocks`; it must send nothing but to Tor.
    pub fn run(&self, network: &Network) -> Observed {
        let seen = network.run(&mut self.torified());
        assert_eq!(seen.leaks, [""; 0], "{seen:#?}");
        seen
    }

    /// Runs the program through `epochsocks`; it must succeed and send nothing but to Tor.
    pub fn succeed(&self, network: &Network) -> Observed {
        let seen = self.run(network);
        assert!(seen.output.status.success(), "{seen:#?}\n{}", seen.stderr());
        seen
    }

    /// Asserts that the program falls into the trap without the library: so that an empty trap
    /// means what it says.
    pub fn must_leak_without_the_library(&self, network: &Network) {
        let caught = network.run_until_leak(&mut self.bare(), LEAK_LIMIT);
        assert!(!caught.leaks.is_empty(), "the trap misses this program: {caught:#?}");
    }

    /// Both of [`Subject::must_leak_without_the_library`] and [`Subject::succeed`].
    pub fn succeed_where_it_would_leak(&self, network: &Network) -> Observed {
        self.must_leak_without_the_library(network);
        self.succeed(network)
    }
}

/// An empty directory of this name for a test's own files.
pub fn empty_directory(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).expect("a directory can be created");
    directory
}

/// The network, for a test that needs these programs; nothing if the test is to be skipped.
pub fn network_with(programs: &[&'static str]) -> Option<&'static Network> {
    let missing = skip::missing(programs);
    if missing.is_empty() {
        // The library is built while the network comes up.
        std::thread::spawn(preload_library);
        return Network::get();
    }
    skip::skip(&format!("not installed: {}", missing.join(", ")));
    None
}

/// Asserts that the name went to Tor, and a connection to this port after it.
#[track_caller]
pub fn assert_asked_by_name(seen: &Observed, name: &str, port: u16) {
    assert!(seen.asked.iter().any(|asked| asked.host == name), "{name}: {:#?}", seen.asked);
    let connected = seen.asked.iter().any(|asked| asked.kind == "connect" && asked.port == port);
    assert!(connected, "{name} port {port}: {:#?}", seen.asked);
}

/// Asserts that Tor was asked to connect to this host and port.
#[track_caller]
pub fn assert_connected(seen: &Observed, host: &str, port: u16) {
    let connected = seen
        .asked
        .iter()
        .any(|asked| asked.kind == "connect" && asked.host == host && asked.port == port);
    assert!(connected, "{host} port {port}: {:#?}", seen.asked);
}
