//! Usage errors, exit statuses, and what is printed about the command.

use crate::sandbox::{Sandbox, bare, outcome};

#[test]
fn usage_errors_end_with_status_2_and_a_hint() {
    let sandbox = Sandbox::new();
    sandbox.run::<[&str; 0]>([]).assert_ended(2, &["no command", "--help"]);
    sandbox.run(["--nonsense", "true"]).assert_ended(2, &["--nonsense", "--help"]);
    sandbox.run(["-Z", "true"]).assert_ended(2, &["-Z", "--help"]);
    sandbox.run(["--port"]).assert_ended(2, &["--port", "--help"]);
    sandbox.run(["--registry", "x", "true"]).assert_ended(2, &["\"x\"", "slots"]);
    sandbox.run(["--shell", "true"]).assert_ended(2, &["--shell", "true"]);
}

#[test]
fn what_is_not_found_is_status_127_and_what_is_no_program_126() {
    let sandbox = Sandbox::new();
    let name = "epochsocks-no-such-program";
    sandbox.run([name]).assert_ended(127, &[name, "not found"]);
    sandbox.run(["./nothing"]).assert_ended(127, &["./nothing", "No such file"]);
    sandbox.run(["/"]).assert_ended(126, &["/ is not an executable file"]);
    let plain = sandbox.file("plain", "x", 0o644);
    sandbox.run([plain]).assert_ended(126, &["/plain is not an executable file"]);
}

#[test]
fn two_dashes_end_the_options() {
    let sandbox = Sandbox::new();
    let outcome = sandbox.run(["--", "echo", "--", "-d"]);
    assert_eq!(outcome.stdout, "-- -d\n");
}

/// As on a disk that is full.
#[test]
fn output_that_can_not_be_written_is_told_and_is_a_failure() {
    let sandbox = Sandbox::new();
    for line in [
        "--help",
        "--version",
        "--man",
        "--completions bash",
        "--sample-configuration",
        "on",
        "off bash",
        "show",
        "doctor",
        "doctor --json",
        "status --watch --json",
    ] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut launcher = sandbox.launcher();
        launcher.args(line.split(' ')).stdout(full).env("_EPOCHSOCKS_UNDO", "A==+b");
        let output = launcher.stderr(std::process::Stdio::piped()).spawn().unwrap();
        let output = output.wait_with_output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(125), "{line}: {told}");
        let last = told.lines().last().unwrap_or_default();
        let expected = "epochsocks: standard output can't be written: No space left on device";
        assert_eq!(last, expected, "{line}: {told}");
    }
}

#[test]
fn help_and_version_are_printed_without_a_library() {
    let launcher = || bare(env!("CARGO_BIN_EXE_epochsocks").as_ref());
    for (flag, text) in [
        ("--help", "Usage: epochsocks"),
        ("-h", "Usage: epochsocks"),
        ("--version", concat!("epochsocks ", env!("CARGO_PKG_VERSION"))),
        ("help", "Usage: epochsocks"),
        ("--man", ".TH EPOCHSOCKS 1"),
        ("--man 5", ".TH EPOCHSOCKS.CONF 5"),
    ] {
        let words = flag.split(' ');
        let outcome = outcome(launcher().args(words).env("EPOCHSOCKS_LIBRARY", "/nonexistent"));
        assert_eq!((outcome.status, outcome.stderr.as_str()), (Some(0), ""), "{flag}");
        assert!(outcome.stdout.starts_with(text), "{outcome:?}");
    }
}
