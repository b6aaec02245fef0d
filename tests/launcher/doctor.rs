//! The doctor: what it says of a machine where all is well, and of one where it is not.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use crate::sandbox::{Outcome, Sandbox, outcome};
use crate::support::preload;

/// A server on loopback that hands each connection to `serve`; gives its port.
fn server(serve: impl Fn(TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || listener.incoming().flatten().for_each(serve));
    port.to_string()
}

/// A SOCKS server without authentication that answers every request with `code`.
fn socks(code: u8) -> String {
    server(move |mut stream| {
        let mut asked = [0; 512];
        if stream.read(&mut asked).is_ok() {
            let _ = stream.write_all(&[5, 0, 5, code, 0, 1, 0, 0, 0, 0, 0, 0]);
        }
    })
}

fn unused_port() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string()
}

fn doctor(port: &str) -> Outcome {
    Sandbox::new().run(["--port", port, "doctor"])
}

/// The line of `step`.
fn line<'a>(outcome: &'a Outcome, step: &str) -> &'a str {
    let mut lines = outcome.stdout.lines().filter(|line| line[8..].starts_with(step));
    lines.next().unwrap_or_else(|| panic!("no {step} in {outcome:?}"))
}

#[test]
fn a_port_that_answers_as_tor_does_is_well() {
    // Tor refuses to look the local host's name up with code 4.
    let outcome = doctor(&socks(4));
    assert_eq!((outcome.status, outcome.stderr.as_str()), (Some(0), ""), "{outcome:?}");
    for step in ["library", "configuration", "Tor daemon"] {
        assert!(line(&outcome, step).starts_with("ok "), "{outcome:?}");
    }
    let command = concat!(env!("CARGO_BIN_EXE_epochsocks"), " curl https://");
    assert!(outcome.stdout.contains(command), "{outcome:?}");
}

#[test]
fn what_goes_beside_tor_is_named() {
    let port = socks(4);
    let quiet = doctor(&port);
    assert!(!quiet.stdout.contains("past Tor"), "{quiet:?}");
    let direct = ["--allow-direct", "nas.lan:445", "--allow-outbound-localhost", "1"];
    let open = ["--allow-inbound", "--port", &port, "doctor"];
    let outcome = Sandbox::new().run([direct.as_slice(), &open].concat());
    let lines = outcome.stdout.lines().filter(|line| line.starts_with("note    past Tor"));
    assert_eq!(lines.count(), 3, "{outcome:?}");
    assert!(outcome.stdout.contains("nas.lan:445"), "{outcome:?}");
}

#[track_caller]
fn daemon_failed(port: &str, parts: &[&str]) {
    let outcome = doctor(port);
    assert_eq!(outcome.status, Some(1), "{outcome:?}");
    let line = line(&outcome, "Tor daemon");
    assert!(line.starts_with("FAILED "), "{line}");
    for part in parts {
        assert!(line.contains(part), "no {part:?} in {line}");
    }
}

#[test]
fn without_tor_one_line_says_so() {
    daemon_failed(&unused_port(), &["nothing listens there", "start Tor"]);
}

