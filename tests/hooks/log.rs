//! Ways of the library's lines.

use std::fs::{self, File};
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::scene::{command, echoing_proxy};
use crate::support::preload::launcher;
use crate::support::process::{finish, text};
use crate::support::skip::skip;

const LIMIT: Duration = Duration::from_secs(60);

/// Returns what arrives at `peer` of a program whose standard error is `standard_error`, and which
/// is refused something.
fn lines(standard_error: impl Into<OwnedFd>, mut peer: impl Read) -> String {
    let mut command = command("sockets", "inbound", &echoing_proxy());
    let status = command.stderr(standard_error.into()).stdout(Stdio::null()).status();
    assert!(status.is_ok_and(|status| status.success()));
    // Its end of the connection is closed.
    drop(command);
    let mut seen = String::new();
    peer.read_to_string(&mut seen).expect("lines are text");
    seen
}

/// promise: The log
#[test]
fn no_line_goes_to_the_peer_of_a_network_standard_error() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has ports");
    let address = listener.local_addr().expect("a listener has an address");
    let client = TcpStream::connect(address).expect("it listens");
    let (server, _) = listener.accept().expect("a client has connected");
    assert_eq!(lines(server, client), "");
    let (ours, its) = UnixStream::pair().expect("a pair of sockets");
    assert!(lines(its, ours).contains("warning: "));
}

/// Python under the library with this script, and with `flags` before it.
fn python(flags: &[&str], script: &str) -> Command {
    let mut command = launcher();
    command.args(flags).args(["python3", "-c", script]);
    command
}

/// A libcurl that is told Tor's port connects so.
#[test]
fn a_program_that_connects_to_tors_port_itself_is_told_that_nothing_listens_there() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has ports");
    let port = listener.local_addr().expect("a listener has an address").port();
    let connect = |waits: &str| {
        let script = format!(
            "import socket\ns = socket.socket()\ns.setblocking({waits})\n\
             print(s.connect_ex(('127.0.0.1', {port})))"
        );
        let output = finish(&mut python(&["--port", &port.to_string()], &script), LIMIT);
        let stderr = String::from_utf8(output.stderr).expect("lines are text");
        (String::from_utf8(output.stdout).expect("a number"), stderr)
    };
    assert_eq!(connect("True"), ("0\n".to_owned(), String::new()));
    assert_eq!(connect("False"), (format!("{}\n", libc::EINPROGRESS), String::new()));
    drop(listener);
    for (waits, errno) in [("True", libc::ECONNREFUSED), ("False", libc::EINPROGRESS)] {
        let (result, told) = connect(waits);
        assert_eq!(result, format!("{errno}\n"), "{told}");
        let expected = format!("can't reach the Tor port 127.0.0.1:{port}: nothing listens there");
        assert_eq!((told.lines().count(), told.contains(&expected)), (1, true), "{told}");
    }
}

/// Refused, as there is no way through Tor to a private address.
const ONE_REFUSAL: &str = "import socket\nsocket.socket().connect_ex(('10.0.0.1', 80))";

#[test]
fn a_json_line_is_an_object_with_its_subject() {
    let output = finish(&mut python(&["--log-format", "json"], ONE_REFUSAL), LIMIT);
    let text = String::from_utf8(output.stderr).expect("lines are text");
    let line: serde_json::Value = serde_json::from_str(&text).expect("one JSON object");
    assert_eq!(
        (&line["level"], &line["subject"]),
        (&"warning".into(), &"connect".into()),
        "{text}"
    );
    let message = line["message"].as_str().expect("a message");
    assert!(message.contains("10.0.0.1") && message.contains("AllowDirect"), "{message}");
}

#[test]
fn a_flood_of_one_refusal_is_cut_counted_and_told_in_full_at_level_5() {
    const COUNT: usize = 2_000;
    let script = ONE_REFUSAL.replace("\ns", &format!("\nfor _ in range({COUNT}): s"));
    let lines = |flags: &[&str]| {
        let stderr = finish(&mut python(flags, &script), LIMIT).stderr;
        String::from_utf8(stderr).expect("lines are text")
    };
    let cut = lines(&[]);
    let written = cut.lines().count();
    assert!(written < COUNT && cut.contains("is left out"), "{written} lines");
    let whole = lines(&["--log-level", "5"]);
    let refused = whole.lines().filter(|line| line.contains("10.0.0.1")).count();
    assert_eq!(refused, COUNT);
}

