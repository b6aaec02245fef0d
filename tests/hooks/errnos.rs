//! Answers of calls that have nothing to do with Tor are the kernel's: tests/probes/errnos.c.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::scene::echoing_proxy;
use crate::support::preload::launcher;
use crate::support::process::{finish, probe, probe_as, text};

const LIMIT: Duration = Duration::from_secs(30);

/// Compares what the program prints with what it prints under the library.
fn answers_as_without_us(program: &Path, settings: &[(&str, &str)], flags: &[&str]) {
    let proxy = echoing_proxy();
    let without_us = finish(&mut Command::new(program), LIMIT);
    let mut command = launcher();
    command.args(flags).arg(program).envs(settings.iter().copied());
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

#[test]
fn a_thousand_odd_calls_answer_as_without_us() {
    // Landlock has an errno of its own for an IPv6 address that is cut short, on an IPv4 socket.
    answers_as_without_us(&probe("errnos"), &[("EPOCHSOCKS_BACKSTOP", "0")], &[]);
}

#[test]
fn a_thousand_odd_calls_of_a_static_program_answer_as_without_us() {
    let program = probe_as("errnos-static", "errnos", &["-static", "-Wno-error"]);
    answers_as_without_us(&program, &[], &["--redirect"]);
}
