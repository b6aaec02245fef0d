//! A private network of real tor daemons, with a trap for leaked packets.
//!
//! tests/network/owner.py holds it: two network namespaces, started by the first test of a run that
//! needs it and gone when the run is over. In the application's namespace tor listens on
//! 127.0.0.1:9050, and every packet that does not go to it falls into the trap.

pub use super::owner::python;
use super::owner::{self, Facts, Greeting, greeting, permitted};
use super::process::{Running, search_path};
use super::{preload, run, skip};
use serde::Deserialize;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::parent_id;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::time::Duration;

/// Time limit of a program.
const PROGRAM_LIMIT: Duration = Duration::from_secs(30);

/// One thing that tor was asked, in the order of asking.
#[derive(Debug, Deserialize, PartialEq, Eq)]
pub struct Asked {
    /// `connect` or `resolve`.
    pub kind: String,
    /// The destination as it reached tor: a name or an address.
    pub host: String,
    /// The destination's port; without meaning for `resolve`.
    pub port: u16,
    /// The SOCKS user name.
    pub username: Option<String>,
    /// The SOCKS password.
    pub password: Option<String>,
    /// The circuit that the stream was given.
    pub circuit: Option<String>,
}

/// Observations of a program's run.
#[derive(Debug)]
pub struct Observed {
    /// Output and exit status.
    pub output: Output,
    /// A line for each packet that did not go through Tor.
    pub leaks: Vec<String>,
    /// Requests that tor got.
    pub asked: Vec<Asked>,
}

impl Observed {
    /// The program's standard output.
    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.output.stdout).into_owned()
    }

    /// The program's standard error.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }
}

/// The network, up and running.
pub struct Network {
    socket: PathBuf,
    facts: Facts,
    /// Tells the owner that this process still needs the network.
    _presence: UnixStream,
}

#[derive(Deserialize)]
struct Record {
    leaks: Vec<String>,
    asked: Vec<Asked>,
}

impl Network {
    /// The network of this run, or nothing where the machine does not permit one; the test then
    /// has been reported as skipped and is to return.
    pub fn get() -> Option<&'static Network> {
        static NETWORK: OnceLock<Result<Network, String>> = OnceLock::new();
        match NETWORK.get_or_init(Network::join) {
            Ok(network) => Some(network),
            Err(why) => {
                skip::skip(why);
                None
            }
        }
    }

    /// The name of the onion service: HTTP on 80, echo on 7, ssh on 22.
    pub fn onion(&self) -> &str {
        &self.facts.onion
    }

    /// Path by which a program inside finds a file of the network: `certificate.pem`, `user_key`,
    /// `known_hosts`, `files/repository.git`, `client/socks`.
    pub fn path(&self, name: &str) -> PathBuf {
        self.facts.directory.join(name)
    }

    /// Runs `command` in the application's namespace and tells what it did there. Only one
    /// command of the whole run does so at a time: what is seen is this command's doing.
    pub fn run(&self, command: &mut Command) -> Observed {
        let mut records = Conversation::open(&self.socket);
        records.tell("begin");
        let output = Running::start(self.enter(command)).finish(PROGRAM_LIMIT);
        let Record { leaks, asked } = records.ask("end");
        Observed { output, leaks, asked }
    }

    /// As [`Network::run`], but a program that runs longer than `limit` is ended: then the second value is
    /// false. With `lenient` tor takes addresses of names that were looked up before (`SafeSocks 0`).
    pub fn observe(
        &self,
        command: &mut Command,
        limit: Duration,
        lenient: bool,
    ) -> (Observed, bool) {
        let mut records = Conversation::open(&self.socket);
        records.tell(if lenient { "begin lenient" } else { "begin" });
        let (output, ended) = Running::start(self.enter(command)).finish_or_kill(limit);
        let Record { leaks, asked } = records.ask("end");
        (Observed { output, leaks, asked }, ended)
    }

    /// Starts a service of tests/network/services.py in the world, unless it runs.
    ///
    /// # Errors
    ///
    /// The reason why it can't run here.
    pub fn serve(&self, service: &str) -> Result<(), String> {
        #[derive(Deserialize)]
        struct Outcome {
            failed: Option<String>,
        }
        let outcome: Outcome = Conversation::open(&self.socket).ask(&format!("serve {service}"));
        outcome.failed.map_or(Ok(()), Err)
    }

    /// Runs `command` until it has leaked a packet or `limit` has passed, then ends it.
    pub fn run_until_leak(&self, command: &mut Command, limit: Duration) -> Observed {
        let mut records = Conversation::open(&self.socket);
        records.tell("begin");
        let running = Running::start(self.enter(command));
        records.tell(&format!("wait {}", limit.as_secs_f32()));
        let output = running.kill();
        let Record { leaks, asked } = records.ask("end");
        Observed { output, leaks, asked }
    }

    /// Makes `command` run in the application's namespace, and die with the test.
    pub fn enter<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        owner::enter(&self.facts, command)
    }

    fn join() -> Result<Network, String> {
        let flags = permitted(&search_path())?;
        let (directory, _joining) = run::directory();
        let socket = directory.join("socket");
        let mut presence = match UnixStream::connect(&socket) {
            Ok(stream) => stream,
            Err(_) => start(&directory, &flags),
        };
        match greeting(&mut presence) {
            Ok(Greeting::Ready(facts)) => Ok(Network { socket, facts, _presence: presence }),
            Ok(Greeting::Failed(error)) => panic!("{error}\n{}", log(&directory)),
            Err(error) => panic!("the network's owner: {error}\n{}", log(&directory)),
        }
    }
}

/// The process that holds the network of the run in this directory; all others of the network end
/// with it.
pub fn owner(directory: &Path) -> OwnedFd {
    let mut stream = UnixStream::connect(directory.join("socket")).expect("the run has a network");
    match greeting(&mut stream).expect("the network's owner greets") {
        Greeting::Ready(facts) => run::process(facts.pid),
        Greeting::Failed(error) => panic!("{error}\n{}", log(directory)),
    }
}

/// Starts the owner and connects to it; it answers when the network is up.
fn start(directory: &Path, flags: &[&str]) -> UnixStream {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/network/owner.py");
    let runner = run::process(parent_id());
    let (mut command, connection) = owner::command(&program, directory, flags, runner);
    // It outlives this process, which therefore does not wait for it.
    #[allow(clippy::zombie_processes)]
    preload::hermetic(&mut command).env("PATH", search_path()).spawn().expect("unshare can be run");
    connection
}

fn log(directory: &Path) -> String {
    fs::read_to_string(directory.join("log")).unwrap_or_default()
}

/// One connection to the owner: commands and their answers. Hanging up ends the record.
struct Conversation {
    stream: BufReader<UnixStream>,
}

impl Conversation {
    fn open(socket: &Path) -> Conversation {
        let mut stream = UnixStream::connect(socket).expect("the network's owner is there");
        greeting(&mut stream).expect("the network's owner greets");
        stream.set_read_timeout(None).expect("a timeout can be taken off");
        Conversation { stream: BufReader::new(stream) }
    }

    /// A command that is only acknowledged.
    fn tell(&mut self, command: &str) {
        self.ask::<serde::de::IgnoredAny>(command);
    }

    fn ask<A: for<'d> Deserialize<'d>>(&mut self, command: &str) -> A {
        writeln!(self.stream.get_mut(), "{command}").expect("the network's owner listens");
        let mut answer = String::new();
        self.stream.read_line(&mut answer).expect("the network's owner answers");
        serde_json::from_str(&answer)
            .unwrap_or_else(|error| panic!("{command}: {answer:?}: {error}"))
    }
}
