//! A program that is run gets its arguments and environment, and nothing is left of the launcher.

use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, Stdio};

use crate::sandbox::{Sandbox, outcome};

#[test]
fn the_programs_own_status_comes_back() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.run(["sh", "-c", "exit 7"]).status, Some(7));
    let killed = sandbox.launcher().args(["sh", "-c", "kill -USR1 $$"]).status().unwrap();
    assert_eq!(killed.signal(), Some(libc::SIGUSR1));
}

#[test]
fn no_parent_is_left_behind() {
    let sandbox = Sandbox::new();
    let mut launcher = sandbox.launcher();
    launcher.args(["--no-redirect", "sh", "-c", "echo $$"]).stdout(Stdio::piped());
    let child = launcher.spawn().unwrap();
    let id = child.id();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{id}\n"));
}

#[test]
fn the_program_sees_its_name_and_arguments_as_they_were_typed() {
    let sandbox = Sandbox::new();
    let show = r#"printf '%s|' "$0" "$@""#;
    let outcome = sandbox.run(["sh", "-c", show, "name", "", "-P", "--", "a b", "\n"]);
    assert_eq!(outcome.stdout, "name||-P|--|a b|\n|");
    let by_name = sandbox.run(["cat", "/proc/self/cmdline"]);
    assert_eq!(by_name.stdout, "cat\0/proc/self/cmdline\0");
}

#[test]
fn our_library_is_preloaded_first_and_once_and_the_users_is_kept() {
    let sandbox = Sandbox::new();
    let ours = sandbox.library("libepochsocks_preload.so");
    let users = sandbox.foreign_library("libusers.so");
    let (ours, users) = (ours.display(), users.display());
    for (before, after) in [
        (String::new(), format!("{ours}")),
        (format!("{users}"), format!("{ours}:{users}")),
        (format!("{users} {ours}"), format!("{ours}:{users}")),
        (format!("{ours}:{users}"), format!("{ours}:{users}")),
    ] {
        let mut launcher = sandbox.launcher();
        launcher.args(["printenv", "LD_PRELOAD"]).env("LD_PRELOAD", before);
        assert_eq!(outcome(&mut launcher).stdout, format!("{after}\n"));
    }
    let maps = sandbox.run(["cat", "/proc/self/maps"]).stdout;
    assert!(maps.contains("libepochsocks_preload.so"), "{maps}");
}

#[test]
fn a_launcher_under_a_launcher_changes_nothing() {
    let sandbox = Sandbox::new();
    let launcher = env!("CARGO_BIN_EXE_epochsocks");
    let environment = |words: &[&str]| {
        let output = sandbox.run(words).stdout;
        // Each command without a launch around it begins one, with a backstop.
        let own = ["_EPOCHSOCKS_LAUNCH=", "_EPOCHSOCKS_BACKSTOP="];
        let lines = output.lines().filter(|line| !own.iter().any(|name| line.starts_with(name)));
        let mut lines: Vec<_> = lines.map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let once = environment(&["-P", "9151", "env"]);
    assert_eq!(environment(&["-P", "9151", launcher, "env"]), once);
}

#[test]
fn signals_pass_through_as_they_were() {
    let sandbox = Sandbox::new();
    let signals = |launcher: &mut Command, ignored: bool| {
        // SAFETY: signal(2) is async-signal-safe.
        unsafe {
            launcher.pre_exec(move || {
                libc::signal(libc::SIGPIPE, if ignored { libc::SIG_IGN } else { libc::SIG_DFL });
                Ok(())
            })
        };
        outcome(launcher).stdout
    };
    for ignored in [false, true] {
        let wanted = ["grep", "-E", "^Sig(Ign|Blk|Cgt)", "/proc/self/status"];
        let plain = signals(Command::new(wanted[0]).args(&wanted[1..]), ignored);
        assert_eq!(signals(sandbox.launcher().args(wanted), ignored), plain);
        assert_eq!(plain.lines().count(), 3);
    }
}

#[test]
fn no_descriptor_of_the_launcher_reaches_the_program() {
    let sandbox = Sandbox::new();
    let list = ["sh", "-c", "cd /proc/$$/fd; echo *"];
    for closed in [&[][..], &[0, 2]] {
        let descriptors = |command: &mut Command| {
            // SAFETY: close(2) is async-signal-safe.
            unsafe {
                command.pre_exec(|| {
                    closed.iter().for_each(|&fd| _ = libc::close(fd));
                    Ok(())
                })
            };
            outcome(command).stdout
        };
        let plain = descriptors(Command::new(list[0]).args(&list[1..]));
        assert_eq!(descriptors(sandbox.launcher().args(list)), plain);
        assert_ne!(plain, "");
    }
}

#[test]
fn the_users_shell_is_run_on_request() {
    let sandbox = Sandbox::new();
    let shell = sandbox.script("my shell", "#!/bin/sh");
    let mut launcher = sandbox.launcher();
    outcome(launcher.arg("--shell").env("SHELL", shell)).assert_ran();
    let mut launcher = sandbox.launcher();
    launcher.arg("--shell").env_remove("SHELL").stdin(Stdio::null());
    assert_eq!(outcome(&mut launcher).status, Some(0));
}
