//! Threads that connect, close, duplicate and fork among many handshakes in flight.
//! `EPOCHSOCKS_STRESS=50000 cargo test --release --test nonblocking stress -- --nocapture` is the long
//! form: that many connects in each of the four threads.

use std::time::Duration;

use crate::support::process::{finish, probe, text};
use crate::support::scripted_proxy::{Action, ScriptedProxy, method, reply, reply_bytes};
use crate::support::torify;

use Action::{Delay, Echo, Greeting, Reply, Request};

/// Short, so that handshakes end while others begin.
const SOON: Duration = Duration::from_millis(5);

fn every_connection_is_announced_once_and_works(script: &[Action]) {
    let connects = std::env::var("EPOCHSOCKS_STRESS").unwrap_or_else(|_| "250".to_owned());
    let proxy = ScriptedProxy::start(script);
    let mut command = torify(probe("nonblocking_stress"));
    command.arg(&connects).env("EPOCHSOCKS_TOR_PORT", proxy.port().to_string());
    command.env("EPOCHSOCKS_LOG_LEVEL", "1");
    let limit = Duration::from_secs(60) + Duration::from_millis(20) * connects.parse().unwrap_or(0);
    let output = finish(&mut command, limit);
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(stdout.ends_with("done\n"), "{}", text(&output));
    println!("{}", stdout.lines().next().unwrap_or_default());
}

/// promise: invariant 2
/// promise: invariant 10
#[test]
fn no_event_comes_early_or_is_lost_and_nothing_leaks() {
    let script = [Greeting, method(0), Request, Delay(SOON), reply(0), Echo];
    every_connection_is_announced_once_and_works(&script);
}

/// promise: invariant 2
#[test]
fn answers_that_come_at_once_lose_no_event_either() {
    let both = [vec![5, 0], reply_bytes(0)].concat();
    every_connection_is_announced_once_and_works(&[Greeting, Request, Reply(both), Echo]);
}
