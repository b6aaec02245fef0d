//! getaddrinfo_a and its relatives, seen from inside a C program: tests/probes/asynchronous.c.

use crate::support::preload::launcher;
use crate::support::process::{finish, probe, text};
use crate::support::scripted_proxy::{Action, ScriptedProxy};
use crate::{LIMIT, Tor};

/// Plays `scene` to its end, with `proxy` for Tor.
fn play(scene: &str, proxy: &ScriptedProxy) {
    let mut command = launcher();
    command.env("EPOCHSOCKS_TOR_PORT", proxy.port().to_string());
    let output = finish(command.arg(probe("asynchronous")).arg(scene), LIMIT);
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && stdout.ends_with("done\n"), "{scene}: {}", text(&output));
}

/// A Tor that takes every question and never answers.
fn silent() -> ScriptedProxy {
    ScriptedProxy::start(&[Action::Hang])
}

#[test]
fn an_asynchronous_lookup_does_not_wait_for_tor() {
    play("under-way", &silent());
}

#[test]
fn a_long_list_is_looked_up_by_few_threads() {
    play("bounded", &silent());
}

#[test]
fn asynchronous_lookups_leave_the_programs_signals_and_ids_alone() {
    play("signals", &silent());
}

#[test]
fn without_a_thread_an_asynchronous_lookup_fails_at_once() {
    play("no-threads", &silent());
}

#[test]
fn a_forked_child_does_not_wait_for_its_parents_lookups() {
    play("forked", &silent());
}

#[test]
fn a_thread_can_be_cancelled_in_gai_suspend() {
    play("cancelled", &silent());
}

#[test]
fn a_hundred_names_are_looked_up_in_one_list() {
    for scene in ["long-list", "long-list-that-waits"] {
        let tor = Tor::with_ipv4();
        play(scene, &tor.0);
        assert_eq!(tor.asked().len(), 100, "{scene}");
    }
}

#[test]
fn finished_lookups_are_notified_of_by_signal_and_by_thread() {
    play("notified", &Tor::with_ipv4().0);
}
