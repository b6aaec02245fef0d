//! Programs that act for others: tests/probes/helper.c.

use std::fs;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::scene::{command, echoing_proxy};
use crate::support::process::{finish, text};

/// An empty directory for a socket.
fn place(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).expect("a directory can be created");
    directory.join("default")
}

/// Counts the log lines which say that a helper runs outside.
fn warnings(scene: &str, socket: &Path) -> usize {
    let mut command = command("helper", scene, &echoing_proxy());
    command.env("HELPER", socket);
    let output = finish(&mut command, Duration::from_secs(30));
    assert!(output.status.success(), "{}", text(&output));
    String::from_utf8_lossy(&output.stderr).matches("runs outside of epochsocks").count()
}

#[test]
fn a_service_that_looks_names_up_is_not_asked() {
    let socket = place("nscd").with_file_name("socket");
    let _listener = UnixListener::bind(&socket).expect("the path is free and short");
    assert_eq!(warnings("lookups", &socket), 0);
}

#[test]
fn a_helper_that_runs_outside_is_named_once() {
    let socket = place("tmux-1");
    let _listener = UnixListener::bind(&socket).expect("the path is free and short");
    assert_eq!(warnings("outside", &socket), 1);
}

#[test]
fn a_helper_that_runs_under_the_library_is_none() {
    assert_eq!(warnings("inside", &place("tmux-2")), 0);
}

#[test]
fn a_helper_that_has_gone_into_the_background_is_looked_at() {
    assert_eq!(warnings("background", &place("tmux-3")), 0);
}

#[test]
fn a_server_that_is_no_helper_is_not_named() {
    let socket = place("other");
    let _listener = UnixListener::bind(&socket).expect("the path is free and short");
    assert_eq!(warnings("outside", &socket), 0);
}