#[test]
fn a_port_that_is_not_tors_is_told() {
    daemon_failed(&socks(7), &["not Tor"]);
    daemon_failed(&server(drop), &["closed the connection"]);
    let at_once = server(|mut stream| {
        let mut asked = [0; 512];
        let _ = stream.read(&mut asked);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    daemon_failed(&at_once, &["HTTP"]);
    let patient = server(|mut stream| {
        let mut asked = Vec::new();
        let mut byte = [0];
        while !asked.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|count| count > 0) {
            asked.push(byte[0]);
        }
        let _ = stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n");
    });
    daemon_failed(&patient, &["HTTP"]);
}

#[test]
fn a_missing_library_and_a_bad_configuration_are_found_together() {
    let sandbox = Sandbox::new();
    let mut launcher = sandbox.launcher();
    launcher.arg("doctor").env("EPOCHSOCKS_LIBRARY", "/nonexistent/library.so");
    let outcome = outcome(launcher.env("EPOCHSOCKS_TOR_PORT", "x"));
    assert_eq!(outcome.status, Some(1), "{outcome:?}");
    for (step, part) in [("library", "missing"), ("configuration", "EPOCHSOCKS_TOR_PORT: \"x\"")] {
        let line = line(&outcome, step);
        assert!(line.starts_with("FAILED ") && line.contains(part), "{line}");
    }
}

#[test]
fn a_library_that_does_nothing_fails_the_self_test() {
    let outcome = Sandbox::new().run(["--port", &unused_port(), "doctor", "--self-test"]);
    assert_eq!(outcome.status, Some(1), "{outcome:?}");
    for step in ["name", "onion name", "direct TCP", "direct UDP", "nothing direct"] {
        assert!(line(&outcome, step).starts_with("FAILED "), "{outcome:?}");
    }
    assert!(!outcome.stdout.contains("the real thing"), "{outcome:?}");
    // A missing daemon is not a failure of the self-test.
    assert!(line(&outcome, "Tor daemon").starts_with("note "), "{outcome:?}");
}

#[test]
fn the_library_passes_the_self_test_also_in_a_torified_shell() {
    let mut plain = preload::launcher();
    plain.args(["--port", &unused_port(), "doctor", "--self-test"]);
    let mut under_itself = preload::launcher();
    under_itself.args(["--no-backstop", env!("CARGO_BIN_EXE_epochsocks")]);
    under_itself.args(["--port", &unused_port(), "doctor", "--self-test"]);
    for launcher in [&mut plain, &mut under_itself] {
        let outcome = outcome(launcher);
        assert_eq!((outcome.status, outcome.stderr.as_str()), (Some(0), ""), "{outcome:?}");
        for step in ["name", "connection", "peer address", "onion name", "onion service"] {
            assert!(line(&outcome, step).starts_with("ok "), "{outcome:?}");
        }
        assert!(line(&outcome, "nothing direct").starts_with("ok "), "{outcome:?}");
    }
}

/// Its filter refuses the doctor's sockets.
#[test]
fn under_a_backstop_the_doctor_says_where_to_ask_it() {
    let launcher = env!("CARGO_BIN_EXE_epochsocks");
    let outcome = Sandbox::new().run([launcher, "doctor"]);
    outcome.assert_ended(125, &["ask it outside", "--no-backstop"]);
}

#[test]
fn each_layer_of_the_backstop_is_tried() {
    let port = socks(4);
    let outcome = doctor(&port);
    assert!(line(&outcome, "backstop filter").starts_with("ok "), "{outcome:?}");
    assert!(outcome.stdout.contains("backstop ports"), "{outcome:?}");
    let off = Sandbox::new().run(["--no-backstop", "--port", &port, "doctor"]);
    assert!(line(&off, "backstop ").contains("not stopped"), "{off:?}");
}

#[test]
fn settings_without_an_effect_are_told() {
    let sandbox = Sandbox::new();
    let mut launcher = sandbox.launcher();
    launcher.env("EPOCHSOCKS_PORT", "9150").env("EPOCHSOCKS_ISOLATE", "1");
    launcher.env("EPOCHSOCKS_HANDSHAKE_TIMEOUT", "9");
    let direct = "localhost,10.0.0.0/8,no-such-host.example:80,.no-such.example";
    let port = unused_port();
    let outcome = outcome(launcher.args(["--allow-direct", direct, "--port", &port, "doctor"]));
    for name in ["EPOCHSOCKS_PORT", "EPOCHSOCKS_ISOLATE"] {
        let told = format!("{name} is not a setting");
        assert!(outcome.stdout.contains(&told), "{outcome:?}");
    }
    for name in [" no-such-host.example", " .no-such.example"] {
        let told = format!("{name} is not in /etc/hosts");
        assert!(outcome.stdout.contains(&told), "{outcome:?}");
    }
    assert_eq!(outcome.stdout.matches("note    no effect ").count(), 4, "{outcome:?}");
}

#[test]
fn a_name_of_a_program_can_not_control_the_terminal() {
    let sandbox = Sandbox::new();
    let named = "a\x1b[31m\nok \u{85}";
    let program = sandbox.program(named, &[]);
    for name in [program.to_str().unwrap(), named] {
        let outcome = sandbox.run(["--port", &unused_port(), "doctor", name]);
        let is_odd = |character: char| character.is_control() && character != '\n';
        assert!(!outcome.stdout.contains(is_odd), "{outcome:?}");
        assert!(outcome.stdout.contains("a\\u{1b}[31m\\nok "), "{outcome:?}");
    }
    // The notices that a program goes through Tor by a supervisor name it, too.
    let script = sandbox.file("s\x1b[31m", "#!/bin/sh\nexit 0\n", 0o755);
    let outcome = sandbox.run(["--log-level".as_ref(), "4".as_ref(), script.as_os_str()]);
    assert!(!outcome.stderr.contains('\x1b'), "{outcome:?}");
}

/// The findings in JSON: key, outcome and text of each.
fn findings(outcome: &Outcome) -> Vec<[String; 3]> {
    let report: serde_json::Value = serde_json::from_str(&outcome.stdout).expect("one JSON object");
    assert_eq!(report["good"], outcome.status == Some(0), "{outcome:?}");
    let text = |value: &serde_json::Value| value.as_str().expect("a string").to_owned();
    let findings = report["findings"].as_array().expect("a list");
    findings.iter().map(|one| ["key", "outcome", "text"].map(|key| text(&one[key]))).collect()
}

#[test]
fn the_report_in_json_has_the_same_keys_whatever_is_found() {
    let sandbox = Sandbox::new();
    for (port, outcome) in [(socks(4), "ok"), (unused_port(), "failed")] {
        let outcome_of = sandbox.run(["--port", &port, "doctor", "--json"]);
        let found = findings(&outcome_of);
        let keys: Vec<_> = found.iter().map(|[key, ..]| key.as_str()).collect();
        let expected = [
            "library",
            "library_mode",
            "kernel_fork",
            "kernel_sockets",
            "kernel_confine",
            "backstop_filter",
            "backstop_ports",
            "configuration",
            "file",
            "set_torport",
            "tor_daemon",
        ];
        assert!(expected.iter().all(|key| keys.contains(key)), "{keys:?}");
        let daemon = found.iter().find(|[key, ..]| key == "tor_daemon").unwrap();
        assert_eq!(daemon[1], outcome, "{found:?}");
    }
}

#[test]
fn each_setting_is_told_with_where_it_comes_from() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("conf", "LogLevel 4\nTorPort 1\nSOCKS5Username u\n", 0o600);
    let mut launcher = sandbox.launcher();
    launcher.env("EPOCHSOCKS_CONF_FILE", &file).env("TORSOCKS_TOR_ADDRESS", "127.0.0.2");
    launcher.env("EPOCHSOCKS_PASSWORD", "geheim");
    let outcome = outcome(launcher.args(["--port", &unused_port(), "doctor"]));
    for (step, source) in [
        ("file", file.to_str().unwrap()),
        ("set LogLevel", "4, from the file"),
        ("set TorPort", "from --port"),
        ("set TorAddress", "127.0.0.2, from TORSOCKS_TOR_ADDRESS"),
        ("set SOCKS5Password", "from EPOCHSOCKS_PASSWORD"),
    ] {
        assert!(line(&outcome, step).contains(source), "{outcome:?}");
    }
    assert!(!outcome.stdout.contains("geheim"), "{outcome:?}");
}

