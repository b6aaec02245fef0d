//! The life of a descriptor, seen from inside a C program: tests/probes/descriptors.c.

use std::time::Duration;

use crate::scene::{command, echoing_proxy, ends, play, play_without_backstop};
use crate::support::scripted_proxy::{Action, ScriptedProxy, method};

/// promise: I
#[test]
fn close_range_forgets_what_it_closes() {
    play("descriptors", "close-range", &echoing_proxy());
}

#[test]
fn closefrom_forgets_what_it_closes() {
    play("descriptors", "closefrom", &echoing_proxy());
}

#[test]
fn fclose_forgets_the_entry() {
    play("descriptors", "fclose", &echoing_proxy());
}

#[test]
fn freopen_forgets_the_entry_even_if_it_fails() {
    play("descriptors", "freopen", &echoing_proxy());
}

#[test]
fn fcntl_duplicates_share_one_connection() {
    let proxy = echoing_proxy();
    play("descriptors", "fcntl", &proxy);
    assert_eq!(proxy.recorded().len(), 6, "three handshakes: {:?}", proxy.recorded());
}

#[test]
fn aliases_take_the_hooks_way() {
    let proxy = echoing_proxy();
    play("descriptors", "aliases", &proxy);
    assert_eq!(proxy.recorded().len(), 2, "one handshake: {:?}", proxy.recorded());
}

#[test]
fn a_socket_that_was_shut_down_keeps_its_destination() {
    play("descriptors", "shutdown", &echoing_proxy());
}

#[test]
fn an_accepted_socket_has_its_real_peer() {
    play("descriptors", "accept", &echoing_proxy());
}

#[test]
fn nobody_comes_in_but_by_local_addresses() {
    play("descriptors", "no-way-in", &echoing_proxy());
}

#[test]
fn everybody_comes_in_where_inbound_is_allowed() {
    let mut command = command("descriptors", "way-in", &echoing_proxy());
    command.env("EPOCHSOCKS_ALLOW_INBOUND", "1");
    ends(command);
}

#[test]
fn file_actions_of_a_spawned_child_change_nothing_of_its_parent() {
    play("descriptors", "spawn", &echoing_proxy());
}

#[test]
fn daemon_forgets_the_standard_descriptors() {
    play("descriptors", "daemon", &echoing_proxy());
}

#[test]
fn a_failed_login_tty_leaves_the_entries() {
    play("descriptors", "login-tty", &echoing_proxy());
}

#[test]
fn forkpty_forgets_the_standard_descriptors_in_the_child() {
    play("descriptors", "forkpty", &echoing_proxy());
}

#[test]
fn the_librarys_own_descriptors_survive_whoever_closes_all() {
    // Late enough for all that the scene does meanwhile; earlier, it would only show less.
    let late = Action::Delay(Duration::from_secs(2));
    let answer = Action::Reply(vec![5, 0, 0, 1, 192, 0, 2, 1, 0, 0]);
    let proxy = ScriptedProxy::start(&[Action::Greeting, method(0), Action::Request, late, answer]);
    play("descriptors", "own", &proxy);
}

/// There the kernel is asked later which socket a number names, and of a copy only beside a close.
#[test]
fn numbers_name_the_same_without_a_backstop() {
    let scenes = ["close-range", "closefrom", "fclose", "freopen", "shutdown", "spawn", "daemon"];
    let of_sockets = ["getpeername", "failed-dup2", "reuse", "socket", "errno", "vfork", "signals"];
    let all = scenes.map(|scene| ("descriptors", scene));
    for (probe, scene) in all.into_iter().chain(of_sockets.map(|scene| ("sockets", scene))) {
        play_without_backstop(probe, scene, &echoing_proxy());
    }
}
