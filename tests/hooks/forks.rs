//! Children of every kind, made amid threads: tests/probes/forks.c. Those that are made in a handler
//! behind each instruction of a lookup are in `injection`.

use crate::scene::{command, echoing_proxy, play, play_without_backstop};
use crate::support::preload::{every_preload_library, preload_library};
use crate::support::process::{finish, text};
use std::time::Duration;

/// promise: J
#[test]
fn a_forked_child_works_at_once() {
    play("forks", "fork", &echoing_proxy());
}

/// promise: J
#[test]
fn a_child_without_fork_handlers_works_at_once() {
    play("forks", "_Fork", &echoing_proxy());
}

/// promise: J
#[test]
fn a_child_of_a_raw_clone_works_at_once() {
    play("forks", "clone", &echoing_proxy());
}

/// The twin: with the 2013 proposal some child waits for a lock that a thread held.
#[test]
fn a_child_waits_for_ever_with_the_mutex() {
    every_preload_library();
    let mut command = command("forks", "clone", &echoing_proxy());
    let library = preload_library().with_file_name("libepochsocks_preload-mutex.so");
    command
        .env("EPOCHSOCKS_LIBRARY", library)
        .env("FORKS_SECONDS", "2")
        .env("FORKS_ROUNDS", "1000");
    let seen = text(&finish(&mut command, Duration::from_secs(60)));
    assert!(seen.contains("not so: status == 0"), "{seen}");
}

/// promise: J
#[test]
fn a_vfork_child_that_closes_copies_and_connects_changes_nothing() {
    play("forks", "vfork", &echoing_proxy());
}

#[test]
fn a_vfork_child_with_the_number_of_its_parents_socket_leaves_its_record() {
    play("forks", "vfork-number", &echoing_proxy());
    play_without_backstop("forks", "vfork-number", &echoing_proxy());
}

#[test]
fn a_child_that_shares_the_memory_changes_nothing() {
    play("forks", "clone-vm", &echoing_proxy());
}

#[test]
fn a_child_that_shares_the_memory_and_suspends_its_parent_changes_nothing() {
    play("forks", "clone-vfork", &echoing_proxy());
}

#[test]
fn a_vfork_child_by_a_handle_of_libc_changes_nothing() {
    play("forks", "handle", &echoing_proxy());
}

#[test]
fn a_vfork_child_by_a_system_call_changes_nothing() {
    play("forks", "syscall", &echoing_proxy());
}

/// The program's own function makes the system call, and the registry learns of no child.
#[test]
fn a_child_of_the_programs_own_vfork_changes_nothing() {
    for scene in ["vfork", "first-vfork", "copies-with-vfork"] {
        play("own_vfork", scene, &echoing_proxy());
    }
}

#[test]
fn a_vfork_child_is_not_the_first_to_change_anything() {
    play("forks", "first-vfork", &echoing_proxy());
}

#[test]
fn a_child_that_shares_the_memory_is_not_the_first_to_change_anything() {
    play("forks", "first-clone-vm", &echoing_proxy());
}

#[test]
fn a_forked_child_may_be_the_first_to_change_its_copy() {
    play("forks", "first-copies", &echoing_proxy());
}

#[test]
fn a_vfork_child_changes_nothing_of_a_forked_child_that_has_changed_nothing() {
    play("forks", "copies-with-vfork", &echoing_proxy());
}

#[test]
fn a_forked_child_may_have_threads_before_it_changes_anything() {
    play("forks", "first-threads", &echoing_proxy());
}

#[test]
fn a_forked_child_shares_no_memory_with_its_parent() {
    play("forks", "memory", &echoing_proxy());
}

/// promise: Children that share the memory
#[test]
fn a_child_that_is_not_noticed_makes_its_parent_forget_and_nothing_go_past_tor() {
    play("forks", "unnoticed", &echoing_proxy());
}
