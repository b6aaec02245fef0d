//! Hooks called in a signal handler behind every instruction of other hooks: tests/probes/inject.c.

use std::time::Duration;

use crate::scene::{command, echoing_proxy};
use crate::support::preload::{every_preload_library, planted_library, preload_library};
use crate::support::process::{finish, text};

fn long() -> bool {
    std::env::var_os("EPOCHSOCKS_PROOFS").is_some_and(|form| form == "long")
}

/// More than the long form takes.
const LIMIT: Duration = Duration::from_secs(1800);

/// Lets a scene try every boundary, or in the short form every `step`th.
fn interrupts(scene: &str, step: u32) {
    interrupts_as(scene, step, "1");
}

/// As `interrupts`, with a backstop and without: then the hooks know by themselves what was closed meanwhile.
fn interrupts_in_both(scene: &str, step: u32) {
    interrupts_as(scene, step, "1");
    interrupts_as(scene, step, "0");
}

fn interrupts_as(scene: &str, step: u32, backstop: &str) {
    let mut command = command("inject", scene, &echoing_proxy());
    command.env("EPOCHSOCKS_BACKSTOP", backstop);
    if !long() {
        command.env("INJECT_STEP", step.to_string());
    }
    let output = finish(&mut command, LIMIT);
    let seen = text(&output);
    let what = format!("{scene}, backstop {backstop}: {seen}");
    assert!(output.status.success() && seen.contains(" 0 deadlocks, 0 wrong"), "{what}");
    eprintln!("{what}");
}

/// With the registry of the 2013 proposal the same handlers wait for ever: the probe sees it.
#[test]
fn the_mutex_deadlocks_where_the_default_does_not() {
    every_preload_library();
    let mut command = command("inject", "close-close", &echoing_proxy());
    let library = preload_library().with_file_name("libepochsocks_preload-mutex.so");
    command.env("EPOCHSOCKS_LIBRARY", library);
    command.env("INJECT_STEP", "31").env("INJECT_SECONDS", "2");
    let seen = text(&finish(&mut command, LIMIT));
    assert!(seen.contains(" deadlocks, ") && !seen.contains(" 0 deadlocks, "), "{seen}");
}

#[test]
fn getpeername_stands_a_handler_that_reuses_what_it_reads() {
    interrupts("getpeername-reuse", 5);
}

#[test]
#[ignore = "builds a library of its own; run by tests/long"]
fn an_unguarded_read_in_the_library_is_found() {
    let mut command = command("inject", "getpeername-reuse", &echoing_proxy());
    command.env("EPOCHSOCKS_LIBRARY", planted_library());
    let seen = text(&finish(&mut command, LIMIT));
    assert!(seen.contains(" deadlocks, ") && !seen.contains(" 0 wrong"), "{seen}");
    eprintln!("{seen}");
}

/// promise: H
#[test]
fn connect_stands_a_handler_that_closes_its_socket() {
    interrupts_in_both("connect-close", 29);
}

#[test]
fn connect_stands_a_handler_that_closes_another_socket() {
    interrupts("connect-close-other", 29);
}

#[test]
fn connect_stands_a_handler_that_duplicates_its_socket() {
    interrupts_in_both("connect-duplicate", 29);
}

#[test]
fn getpeername_stands_a_handler_that_closes() {
    interrupts("getpeername-close", 5);
}

#[test]
fn getpeername_stands_a_handler_that_replaces() {
    interrupts("getpeername-replace", 5);
}

/// J: also a child whose parent was in the midst of a guard, by fork, `_Fork` or a raw clone.
#[test]
fn getpeername_stands_a_handler_that_makes_a_child() {
    interrupts("getpeername-child", 5);
}

#[test]
fn dup2_stands_a_handler_that_makes_a_child() {
    interrupts("dup2-child", 14);
}

#[test]
fn close_stands_a_handler_that_makes_a_child() {
    // The window between the question for the process id and the use of its answer is two wide.
    interrupts("close-child", 2);
    interrupts("close-resting-child", 2);
}

#[test]
fn dup2_stands_a_handler_that_closes_its_source() {
    interrupts_in_both("dup2-close-source", 5);
}

#[test]
fn dup2_stands_a_handler_that_closes_its_target() {
    interrupts_in_both("dup2-close-target", 5);
}

#[test]
fn dup2_stands_a_handler_that_closes_a_range_with_its_target() {
    interrupts_in_both("dup2-close-range", 3);
}

/// promise: H
#[test]
fn dup2_stands_a_handler_that_replaces_its_target() {
    interrupts_in_both("dup2-replace-target", 5);
}

#[test]
fn dup2_stands_a_handler_that_looks() {
    interrupts_in_both("dup2-look", 5);
}

#[test]
fn dup2_over_a_connection_stands_a_handler_that_closes_it() {
    interrupts_in_both("overwrite-close", 5);
}

/// promise: H
/// promise: close in a signal handler that interrupted the library
#[test]
fn close_stands_a_handler_that_closes_the_same() {
    interrupts("close-close", 5);
}
