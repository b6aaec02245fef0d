//! Real event loops, which go on before a proxy that answers after a second; and real programs of
//! many connections, before one that answers none until all of them have asked.

use std::ffi::OsStr;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::support::event_loops;
use crate::support::process::{Running, finish, search_path, text};
use crate::support::scripted_proxy::{Action, ScriptedProxy, method, reply};
use crate::support::{skip, torify};

use Action::{Delay, Gather, Greeting, Hello, Request};

/// Time that the proxy takes for each connection.
const LATE: Duration = Duration::from_secs(1);
const CONNECTS: u32 = 8;
/// A loop that stood still for each connect would tick about as often as there are connects; one
/// that goes on ticks a thousand times, or some hundred where others have the processors.
const TICKS: u32 = 40;

fn slow_proxy() -> ScriptedProxy {
    ScriptedProxy::start(&[Greeting, method(0), Request, Delay(LATE), reply(0), Hello])
}

/// A program that connects to one after the other never ends.
fn proxy_that_waits_for_all() -> ScriptedProxy {
    let script = [Greeting, method(0), Request, Gather(CONNECTS), reply(0), Hello];
    ScriptedProxy::start(&script)
}

fn before(proxy: &ScriptedProxy, program: impl AsRef<OsStr>) -> Command {
    let mut command = torify(program);
    command.env("EPOCHSOCKS_TOR_PORT", proxy.port().to_string()).env("PATH", search_path());
    command
}

/// Runs one of the loops.
fn goes_on(name: &str) {
    let Some(event_loop) = event_loops::find(name) else { return };
    let proxy = slow_proxy();
    let mut command = before(&proxy, &event_loop.program);
    command.args(event_loop.arguments(CONNECTS, "192.0.2.1"));
    let output = finish(&mut command, Duration::from_secs(60));
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut words = stdout.split_whitespace();
    let answered = words.next().and_then(|word| word.parse().ok());
    assert_eq!(answered, Some(CONNECTS), "{}", text(&output));
    let ticks: u32 = words.next().and_then(|word| word.parse().ok()).expect("a number of ticks");
    assert!(ticks >= TICKS, "{name}: the loop stood still: {stdout}");
    println!("{name}: longest gap {} ms", words.next().unwrap_or("?"));
}

/// Tells whether the test can run; if not, it has been reported as skipped.
fn installed(programs: &[&'static str]) -> bool {
    let missing = skip::missing(programs);
    if !missing.is_empty() {
        skip::skip(&format!("not installed: {}", missing.join(", ")));
    }
    missing.is_empty()
}

/// promise: connect on a non-blocking socket
#[test]
fn asyncio_goes_on_while_connects_are_pending() {
    goes_on("asyncio");
}

#[test]
fn uvloop_goes_on_while_connects_are_pending() {
    goes_on("uvloop");
}

#[test]
fn node_goes_on_while_connects_are_pending() {
    goes_on("node");
}

#[test]
fn tokio_goes_on_while_connects_are_pending() {
    goes_on("tokio");
}

#[test]
fn libevent_goes_on_with_each_of_its_methods() {
    goes_on("libevent-epoll");
    goes_on("libevent-poll");
    goes_on("libevent-select");
}

#[test]
fn libuv_goes_on_while_connects_are_pending() {
    goes_on("libuv");
}

#[test]
fn curl_fetches_in_parallel() {
    if !installed(&["curl"]) {
        return;
    }
    let proxy = proxy_that_waits_for_all();
    let mut curl = before(&proxy, "curl");
    curl.args(["--silent", "--no-progress-meter", "--parallel", "http://192.0.2.[1-8]/"]);
    let output = finish(&mut curl, Duration::from_secs(30));
    let answers = String::from_utf8_lossy(&output.stdout).matches("hello").count();
    assert_eq!(answers, 8, "{}", text(&output));
}

#[test]
fn aria2_fetches_in_parallel() {
    if !installed(&["aria2c"]) {
        return;
    }
    let proxy = proxy_that_waits_for_all();
    let folder =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("aria2.{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder for the files");
    let list: String = (1..=8).map(|n| format!("http://192.0.2.{n}/\n\tout=file{n}\n")).collect();
    std::fs::write(folder.join("list"), list).expect("a list of what to fetch");
    let mut aria2 = before(&proxy, "aria2c");
    aria2.args([
        "--quiet",
        "--no-conf",
        "--async-dns=false",
        "--max-concurrent-downloads=8",
        "-i",
        "list",
    ]);
    let output = finish(aria2.current_dir(&folder), Duration::from_secs(30));
    for n in 1..=8 {
        let file = std::fs::read_to_string(folder.join(format!("file{n}")));
        assert_eq!(file.unwrap_or_default(), "hello\n", "{}", text(&output));
    }
    std::fs::remove_dir_all(&folder).expect("the folder is ours");
}

#[test]
fn nginx_passes_requests_on_in_parallel() {
    if !installed(&["nginx", "curl"]) {
        return;
    }
    let proxy = proxy_that_waits_for_all();
    let folder =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("nginx.{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder for nginx");
    let port = free_port();
    let configuration = event_loops::nginx_configuration(port, "proxy_pass http://192.0.2.1:80;");
    std::fs::write(folder.join("nginx.conf"), configuration).expect("a configuration");
    let mut nginx = before(&proxy, "nginx");
    nginx.arg("-p").arg(&folder).args(["-c", "nginx.conf", "-e", "error.log"]);
    let nginx = Running::start(&mut nginx);
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--no-progress-meter", "--parallel", "--parallel-immediate"])
        .args(["--retry", "20", "--retry-connrefused", "--retry-delay", "1", "--noproxy", "*"])
        .arg(format!("http://127.0.0.1:{port}/[1-8]"));
    let output = finish(&mut curl, Duration::from_secs(40));
    let log = nginx.kill();
    let answers = String::from_utf8_lossy(&output.stdout).matches("hello").count();
    let errors = std::fs::read_to_string(folder.join("error.log")).unwrap_or_default();
    assert_eq!(answers, 8, "{}{}{errors}", text(&output), text(&log));
    std::fs::remove_dir_all(&folder).expect("the folder is ours");
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has ports");
    listener.local_addr().expect("a listener has an address").port()
}
