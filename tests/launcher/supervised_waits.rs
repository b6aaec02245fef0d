//! A connect that waits under a supervisor ends as the kernel's does: tests/probes/supervised_waits.c.

use std::time::Duration;

use crate::support::preload;
use crate::support::process::{finish, probe_as, text};
use crate::support::scripted_proxy::{Action, ScriptedProxy, method, reply};

use Action::{Delay, Echo, Gather, Greeting, Hang, Request};

/// Plays the scene in a static program.
#[track_caller]
fn play(scene: &str, proxy: &ScriptedProxy) {
    let flags = ["-static", "-Wno-error", "-pthread"];
    let program = probe_as("supervised-waits", "supervised_waits", &flags);
    let mut launcher = preload::launcher();
    launcher.args(["--redirect", "--allow-outbound-localhost", "1", "--port"]);
    launcher.arg(proxy.port().to_string()).arg(program).arg(scene);
    let seen = finish(&mut launcher, Duration::from_secs(60));
    assert!(seen.status.success() && seen.stdout == b"done\n", "{scene}: {}", text(&seen));
}

/// Answers when a second connection has come as far.
fn in_pairs() -> ScriptedProxy {
    ScriptedProxy::start(&[Greeting, method(0), Request, Gather(2), reply(0), Echo])
}

fn silent() -> ScriptedProxy {
    ScriptedProxy::start(&[Greeting, method(0), Request, Hang])
}

#[test]
fn a_handler_runs_while_a_connect_waits_which_goes_on_after_it_or_is_eintr() {
    for scene in ["restarted", "interrupted", "interrupted-for-another", "fast-open"] {
        play(scene, &in_pairs());
    }
}

#[test]
fn a_connect_that_signals_interrupt_often_asks_tor_as_if_there_were_none() {
    let late = Delay(Duration::from_millis(500));
    let proxy = ScriptedProxy::start(&[Greeting, method(0), Request, late, reply(0), Echo]);
    play("often", &proxy);
    assert!(proxy.recorded().len() < 10, "{:?}", proxy.recorded());
}

#[test]
fn no_connect_is_lost_in_a_storm_of_signals() {
    let soon = Delay(Duration::from_millis(50));
    let proxy = ScriptedProxy::start(&[Greeting, method(0), Request, soon, reply(0), Echo]);
    play("storm", &proxy);
}

#[test]
fn a_connect_that_waits_is_cancelled_stopped_and_ended_by_its_own_time() {
    for scene in ["cancelled", "stopped", "timed"] {
        play(scene, &silent());
    }
}

#[test]
fn a_connect_past_tor_ends_as_the_kernels() {
    play("direct", &silent());
}
