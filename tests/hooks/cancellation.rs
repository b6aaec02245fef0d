//! Threads that are cancelled inside a hook: tests/probes/cancel.c. (POSIX, "Cancellation Points".)

use std::time::Duration;

use crate::scene::{echoing_proxy, play};
use crate::support::scripted_proxy::{Action, ScriptedProxy, method, reply};

#[test]
fn a_thread_cancelled_in_accept_leaves_nothing() {
    play("cancel", "accept", &echoing_proxy());
}

#[test]
fn a_thread_cancelled_while_it_receives_leaves_nothing() {
    play("cancel", "receive", &echoing_proxy());
}

#[test]
fn a_thread_cancelled_while_it_sends_leaves_nothing() {
    play("cancel", "send", &echoing_proxy());
}

#[test]
fn a_thread_cancelled_while_it_waits_leaves_nothing() {
    play("cancel", "wait", &echoing_proxy());
}

#[test]
fn a_thread_cancelled_while_a_command_runs_leaves_nothing() {
    play("cancel", "system", &echoing_proxy());
}

#[test]
fn a_thread_cancelled_in_fcntl_leaves_nothing() {
    play("cancel", "fcntl", &echoing_proxy());
}

#[test]
fn a_thread_cancelled_in_connect_has_not_connected() {
    play("cancel", "connect", &echoing_proxy());
}

#[test]
fn a_thread_cancelled_in_close_has_not_closed() {
    play("cancel", "close", &echoing_proxy());
}

#[test]
fn a_thread_cancelled_when_its_wait_is_over_ends() {
    play("cancel", "woken", &late_proxy());
}

#[test]
fn a_cancelled_thread_cleans_up_with_its_own_signal_mask() {
    play("cancel", "mask", &late_proxy());
}

fn late_proxy() -> ScriptedProxy {
    use Action::{Delay, Greeting, Request};
    let late = Delay(Duration::from_secs(2));
    ScriptedProxy::start(&[Greeting, method(0), Request, late, reply(0)])
}
