//! The settings that reach the program, and a configuration that ends the launcher.

use crate::sandbox::{Outcome, Sandbox, bare, outcome};

/// The program's `EPOCHSOCKS_*` variables, sorted, without the library's.
fn variables(outcome: &Outcome) -> Vec<&str> {
    assert_eq!((outcome.status, outcome.stderr.as_str()), (Some(0), ""), "{outcome:?}");
    let ours =
        |line: &&str| line.starts_with("EPOCHSOCKS_") && !line.starts_with("EPOCHSOCKS_LIBRARY=");
    let mut lines: Vec<_> = outcome.stdout.lines().filter(ours).collect();
    lines.sort();
    lines
}

const NO_FILE: &str = "EPOCHSOCKS_CONF_FILE=none";

#[test]
fn the_program_gets_what_differs_from_the_defaults() {
    let sandbox = Sandbox::new();
    assert_eq!(variables(&sandbox.run(["env"])), [NO_FILE]);
    assert_eq!(
        variables(&sandbox.run(["-d", "-i", "-a", "10.0.0.1", "-P", "9150", "env"])),
        [
            NO_FILE,
            "EPOCHSOCKS_ISOLATE_PID=1",
            "EPOCHSOCKS_LOG_LEVEL=5",
            "EPOCHSOCKS_TOR_ADDRESS=10.0.0.1",
            "EPOCHSOCKS_TOR_PORT=9150"
        ]
    );
    assert_eq!(
        variables(&sandbox.run(["-q", "-u", "me", "-p", "secret", "env"])),
        [NO_FILE, "EPOCHSOCKS_LOG_LEVEL=1", "EPOCHSOCKS_PASSWORD=secret", "EPOCHSOCKS_USERNAME=me"]
    );
}

#[test]
fn flags_win_over_our_variables_these_over_torsocks_and_these_over_the_file() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("conf", "TorPort 1\nTorAddress 10.0.0.1\nLogLevel 4\n", 0o644);
    let mut launcher = sandbox.launcher();
    launcher.env("EPOCHSOCKS_CONF_FILE", file).env("TORSOCKS_TOR_PORT", "2");
    launcher.env("EPOCHSOCKS_TOR_PORT", "3").env("TORSOCKS_TOR_ADDRESS", "10.0.0.2");
    // The flag says the default, and must win all the same.
    let outcome = outcome(launcher.args(["-P", "9050", "env"]));
    let address = "EPOCHSOCKS_TOR_ADDRESS=10.0.0.2";
    let level = "EPOCHSOCKS_LOG_LEVEL=4";
    assert_eq!(variables(&outcome), [NO_FILE, level, address, "EPOCHSOCKS_TOR_PORT=9050"]);
}

#[test]
fn a_bad_configuration_ends_the_launcher() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("conf", "# a comment\nTorPort 70000\n", 0o644);
    let place = format!("{}:2: TorPort: \"70000\" is not a port", file.display());
    let with = |name: &str, value: &str| {
        outcome(sandbox.launcher().args(["echo", "ran"]).env(name, value))
    };
    let path = file.to_str().unwrap();
    with("EPOCHSOCKS_CONF_FILE", path).assert_ended(125, &[&place]);
    with("EPOCHSOCKS_CONF_FILE", "/nonexistent").assert_ended(125, &["/nonexistent: "]);
    with("EPOCHSOCKS_CONF_FILE", "").assert_ended(125, &["\"\": ", "EPOCHSOCKS_CONF_FILE"]);
    with("TORSOCKS_TOR_ADDRESS", "t:r").assert_ended(125, &["TORSOCKS_TOR_ADDRESS: \"t:r\""]);
    sandbox.run(["-u", "me", "true"]).assert_ended(125, &["SOCKS5Password"]);
    let isolated_twice = sandbox.run(["-i", "-u", "me", "-p", "x", "true"]);
    isolated_twice.assert_ended(125, &["IsolatePID"]);
}

