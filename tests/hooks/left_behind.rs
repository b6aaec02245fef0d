//! Threads that are cancelled in a hook, or jump out of it, leave nothing behind:
//! tests/probes/left_behind.c.

use crate::scene::{command, ends};
use crate::support::scripted_proxy::{Action, ScriptedProxy};

fn play(scene: &str) {
    let proxy = ScriptedProxy::start(&[Action::Greeting, Action::Hang]);
    let mut command = command("left_behind", scene, &proxy);
    command.env("SETTING", format!("EPOCHSOCKS_TOR_PORT={}", proxy.port()));
    ends(command);
}

#[test]
fn a_lookup_takes_no_number_that_the_program_may_name() {
    play("numbers");
}

#[test]
fn a_thread_is_cancelled_in_a_lookup_and_leaves_no_socket() {
    play("cancelled");
}

#[test]
fn a_jump_out_of_a_lookup_leaves_no_socket() {
    play("jumps");
}

#[test]
fn a_jump_out_of_a_wait_leaves_no_mapping() {
    play("waits");
}

#[test]
fn a_program_started_by_vfork_leaves_no_mapping_in_its_parent() {
    play("programs");
}
