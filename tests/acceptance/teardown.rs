//! Nothing is left of the network after a run.

use crate::subject::network_with;
use crate::support::{network, run};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Runs one of the tests with the network, says so, and waits to be killed.
const RUNNER: &str =
    r#""$0" --exact traps::the_trap_catches_a_query_of_libc; echo over; read -r _"#;

#[test]
fn nothing_is_left_when_the_runner_has_been_killed() {
    let Some(_) = network_with(&["sh"]) else { return };
    let mut runner = Command::new("sh")
        .args(["-c", RUNNER])
        .arg(std::env::current_exe().expect("a test knows its program"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("sh can be run");
    let output = BufReader::new(runner.stdout.take().expect("the output is a pipe"));
    let ended = output.lines().map_while(Result::ok).any(|line| line == "over");
    assert!(ended, "the inner run ended early");
    let directory = run::directory_of(runner.id());
    let owner = network::owner(&directory);
    runner.kill().expect("the runner is there");
    assert!(run::ends(&owner, Duration::from_secs(20)), "the network outlives its run");
    assert!(!directory.exists(), "{} is left", directory.display());
    runner.wait().expect("the runner is ours");
}
