//! The self-test: real children under the preload library, against servers inside the launcher.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use super::origin::{Origin, PAGE};
use super::proxy::{ADDRESS, Asked, NAME, ONION, PORT, Proxy};
use super::report::Report;
use crate::locate;
use crate::search::search;

/// Time limit of a child.
const TIME_LIMIT: Duration = Duration::from_secs(40);

/// Time limit of a connection, in seconds.
const HANDSHAKE_TIMEOUT: &str = "10";

/// Servers that the tests run against, and the library that they run with.
struct Bench<'a> {
    origin: Origin,
    proxy: Proxy,
    library: &'a Path,
}

/// Runs the self-test with `library`.
pub fn run(library: &Path, report: &mut Report) {
    let bench = match Bench::start(library) {
        Ok(bench) => bench,
        Err(error) => {
            let text = format!("the servers on loopback can't be started: {error}");
            return report.step("servers", Err::<&str, _>(text));
        }
    };
    report.note("servers", format!("SOCKS5 and HTTP on loopback, proxy {}", bench.proxy.address()));
    probe(&bench, report);
    curl(&bench, report);
    report.step(
        "nothing direct",
        match bench.origin.direct() {
            [0, 0, 0] => Ok("no connection and no datagram came past the proxy"),
            [web, tcp, udp] => Err(format!(
                "{} connections and {udp} datagrams came past the proxy",
                web.saturating_add(tcp)
            )),
        },
    );
}

impl Bench<'_> {
    fn start(library: &Path) -> io::Result<Bench<'_>> {
        let origin = Origin::start()?;
        let proxy = Proxy::start(origin.door())?;
        Ok(Bench { origin, proxy, library })
    }

    /// Runs `program` by the launcher itself, as a user would, with the servers for Tor.
    fn torify(&self, program: &OsStr, arguments: &[OsString]) -> io::Result<Output> {
        let launcher = std::env::current_exe()?;
        let address = self.proxy.address();
        let mut command = Command::new(launcher);
        for name in epochsocks::config::variables() {
            command.env_remove(name);
        }
        command.env("EPOCHSOCKS_CONF_FILE", "none").env(locate::VARIABLE, self.library);
        command.arg("--address").arg(address.ip().to_string());
        command.arg("--port").arg(address.port().to_string());
        // It is the library that is tested: a backstop would stop what the hooks let through.
        command.args(["--handshake-timeout", HANDSHAKE_TIMEOUT, "--no-backstop"]);
        command.arg("--").arg(program).args(arguments).stdin(Stdio::null());
        finish(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?)
    }
}

/// Waits for a child that ends when its output does, and ends it when it takes too long.
fn finish(mut child: Child) -> io::Result<Output> {
    let (stdout, stderr) = (drain(child.stdout.take()), drain(child.stderr.take()));
    let outputs = stdout.recv_timeout(TIME_LIMIT).and_then(|stdout| {
        let stderr = stderr.recv_timeout(TIME_LIMIT)?;
        Ok((stdout, stderr))
    });
    if outputs.is_err() {
        child.kill()?;
    }
    let status = child.wait()?;
    let (stdout, stderr) = outputs.map_err(|_| {
        io::Error::other(format!("it did not end within {} s", TIME_LIMIT.as_secs()))
    })?;
    Ok(Output { status, stdout, stderr })
}

/// Reads a pipe to its end on a thread of its own.
fn drain(pipe: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut bytes);
        }
        sender.send(bytes)
    });
    receiver
}

/// Our own child: one step after another.
fn probe(bench: &Bench<'_>, report: &mut Report) {
    let output = run_probe(bench);
    let output = match output {
        Ok(output) => output,
        Err(error) => return report.step("child", Err::<&str, _>(error)),
    };
    let asked = bench.proxy.take_asked();
    let seen = Seen { lines: String::from_utf8_lossy(&output.stdout).into_owned(), asked };
    report.step("name", seen.name());
    report.step("connection", seen.page("page", &[Asked::connect(ADDRESS), Asked::connect(NAME)]));
    report.step("peer address", seen.peer("peer", &format!("{ADDRESS}:{PORT}")));
    report.step("onion name", seen.onion());
    report.step("onion service", seen.page("onion-page", &[Asked::connect(ONION)]));
    for (step, attempt) in [("direct TCP", "direct-tcp"), ("direct UDP", "direct-udp")] {
        report.step(step, seen.refused(attempt));
    }
    if !report.is_good() {
        let errors = String::from_utf8_lossy(&output.stderr);
        errors.lines().for_each(|line| report.note("child", line));
    }
}

