//! Usage errors, exit statuses, and what a shell evaluates.

use std::process::Command;

use crate::workshop::{Workshop, bare, outcome};

#[test]
fn usage_errors_end_with_status_2_and_a_hint() {
    let workshop = Workshop::new();
    workshop.run::<[&str; 0]>([]).assert_ended(2, &["no command", "--help"]);
    workshop.run(["--nonsense", "true"]).assert_ended(2, &["--nonsense", "--help"]);
    workshop.run(["-Z", "true"]).assert_ended(2, &["-Z", "--help"]);
    workshop.run(["--port"]).assert_ended(2, &["--port", "--help"]);
    workshop.run(["--registry", "x", "true"]).assert_ended(2, &["\"x\"", "slots"]);
    workshop.run(["--shell", "true"]).assert_ended(2, &["--shell", "true"]);
}

#[test]
fn what_is_not_found_is_status_127_and_what_is_no_program_126() {
    let workshop = Workshop::new();
    let name = "epochsocks-no-such-program";
    workshop.run([name]).assert_ended(127, &[name, "not found"]);
    workshop.run(["./nothing"]).assert_ended(127, &["./nothing", "No such file"]);
    workshop.run(["/"]).assert_ended(126, &["/ is not an executable file"]);
    let plain = workshop.file("plain", "x", 0o644);
    workshop.run([plain]).assert_ended(126, &["/plain is not an executable file"]);
}

#[test]
fn two_dashes_end_the_options() {
    let workshop = Workshop::new();
    let outcome = workshop.run(["--", "echo", "--", "-d"]);
    assert_eq!(outcome.stdout, "-- -d\n");
}

#[test]
fn help_and_version_are_printed_without_a_library() {
    let launcher = || bare(env!("CARGO_BIN_EXE_epochsocks").as_ref());
    for (flag, text) in [
        ("--help", "Usage: epochsocks"),
        ("-h", "Usage: epochsocks"),
        ("--version", concat!("epochsocks ", env!("CARGO_PKG_VERSION"))),
        ("--man", ".TH EPOCHSOCKS 1"),
    ] {
        let outcome = outcome(launcher().arg(flag).env("EPOCHSOCKS_LIBRARY", "/nonexistent"));
        assert_eq!((outcome.status, outcome.stderr.as_str()), (Some(0), ""), "{flag}");
        assert!(outcome.stdout.starts_with(text), "{outcome:?}");
    }
}

#[test]
fn bash_completes_flags_their_values_and_commands() {
    let script = r#"
        eval "$("$0" --completions bash)"
        complete_last() {
            COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
            _epochsocks
            echo "${COMPREPLY[*]}"
        }
        complete_last epochsocks --pa
        complete_last epochsocks -d --names ""
        complete_last epochsocks --registry mut
        complete_last epochsocks -P 9150 docto
        complete_last epochsocks -P ""
        complete_last epochsocks curl --pa
    "#;
    let mut shell = Command::new("bash");
    shell.args(["--norc", "-c", script, env!("CARGO_BIN_EXE_epochsocks")]);
    let outcome = outcome(&mut shell);
    let words: Vec<_> = outcome.stdout.lines().collect();
    let [flags, names, registries, doctor, port, of_curl] = words[..] else {
        panic!("{outcome:?}");
    };
    assert_eq!(flags, "--pass --passed-sockets");
    assert_eq!(names, "resolve cookie");
    assert_eq!(registries, "mutex mutex-slots");
    assert!(doctor.split(' ').any(|word| word == "doctor"), "{doctor}");
    assert_eq!((port, of_curl), ("", ""), "nothing is known of either");
}

#[test]
fn a_shell_is_switched_on_and_off_without_a_trace() {
    let workshop = Workshop::new();
    let launcher = workshop.launcher();
    let mut shell = Command::new("sh");
    for (name, value) in launcher.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell.env_remove("EPOCHSOCKS_CONF_FILE").env("IT", env!("CARGO_BIN_EXE_epochsocks"));
    let users = workshop.foreign_library("libusers.so");
    shell.env("LD_PRELOAD", &users).env("XDG_CONFIG_HOME", &workshop.path);
    let script = r#"
        env | sort > before
        eval "$("$IT" -P 9151 on)"
        "$IT" show
        printenv EPOCHSOCKS_TOR_PORT
        eval "$("$IT" off)"
        "$IT" sh
        env | sort > after
        cmp before after
    "#;
    let outcome = outcome(shell.args(["-c", script]).current_dir(&workshop.path));
    let (ours, users) = (workshop.path.join("libepochsocks_preload.so"), users.display());
    let ours = ours.display();
    let expected = format!("LD_PRELOAD=\"{ours}:{users}\"\n9151\nLD_PRELOAD=\"{users}\"\n");
    assert_eq!(outcome.stdout, expected, "{outcome:?}");
    assert_eq!((outcome.status, outcome.stderr.lines().count()), (Some(0), 1), "{outcome:?}");
    assert!(outcome.stderr.contains("runs what can't be protected"), "{outcome:?}");
}

#[test]
fn a_shell_under_the_library_is_told_that_it_can_not_be_switched_off() {
    let workshop = Workshop::new();
    let script = r#"switched=$("$0" off); echo "$? $switched""#;
    let outcome = workshop.run(["sh", "-c", script, env!("CARGO_BIN_EXE_epochsocks")]);
    assert_eq!(outcome.stdout, "125 \n", "{outcome:?}");
    assert!(outcome.stderr.contains("this shell runs under epochsocks itself"), "{outcome:?}");
}
