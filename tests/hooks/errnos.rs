//! Answers of calls that have nothing to do with Tor are the kernel's: tests/probes/errnos.c.

use std::process::Command;
use std::time::Duration;

use crate::scene::echoing_proxy;
use crate::support::process::{finish, probe, text};
use crate::support::torify;

const LIMIT: Duration = Duration::from_secs(30);

#[test]
fn a_thousand_odd_calls_answer_as_without_us() {
    let proxy = echoing_proxy();
    let without_us = finish(&mut Command::new(probe("errnos")), LIMIT);
    let mut command = torify(probe("errnos"));
    // Landlock has an errno of its own for an IPv6 address that is cut short, on an IPv4 socket.
    command.env("EPOCHSOCKS_BACKSTOP", "0");
    command.env("EPOCHSOCKS_TOR_PORT", proxy.port().to_string()).env("EPOCHSOCKS_LOG_LEVEL", "1");
    let under_us = finish(&mut command, LIMIT);
    assert!(without_us.status.success(), "{}", text(&without_us));
    assert!(under_us.status.success(), "{}", text(&under_us));
    let lines = |text: &[u8]| String::from_utf8_lossy(text).lines().map(str::to_owned).collect();
    let (expected, seen): (Vec<_>, Vec<_>) = (lines(&without_us.stdout), lines(&under_us.stdout));
    assert!(expected.len() > 1_000 && expected.len() == seen.len());
    let differ: Vec<_> = expected.iter().zip(&seen).filter(|(one, other)| one != other).collect();
    assert!(differ.is_empty(), "without and with us: {differ:#?}");
    assert_eq!(proxy.recorded(), Vec::<Vec<u8>>::new());
}
