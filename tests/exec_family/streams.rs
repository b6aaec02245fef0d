//! system and popen, whose shells are children of our own, behave as libc's.

use std::time::Duration;

use super::Sandbox;
use super::support::process::{finish, probe, text};
use super::support::torify;

fn play(scene: &str) {
    let sandbox = Sandbox::new(&format!("streams-{scene}"));
    let mut command = torify(probe("shells"));
    let output = finish(command.arg(scene).current_dir(&sandbox.0), Duration::from_secs(60));
    let seen = text(&output);
    assert!(output.status.success() && seen.contains("done\n"), "{}: {seen}", output.status);
}

#[test]
fn system_answers_the_status_of_its_shell() {
    play("status");
}

#[test]
fn system_ignores_the_keyboard_and_restores_what_was_before() {
    play("signals");
}

#[test]
fn a_cancelled_system_ends_its_shell() {
    play("cancelled");
}

#[test]
fn a_stream_of_popen_ends_with_its_shell() {
    play("popen");
}

#[test]
fn the_shell_of_popen_does_not_get_earlier_streams() {
    play("earlier");
}

#[test]
fn the_environment_of_the_caller_stays_as_it_is() {
    play("environment");
}
