//! Threads, signals, forks and jumps at once, on the real library: tests/probes/storm.c, plain,
//! under valgrind and under AddressSanitizer.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::scene::{command, echoing_proxy};
use crate::support::preload::{every_preload_library, hermetic, preload_library};
use crate::support::process::{finish, text};
use crate::support::skip::{missing, skip};

/// More than the long form takes.
const LIMIT: Duration = Duration::from_secs(3600);

fn long() -> bool {
    std::env::var_os("EPOCHSOCKS_PROOFS").is_some_and(|form| form == "long")
}

fn ends(mut command: Command) {
    let output = finish(&mut command, LIMIT);
    let seen = text(&output);
    assert!(output.status.success() && seen.contains("done\n"), "{command:?}: {seen}");
    eprintln!("{seen}");
}

/// Plays `scene`; in the long form `long_rounds` of it.
fn storm(scene: &str, long_rounds: u64) {
    let mut command = command("storm", scene, &echoing_proxy());
    if long() {
        command.env("STORM_ROUNDS", long_rounds.to_string());
    }
    ends(command);
}

/// promise: H
#[test]
fn threads_and_handlers_see_their_own_connections() {
    storm("signals", 300_000);
}

#[test]
fn children_of_every_kind_of_fork_go_on_amid_threads() {
    storm("forks", 100_000);
}

#[test]
fn children_of_a_handler_that_interrupted_a_guard_go_on() {
    storm("forks-in-handlers", 100_000);
}

/// In the long form ten million sockets.
#[test]
fn memory_stays_flat_however_many_sockets_come_and_go() {
    storm("flat", 10_000_000);
}

#[test]
fn cancelled_lookups_cost_little() {
    storm("cancelled", 30_000);
}

#[cfg(target_arch = "x86_64")]
#[test]
fn lookups_that_handlers_jump_out_of_cost_little() {
    storm("jumps", 3_900);
}

/// Plain epochs are not robust: after a jump out of a guard nothing is freed any more, and the scene
/// sees its memory grow.
#[cfg(target_arch = "x86_64")]
#[test]
fn a_lookup_that_a_handler_jumps_out_of_stops_plain_epochs() {
    every_preload_library();
    let library = preload_library().with_file_name("libepochsocks_preload-slots-epoch.so");
    let mut command = command("storm", "jumps", &echoing_proxy());
    command.env("EPOCHSOCKS_LIBRARY", library);
    let seen = text(&finish(&mut command, LIMIT));
    assert!(seen.contains("not so: after - before"), "{seen}");
}

/// `program` with the settings of a scene of `rounds` rounds, without the launcher.
fn unlaunched(program: &Path, scene: &str, rounds: u32) -> Command {
    let proxy = echoing_proxy();
    let mut command = Command::new(program);
    hermetic(&mut command)
        .env("EPOCHSOCKS_CONF_FILE", "none")
        .env("EPOCHSOCKS_TOR_PORT", proxy.port().to_string())
        .env("STORM_ROUNDS", rounds.to_string());
    if program == Path::new("valgrind") {
        // Linked, not preloaded: valgrind's own programs would load the library, too.
        let library = preload_library();
        let directory = library.parent().expect("it has one").display().to_string();
        let probe =
            built("storm-linked", &[&library.display().to_string(), "-Wl,-rpath", &directory]);
        command.args(["--quiet", "--error-exitcode=99", "--fair-sched=yes"]).arg(probe);
    } else {
        command.env("LD_PRELOAD", preload_library());
    }
    command.arg(scene);
    command
}

#[test]
fn valgrind_sees_no_error_in_a_storm() {
    if !missing(&["valgrind"]).is_empty() {
        return skip("valgrind is not installed");
    }
    let times = if long() { 50 } else { 1 };
    // Valgrind delivers few signals.
    for (scene, rounds) in [("signals", 3000), ("forks", 60)] {
        ends(unlaunched(Path::new("valgrind"), scene, times * rounds));
    }
    // It watches what the library does.
    let seen = text(&finish(&mut unlaunched(Path::new("valgrind"), "overflow", 1), LIMIT));
    let is_seen =
        ["Invalid write", "points to unaddressable byte(s)"].iter().any(|it| seen.contains(it));
    assert!(is_seen && seen.contains("libepochsocks_preload"), "{seen}");
}

#[test]
fn address_sanitizer_sees_no_error_in_a_storm() {
    let program = sanitized();
    let rounds = if long() { 100_000 } else { 1500 };
    for scene in ["signals", "forks", "forks-in-handlers", "cancelled"] {
        let rounds = if scene == "cancelled" { rounds / 10 } else { rounds };
        ends(unlaunched(&program, scene, rounds));
    }
    // It watches what the library is given.
    let seen = text(&finish(&mut unlaunched(&program, "overflow", 1), LIMIT));
    assert!(seen.contains("heap-buffer-overflow"), "{seen}");
}

/// The runtime is linked statically: as a library it would have to be loaded before ours.
fn sanitized() -> PathBuf {
    built("storm-sanitized", &["-fsanitize=address", "-static-libasan"])
}

/// tests/probes/storm.c, built with more options.
fn built(name: &str, options: &[&str]) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/probes/storm.c");
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let output = Command::new("gcc")
        .args(["-std=gnu11", "-g", "-pthread", "-o"])
        .args([&program, &source])
        .args(options)
        .output()
        .expect("gcc is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    program
}
