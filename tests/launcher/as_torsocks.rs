//! The command torsocks, as scripts use it.

use std::path::PathBuf;
use std::process::Command;

use crate::sandbox::{Sandbox, outcome};

/// A folder for PATH with the script `torsocks` and the launcher.
fn folder(sandbox: &Sandbox) -> PathBuf {
    let script = include_bytes!("../../packaging/torsocks");
    sandbox.file("bin/torsocks", script, 0o755);
    let launcher = sandbox.path.join("bin/epochsocks");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_epochsocks"), launcher).unwrap();
    sandbox.path.join("bin")
}

/// `shell -c SCRIPT` with that folder in front.
fn shell(sandbox: &Sandbox, name: &str) -> Command {
    let launcher = sandbox.launcher();
    let mut command = Command::new(name);
    for (name, value) in launcher.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{}:{path}", folder(sandbox).display()));
    command.arg(if name == "zsh" { "-fc" } else { "-c" });
    command
}

#[test]
fn its_exit_statuses_are_those_of_torsocks() {
    for (script, status) in [
        ("torsocks", 1),
        ("torsocks no-such-command", 1),
        ("torsocks -Z true", 1),
        ("torsocks -P abc true", 1),
        ("torsocks /etc/passwd", 126),
        ("cp /bin/true t; chmod 4755 t; torsocks ./t", 1),
        ("torsocks sh -c 'exit 7'", 7),
        ("torsocks -d -q -6 -a 127.0.0.1 -P 9050 -u u -p p sh -c 'exit 8'", 8),
        ("torsocks on", 1),
        ("torsocks off", 1),
        ("torsocks show", 0),
        ("torsocks --version", 0),
    ] {
        let sandbox = Sandbox::new();
        let mut command = shell(&sandbox, "sh");
        let outcome = outcome(command.arg(script).current_dir(&sandbox.path));
        assert_eq!(outcome.status, Some(status), "{script}: {outcome:?}");
    }
}

#[test]
fn it_switches_the_shell_that_sources_it() {
    for name in ["bash", "zsh"] {
        if !crate::support::skip::missing(&[name]).is_empty() {
            crate::support::skip::skip(&format!("{name} is not installed"));
            continue;
        }
        let sandbox = Sandbox::new();
        let script =
            ". torsocks on; echo $?; . torsocks show; . torsocks off; echo $?; . torsocks sh";
        let outcome = outcome(shell(&sandbox, name).arg(script));
        let library = sandbox.path.join("libepochsocks_preload.so");
        let expected = format!("0\nLD_PRELOAD=\"{}\"\n0\nLD_PRELOAD=\"\"\n", library.display());
        assert_eq!(outcome.stdout, expected, "{name}: {outcome:?}");
        assert!(outcome.stderr.contains("Tor mode is on"), "{outcome:?}");
        assert!(outcome.stderr.contains("Tor mode is off"), "{outcome:?}");
    }
}

/// Dash hands its script's own words to a file that it sources.
#[test]
fn a_shell_that_hands_it_no_word_of_its_own_is_told_and_runs_nothing() {
    for (name, words) in [
        ("dash", &[][..]),
        ("dash", &["name", "echo", "went on"]),
        ("bash", &["name", "echo", "went on"]),
        ("zsh", &["name", "echo", "went on"]),
    ] {
        if !crate::support::skip::missing(&[name]).is_empty() {
            crate::support::skip::skip(&format!("{name} is not installed"));
            continue;
        }
        let sandbox = Sandbox::new();
        let sourced = if name == "dash" { ". torsocks on" } else { ". torsocks echo went on" };
        let script = format!("set -e; {sourced}; echo went on");
        let outcome = outcome(shell(&sandbox, name).arg(script).args(words));
        assert_eq!((outcome.status, outcome.stdout.as_str()), (Some(1), ""), "{name}: {outcome:?}");
        assert!(outcome.stderr.contains("eval \"$(epochsocks on)\""), "{outcome:?}");
    }
}
