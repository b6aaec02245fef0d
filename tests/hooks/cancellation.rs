//! Threads that are cancelled inside a hook: tests/probes/cancel.c. (POSIX, "Cancellation Points".)

use crate::scene::{echoing_proxy, play};

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
fn a_thread_cancelled_in_close_has_not_closed() {
    play("cancel", "close", &echoing_proxy());
}
