//! Programs under a seccomp filter of their own, seen from inside: tests/probes/filters.c.

use crate::scene::{command, echoing_proxy, ends, play, play_without_backstop};
use crate::support::scripted_proxy::{Action, ScriptedProxy, method};

/// promise: Filters that kill
#[test]
fn hooks_ask_nothing_of_what_can_not_lead_to_the_network() {
    play("filters", "local", &echoing_proxy());
}

/// promise: Filters that kill
#[test]
fn descriptors_are_received_under_the_filter_of_a_sandbox() {
    play("filters", "received", &echoing_proxy());
}

#[test]
fn where_every_descriptor_is_taken_none_is_asked_about() {
    let mut command = command("filters", "allowed", &echoing_proxy());
    command.env("EPOCHSOCKS_PASSED_SOCKETS", "allow");
    ends(command);
}

/// promise: Filters that kill
#[test]
fn a_lookup_makes_no_call_that_the_sandbox_of_a_client_does_not_permit() {
    // An address that a lookup may answer with.
    let found = Action::Reply(vec![5, 0, 0, 1, 198, 51, 100, 7, 0, 0]);
    let proxy = [Action::Greeting, method(0), Action::Request, found, Action::Echo];
    play("filters", "names", &ScriptedProxy::start(&proxy));
}

/// Also if the kernel was not asked for a socket's identity before.
#[test]
fn a_filter_that_refuses_one_question_is_no_obstacle() {
    play("filters", "option", &echoing_proxy());
    play_without_backstop("filters", "option", &echoing_proxy());
}