#[test]
fn programs_are_judged_as_they_would_be_when_run() {
    let sandbox = Sandbox::new();
    let fixed = sandbox.program("fixed", &["-static"]);
    let script = sandbox.script("script", "#!/bin/sh");
    let gpg = sandbox.program("gpg", &[]);
    let mut launcher = sandbox.launcher();
    launcher.args(["--port", &socks(4), "doctor", "--json"]);
    let outcome = outcome(launcher.args([&fixed, &script, &gpg]).arg("no-such-program"));
    assert_eq!(outcome.status, Some(1));
    let found = findings(&outcome);
    let of = |program: &str, outcome: &str, part: &str| {
        let key = format!("program_{}", program.to_lowercase());
        let is_it =
            |one: &&[String; 3]| one[0] == key && one[1] == outcome && one[2].contains(part);
        assert!(found.iter().any(|one| is_it(&one)), "{program} {part}: {found:?}");
    };
    of(fixed.to_str().unwrap(), "ok", "under a supervisor");
    of(script.to_str().unwrap(), "ok", "go through Tor");
    of(gpg.to_str().unwrap(), "note", "dirmngr");
    of("no-such-program", "failed", "not found");
}

#[test]
fn a_program_that_runs_unprotected_is_not_said_to_go_through_tor() {
    let sandbox = Sandbox::new();
    let helper = sandbox.program_with_mode("helper", 0o4755);
    let script = sandbox.script("script", "#!/usr/bin/env helper");
    let list = format!("+{}", helper.display());
    for program in [&helper, &script] {
        let mut launcher = sandbox.launcher();
        launcher.env("PATH", format!("{}:/usr/bin:/bin", sandbox.path.display()));
        launcher.args(["--port", &socks(4), "--unprotected-helpers", &list, "doctor"]);
        let outcome = outcome(launcher.arg(program));
        let step = format!("program {}", program.display());
        let line = line(&outcome, &step);
        assert!(line.starts_with("note ") && line.contains("runs unprotected"), "{outcome:?}");
        assert!(!outcome.stdout.contains("UDP is refused"), "{outcome:?}");
        assert_eq!((outcome.status, outcome.stderr.as_str()), (Some(0), ""), "{outcome:?}");
    }
}

#[test]
fn a_static_program_is_refused_where_no_supervisor_is_wanted() {
    let sandbox = Sandbox::new();
    let fixed = sandbox.program("fixed", &["-static"]);
    let port = socks(4);
    let flags = ["--no-redirect", "--port", &port, "doctor", fixed.to_str().unwrap()];
    let outcome = sandbox.run(flags);
    let line = line(&outcome, &format!("program {}", fixed.display()));
    assert!(line.starts_with("FAILED ") && line.contains("statically linked"), "{outcome:?}");
    assert_eq!(outcome.status, Some(1), "{outcome:?}");
}

#[test]
fn a_library_that_other_users_can_not_read_is_noted() {
    let sandbox = Sandbox::new();
    let library = sandbox.library("libepochsocks_preload.so");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(&library, mode).unwrap();
    let outcome = sandbox.run(["--port", &socks(4), "doctor"]);
    assert_eq!(outcome.status, Some(0), "{outcome:?}");
    assert!(line(&outcome, "library mode").starts_with("note "), "{outcome:?}");
}