fn run_probe(bench: &Bench<'_>) -> io::Result<Output> {
    let mut arguments = vec![OsString::from("--probe")];
    arguments.extend(bench.origin.traps()?.map(|trap| trap.to_string().into()));
    let output = bench.torify(std::env::current_exe()?.as_os_str(), &arguments)?;
    if output.status.success() {
        return Ok(output);
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("{}: {}", output.status, errors.trim_end())))
}

const NOT_SO_FAR: &str = "the child did not get so far";

/// Observations of child and proxy.
struct Seen {
    lines: String,
    asked: Vec<Asked>,
}

impl Seen {
    /// The child's result of `step`.
    fn result(&self, step: &str) -> Option<&str> {
        let results = self.lines.lines().filter_map(|line| line.split_once(' '));
        results.into_iter().find(|(name, _)| *name == step).map(|(_, result)| result)
    }

    /// The child's result of a step that should succeed.
    fn value(&self, step: &str) -> Result<String, String> {
        match self.result(step) {
            None => Err(NOT_SO_FAR.to_owned()),
            Some(result) => match result.strip_prefix("error: ") {
                Some(error) => Err(error.to_owned()),
                None => Ok(result.to_owned()),
            },
        }
    }

    fn name(&self) -> Result<String, String> {
        let address = self.value("name").map_err(|error| format!("{NAME}: {error}"))?;
        if address != format!("{ADDRESS}:{PORT}") {
            return Err(format!("{NAME} is {address}, which the proxy did not say"));
        }
        match self.asked.contains(&Asked::resolve(NAME)) {
            true => Ok(format!("{NAME} resolved by the proxy")),
            false => Err(format!("{NAME} was not asked of the proxy")),
        }
    }

    fn page(&self, step: &str, requests: &[Asked]) -> Result<String, String> {
        self.value(step)?;
        match requests.iter().any(|request| self.asked.contains(request)) {
            true => Ok("a page fetched through the proxy".to_owned()),
            false => Err("a page fetched, but not through the proxy".to_owned()),
        }
    }

    fn peer(&self, step: &str, expected: &str) -> Result<String, String> {
        let peer = self.value(step)?;
        if peer == expected { Ok(peer) } else { Err(format!("{peer} instead of {expected}")) }
    }

    fn onion(&self) -> Result<String, String> {
        let cookie = self.value("onion")?;
        self.peer("onion-peer", &cookie)?;
        match self.asked.contains(&Asked::resolve(ONION)) {
            true => Err("an onion name was resolved instead of connected to".to_owned()),
            false => Ok(format!("stands as {cookie}, the name itself goes to the proxy")),
        }
    }

    /// An attempt that should have been refused.
    fn refused(&self, step: &str) -> Result<String, String> {
        match self.result(step).map(|result| result.strip_prefix("error: ")) {
            Some(Some(error)) => Ok(format!("refused: {error}")),
            Some(None) => Err("an attempt to go around the proxy was not refused".to_owned()),
            None => Err(NOT_SO_FAR.to_owned()),
        }
    }
}

/// A program that every system has.
fn curl(bench: &Bench<'_>, report: &mut Report) {
    let path = std::env::var_os("PATH");
    let Ok(program) = search(OsStr::new("curl"), path.as_deref()) else {
        return report.note("curl", "not installed, left out");
    };
    let options = ["-q", "--silent", "--show-error", "--max-time", "20", "--noproxy", "*"];
    let url = format!("http://{NAME}/");
    let arguments: Vec<OsString> =
        options.into_iter().chain([url.as_str()]).map(Into::into).collect();
    let output = bench.torify(program.as_os_str(), &arguments);
    let asked = bench.proxy.take_asked();
    report.step(
        "curl",
        output.map_err(|error| error.to_string()).and_then(|output| {
            if !output.status.success() || output.stdout != PAGE.as_bytes() {
                let errors = String::from_utf8_lossy(&output.stderr);
                return Err(format!("{}: {}", output.status, errors.trim_end()));
            }
            let through = [Asked::connect(ADDRESS), Asked::connect(NAME)];
            match through.iter().any(|request| asked.contains(request)) {
                true => Ok(format!("fetched {url} through the proxy")),
                false => Err(format!("fetched {url}, but not through the proxy")),
            }
        }),
    );
}
