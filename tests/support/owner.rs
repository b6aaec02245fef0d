//! The process that holds a private Tor network, tests/network/owner.py: how it is started and
//! spoken to, and how a program gets inside. The benches include this file, too.

use serde::Deserialize;
use std::ffi::{CString, OsStr};
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Time in which the network must come up.
const START_LIMIT: Duration = Duration::from_secs(90);
const NEEDED: [&str; 9] =
    ["tor", "tor-gencert", "ip", "mount", "unshare", "openssl", "git", "ssh-keygen", "sshd"];

/// A network that is up.
#[derive(Deserialize)]
pub struct Facts {
    /// The owner.
    pub pid: u32,
    /// True if it is in a user namespace, too.
    pub user_namespace: bool,
    /// The name of the onion service.
    pub onion: String,
    /// Directory in which a program inside finds the network's files.
    pub directory: PathBuf,
}

/// First message of the owner to a test that connects.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Greeting {
    /// The network is up.
    Ready(Facts),
    /// It could not be brought up.
    Failed(String),
}

/// The flags with which unshare makes the namespaces here, or why it can't. Programs are looked for
/// in `path`.
pub fn permitted(path: &OsStr) -> Result<Vec<&'static str>, String> {
    let installed =
        |program: &str| std::env::split_paths(path).any(|at| at.join(program).is_file());
    let missing: Vec<_> = NEEDED.into_iter().filter(|program| !installed(program)).collect();
    if !missing.is_empty() {
        return Err(format!("not installed: {}", missing.join(", ")));
    }
    let namespaces = ["--net", "--mount", "--pid", "--fork", "--kill-child"];
    let as_root = ["--user", "--map-root-user"];
    let mut refusal = String::new();
    for user in [&[], as_root.as_slice()] {
        let flags: Vec<_> = user.iter().chain(&namespaces).copied().collect();
        let output = Command::new("unshare")
            .args(&flags)
            .args(["ip", "link", "add", "type", "veth"])
            .env("PATH", path)
            .output();
        match output {
            Ok(output) if output.status.success() => return Ok(flags),
            Ok(output) => refusal = String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            Err(error) => refusal = error.to_string(),
        }
    }
    Err(format!("namespaces are not permitted here: {refusal}"))
}

/// The command that starts the owner by its `program` for the run in `directory`, which ends when
/// the process of the pidfd `runner` does; and a connection to it, on which it greets.
pub fn command(
    program: &Path,
    directory: &Path,
    flags: &[&str],
    runner: OwnedFd,
) -> (Command, UnixStream) {
    let socket = directory.join("socket");
    let _ = fs::remove_file(&socket);
    let listener = UnixListener::bind(&socket).expect("a socket for the network's owner");
    let connection = UnixStream::connect(socket).expect("the owner's socket listens");
    let log = File::create(directory.join("log")).expect("a log for the network's owner");
    let mut owner = Command::new("unshare");
    owner
        .args(flags)
        .args([OsStr::new(python()), program.as_os_str(), directory.as_os_str()])
        .args(flags.contains(&"--user").then_some("--user-namespace"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::from(OwnedFd::from(listener)))
        .stdout(Stdio::from(runner))
        .stderr(log)
        // An interrupt at the terminal is for the runner; the owner sees it go.
        .process_group(0);
    (owner, connection)
}

/// Waits for the owner's greeting.
pub fn greeting(stream: &mut UnixStream) -> std::io::Result<Greeting> {
    stream.set_read_timeout(Some(START_LIMIT))?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    Ok(serde_json::from_str(&line)?)
}

/// Makes `command` run in the application's namespace, and die with its parent.
pub fn enter<'c>(facts: &Facts, command: &'c mut Command) -> &'c mut Command {
    let namespaces: Vec<File> = ["user", "net", "mnt"]
        .into_iter()
        .filter(|kind| facts.user_namespace || *kind != "user")
        .map(|kind| format!("/proc/{}/ns/{kind}", facts.pid))
        .map(|path| File::open(&path).unwrap_or_else(|error| panic!("{path}: {error}")))
        .collect();
    let directory = command.get_current_dir().map(Path::to_owned);
    let directory = directory.unwrap_or_else(|| std::env::current_dir().expect("a directory"));
    let directory = CString::new(directory.as_os_str().as_bytes()).expect("a path has no NUL");
    let enter = move || {
        for namespace in &namespaces {
            // SAFETY: an open descriptor of a namespace.
            checked(unsafe { libc::setns(namespace.as_raw_fd(), 0) })?;
        }
        // Entering a mount namespace leads to its root.
        // SAFETY: a string that lives as long as the closure; then an integer.
        unsafe {
            checked(libc::chdir(directory.as_ptr()))?;
            checked(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL))
        }
    };
    // SAFETY: the closure makes system calls only; all that it uses was made before the fork.
    unsafe { command.pre_exec(enter) }
}

fn checked(result: i32) -> std::io::Result<()> {
    if result == -1 { Err(std::io::Error::last_os_error()) } else { Ok(()) }
}

/// The machine's own Python: one that a version manager put first in PATH may be a script.
pub fn python() -> &'static str {
    if Path::new("/usr/bin/python3").exists() { "/usr/bin/python3" } else { "python3" }
}