#[test]
fn a_bad_value_of_a_flag_is_a_wrong_command_line() {
    let sandbox = Sandbox::new();
    sandbox.run(["-P", "0", "true"]).assert_ended(2, &["--port: \"0\" is not a port"]);
    sandbox.run(["-a", "tor:9050", "true"]).assert_ended(2, &["--address: \"tor:9050\""]);
    sandbox.run(["--pass=", "true"]).assert_ended(2, &["--pass: the value is not"]);
    sandbox.run(["--isolate=", "true"]).assert_ended(2, &["--isolate: \"\" is not"]);
}

#[test]
fn an_unknown_directive_is_an_error_in_our_file_and_a_warning_in_torsocks() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("conf", "NoSuchThing 1\n", 0o644);
    let run = |flags: &[&str]| {
        let mut launcher = sandbox.launcher();
        launcher.args(flags).arg("true").env_remove("EPOCHSOCKS_CONF_FILE");
        outcome(launcher.env("TORSOCKS_CONF_FILE", &file))
    };
    let mut ours = sandbox.launcher();
    let ours = outcome(ours.arg("true").env("EPOCHSOCKS_CONF_FILE", &file));
    ours.assert_ended(125, &["conf:1: \"NoSuchThing\" is not a directive"]);
    let warned = run(&[]);
    assert!(warned.stderr.contains("conf:1: \"NoSuchThing\""), "{warned:?}");
    assert_eq!((warned.status, run(&["-q"]).stderr.as_str()), (Some(0), ""));
}

#[test]
fn the_users_own_file_is_found() {
    let sandbox = Sandbox::new();
    sandbox.file("epochsocks/epochsocks.conf", "TorPort 9151\n", 0o644);
    let mut launcher = bare(env!("CARGO_BIN_EXE_epochsocks").as_ref());
    let library = sandbox.library("libepochsocks_preload.so");
    launcher.env("EPOCHSOCKS_LIBRARY", library).env_remove("EPOCHSOCKS_CONF_FILE");
    let outcome = outcome(launcher.arg("env").env("XDG_CONFIG_HOME", &sandbox.path));
    assert_eq!(variables(&outcome), [NO_FILE, "EPOCHSOCKS_TOR_PORT=9151"]);
}

#[test]
fn the_log_file_is_the_same_one_wherever_the_program_goes() {
    let sandbox = Sandbox::new();
    let variable = format!("EPOCHSOCKS_LOG_FILE_PATH={}/own.log", sandbox.path.display());
    for name in ["EPOCHSOCKS_LOG_FILE_PATH", "TORSOCKS_LOG_FILE_PATH"] {
        let mut launcher = sandbox.launcher();
        launcher.args(["env", "--chdir=/", "env"]).env(name, "own.log");
        let outcome = outcome(launcher.current_dir(&sandbox.path));
        assert_eq!(variables(&outcome), [NO_FILE, &variable]);
    }
}

#[test]
fn a_log_file_that_can_not_be_written_ends_the_launcher() {
    let sandbox = Sandbox::new();
    for file in ["/nonexistent/log", "/", ".//"] {
        let outcome = sandbox.run(["--log-file", file, "echo", "ran"]);
        outcome.assert_ended(125, &["the log file ", file, "can't be written"]);
    }
}

#[test]
fn the_name_of_tors_host_is_looked_up_by_the_launcher() {
    let outcome = Sandbox::new().run(["-a", "localhost", "-P", "9150", "env"]);
    assert_eq!(outcome.status, Some(0), "{outcome:?}");
    // An address that is the default is not handed on.
    assert!(!outcome.stdout.contains("EPOCHSOCKS_TOR_ADDRESS"), "{outcome:?}");
    let outcome = Sandbox::new().run(["-a", "no-such-host.invalid", "env"]);
    assert_eq!(outcome.status, Some(125), "{outcome:?}");
    assert!(outcome.stderr.contains("TorAddress no-such-host.invalid"), "{outcome:?}");
}

#[test]
fn a_socket_file_is_refused_with_what_helps() {
    let outcome = Sandbox::new().run(["-P", "unix:/run/tor/socks", "env"]);
    assert_eq!(outcome.status, Some(2), "{outcome:?}");
    assert!(outcome.stderr.contains("UNIX-CONNECT"), "{outcome:?}");
}