/// Returns what a program writes to a terminal that is its standard error.
fn on_a_terminal(variables: &[(&str, &str)]) -> String {
    let (mut own, mut its) = (0, 0);
    let none = std::ptr::null_mut();
    // SAFETY: openpty writes two descriptors.
    let opened = unsafe { libc::openpty(&mut own, &mut its, none, none as _, none as _) };
    assert_eq!(opened, 0, "a terminal can be had");
    // SAFETY: they are this function's own.
    let (own, its) = unsafe { (OwnedFd::from_raw_fd(own), OwnedFd::from_raw_fd(its)) };
    let mut command = python(&[], ONE_REFUSAL);
    command.env_remove("NO_COLOR").env("TERM", "xterm").envs(variables.iter().copied());
    let status = command.stderr(its).status().expect("it runs");
    assert!(status.success());
    drop(command);
    let mut seen = Vec::new();
    // The other side is closed: the read ends with EIO.
    let _ = File::from(own).read_to_end(&mut seen);
    String::from_utf8(seen).expect("lines are text")
}

#[test]
fn the_level_has_a_colour_on_a_terminal_unless_the_user_wants_none() {
    assert!(on_a_terminal(&[]).contains(": \x1b[33mwarning\x1b[0m: "));
    for variables in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let text = on_a_terminal(&[variables]);
        assert!(text.contains(": warning: ") && !text.contains('\x1b'), "{text:?}");
    }
    let piped = finish(&mut python(&[], ONE_REFUSAL), LIMIT).stderr;
    assert!(!piped.contains(&0x1b));
}

#[test]
fn a_log_file_that_others_may_read_gets_no_line_and_the_launcher_says_so() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("log-{}", std::process::id()));
    let name = path.to_str().expect("a path of text");
    let log = || fs::read_to_string(&path).unwrap_or_default();
    let mode = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    let output = finish(&mut python(&["--log-file", name], ONE_REFUSAL), LIMIT);
    assert!(output.stderr.is_empty() && log().contains("10.0.0.1"), "{output:?}");
    let before = log();
    // Opened up while the program runs: its lines go to standard error.
    let script = format!("import os\nos.chmod({name:?}, 0o644)\n{ONE_REFUSAL}");
    let output = finish(&mut python(&["--log-file", name], &script), LIMIT);
    assert!(text(&output).contains("10.0.0.1"), "{output:?}");
    assert_eq!(log(), before);
    let output = finish(&mut python(&["--log-file", name], ONE_REFUSAL), LIMIT);
    assert_eq!(output.status.code(), Some(125), "{output:?}");
    assert!(text(&output).contains("chmod 600"), "{output:?}");
    mode(0o600);
    let _ = fs::remove_file(&path);
}

/// The journal that the next script plays, and a program that logs to it.
const JOURNAL: &str = r#"
mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/journal || exit 77
exec python3 - "$@" <<'END'
import socket, subprocess, sys
journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
journal.bind("/run/systemd/journal/socket")
ended = subprocess.run(sys.argv[1:], capture_output=True)
journal.settimeout(0)
print(journal.recv(4096).decode(), ended.stderr, sep="|", end="")
END
"#;

#[test]
fn a_line_goes_to_the_journal_with_its_priority() {
    let command = python(&["--log-file", "journal"], ONE_REFUSAL);
    let mut inside = Command::new("unshare");
    inside.args(["--user", "--map-root-user", "--mount", "sh", "-c", JOURNAL, "sh"]);
    inside.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => inside.env(name, value),
            None => inside.env_remove(name),
        };
    }
    let output = finish(&mut inside, LIMIT);
    let seen = text(&output);
    if output.status.code() == Some(77) || seen.contains("unshare failed") {
        return skip("namespaces are not permitted here");
    }
    let lines: Vec<_> = seen.lines().collect();
    assert_eq!(
        lines[..3],
        ["SYSLOG_IDENTIFIER=epochsocks", "PRIORITY=4", "EPOCHSOCKS_SUBJECT=connect"],
        "{seen}"
    );
    assert!(lines[3].starts_with("MESSAGE=connect to 10.0.0.1:80 refused: "), "{seen}");
    assert_eq!(lines[4], "|b''", "{seen}");
}
