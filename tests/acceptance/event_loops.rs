//! Event loops connect without waiting. Each is first caught without the library.

use crate::subject::{Subject, assert_asked_by_name, empty_directory, network_with};
use crate::support::event_loops;
use crate::support::preload::{hermetic, launcher};
use crate::support::{Asked, Observed};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const GREETING: &str = "hello from the world\n";
const CONNECTS: u32 = 8;
/// The world's web server.
const HOST: &str = "198.51.100.1";

fn streams(seen: &Observed) -> usize {
    let to_host =
        |asked: &&Asked| asked.kind == "connect" && asked.host == HOST && asked.port == 80;
    seen.asked.iter().filter(to_host).count()
}

/// Lets one of the loops ask eight times at once.
fn asks_at_once(name: &str) {
    let Some(network) = network_with(&[]) else { return };
    let Some(event_loop) = event_loops::find(name) else { return };
    let arguments = event_loop.arguments(CONNECTS, HOST);
    let seen =
        Subject::new(&event_loop.program).args(arguments).succeed_where_it_would_leak(network);
    let answered = seen.stdout().split_whitespace().next().map(str::to_owned);
    assert_eq!(answered, Some(CONNECTS.to_string()), "{seen:#?}\n{}", seen.stderr());
    assert_eq!(streams(&seen), CONNECTS as usize, "{:#?}", seen.asked);
}

#[test]
fn asyncio_asks_eight_times_at_once() {
    asks_at_once("asyncio");
}

#[test]
fn uvloop_asks_eight_times_at_once() {
    asks_at_once("uvloop");
}

#[test]
fn node_asks_eight_times_at_once() {
    asks_at_once("node");
}

#[test]
fn tokio_asks_eight_times_at_once() {
    asks_at_once("tokio");
}

#[test]
fn libevent_asks_eight_times_at_once_by_epoll() {
    asks_at_once("libevent-epoll");
}

#[test]
fn libevent_asks_eight_times_at_once_by_poll() {
    asks_at_once("libevent-poll");
}

#[test]
fn libevent_asks_eight_times_at_once_by_select() {
    asks_at_once("libevent-select");
}

#[test]
fn libuv_asks_eight_times_at_once() {
    asks_at_once("libuv");
}

#[test]
fn curl_fetches_from_eight_names_in_parallel() {
    let Some(network) = network_with(&["curl"]) else { return };
    let curl = Subject::new("curl").args(["-sS", "--parallel", "--parallel-immediate"]);
    let curl = curl.args(["--no-progress-meter", "http://n[1-8].wild.test/"]);
    let seen = curl.succeed_where_it_would_leak(network);
    assert_eq!(seen.stdout(), GREETING.repeat(8));
    for number in 1..=8 {
        assert_asked_by_name(&seen, &format!("n{number}.wild.test"), 80);
    }
    assert_eq!(seen.asked.iter().filter(|asked| asked.kind == "connect").count(), 8);
}

#[test]
fn aria2_fetches_eight_files_in_parallel() {
    let Some(network) = network_with(&["aria2c"]) else { return };
    let folder = empty_directory("aria2-through-tor");
    let list: String = (1..=8)
        .map(|number| format!("http://n{number}.wild.test/\n\tout=file{number}\n"))
        .collect();
    fs::write(folder.join("list"), list).expect("the folder is ours");
    let aria2 = Subject::new("aria2c")
        .args(["--quiet", "--no-conf", "--async-dns=false", "--max-concurrent-downloads=8", "-d"])
        .arg(&folder)
        .arg("-i")
        .arg(folder.join("list"));
    let seen = aria2.succeed_where_it_would_leak(network);
    for number in 1..=8 {
        let file = fs::read_to_string(folder.join(format!("file{number}")));
        assert_eq!(file.unwrap_or_default(), GREETING, "{seen:#?}");
        assert_asked_by_name(&seen, &format!("n{number}.wild.test"), 80);
    }
}

/// Only nginx goes through Tor; curl asks it from the same machine.
#[test]
fn nginx_passes_eight_requests_at_once_on() {
    let Some(network) = network_with(&["nginx", "curl", "bash"]) else { return };
    let folder = empty_directory("nginx-through-tor");
    let forwarding = format!("rewrite ^ / break; proxy_pass http://{HOST}:80;");
    let configuration = event_loops::nginx_configuration(PORT, &forwarding);
    fs::write(folder.join("nginx.conf"), configuration).expect("the folder is ours");
    let mut bare = Command::new("bash");
    let leaks = network.run_until_leak(
        serve_and_ask(hermetic(&mut bare), &folder, &["nginx".as_ref()]),
        Duration::from_secs(20),
    );
    assert!(!leaks.leaks.is_empty(), "the trap misses nginx: {leaks:#?}");
    let torified = launcher();
    let mut command = Command::new("bash");
    command.envs(torified.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let words = [torified.get_program(), "nginx".as_ref()];
    let seen = network.run(serve_and_ask(&mut command, &folder, &words));
    assert_eq!(seen.leaks, [""; 0], "{seen:#?}");
    let errors = fs::read_to_string(folder.join("error.log")).unwrap_or_default();
    assert_eq!(seen.stdout(), GREETING.repeat(8), "{seen:#?}\n{errors}");
    assert_eq!(streams(&seen), 8, "{:#?}", seen.asked);
}

/// A port of the network's own loopback.
const PORT: u16 = 8080;

fn serve_and_ask<'c>(
    command: &'c mut Command,
    folder: &Path,
    nginx: &[&std::ffi::OsStr],
) -> &'c mut Command {
    let script = r#"folder=$1 port=$2
        shift 2
        "$@" -p "$folder" -c nginx.conf -e error.log &
        nginx=$!
        until (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do sleep 0.05; done
        curl -sS --no-progress-meter --parallel --parallel-immediate --noproxy '*' \
            "http://127.0.0.1:$port/[1-8]"
        kill "$nginx"
        wait"#;
    command.args(["-c", script, "bash"]).arg(folder).arg(PORT.to_string()).args(nginx);
    command.env("PATH", crate::support::process::search_path())
}
