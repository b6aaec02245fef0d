//! Each way in which a SOCKS server can be broken: the right errno, one clear line, in bounded time,
//! and no descriptor left behind. And each way in which a sound one may answer.

mod support;

use std::process::Command;
use std::time::Duration;
use support::closed_port::ClosedPort;
use support::preload::launcher;
use support::process::{finish, probe};
use support::scripted_proxy::Action::{
    Authentication, Close, Delay, Echo, Greeting, Hang, Reply, Request, Reset, Trickle,
};
use support::scripted_proxy::{Action, ScriptedProxy, method, reply, reply_bytes};

/// Far above what any of these takes, and far below the default handshake timeout.
const LIMIT: Duration = Duration::from_secs(20);
/// Long enough for several signals of the probe, short beside the handshake timeout.
const SHORT: Duration = Duration::from_millis(100);
const DESTINATION: [&str; 2] = ["198.51.100.1", "7"];

/// The probe connects to [`DESTINATION`] through the Tor port `port`.
fn connect_through(port: u16) -> Command {
    let mut command = launcher();
    command.env("EPOCHSOCKS_TOR_PORT", port.to_string());
    command.args(["--handshake-timeout", "1"]);
    command
}

/// Standard output and standard error of the probe.
fn run(command: Command, manner: &[&str]) -> (String, String) {
    run_to(command, &[&DESTINATION, manner].concat())
}

/// As [`run`], with the destination among the probe's arguments.
fn run_to(mut command: Command, arguments: &[&str]) -> (String, String) {
    let output = finish(command.arg(probe("connect")).args(arguments), LIMIT);
    let text = |bytes| String::from_utf8(bytes).expect("the probe prints text");
    (text(output.stdout), text(output.stderr))
}

/// Asserts that a connect fails with `errno`, that one line on standard error contains `words`, and
/// that the socket is not connected and nothing leaks.
#[track_caller]
fn fails(command: Command, errno: &str, words: &str) {
    fails_to(command, &DESTINATION, errno, words);
}

/// As [`fails`], with the probe's arguments.
#[track_caller]
fn fails_to(command: Command, arguments: &[&str], errno: &str, words: &str) {
    let (stdout, stderr) = run_to(command, arguments);
    assert_eq!(stdout, format!("connect {errno}\npeer ENOTCONN\ndescriptors +0\n"), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.contains(words), "{stderr:?} lacks {words:?}");
}

/// As [`fails`], with a proxy that follows `script`.
#[track_caller]
fn script_fails(script: &[Action], errno: &str, words: &str) {
    fails(connect_through(ScriptedProxy::start(script).port()), errno, words);
}

/// Asserts that a connect succeeds through a proxy that follows `script` and that the
/// destination's bytes come whole.
#[track_caller]
fn succeeds(script: &[Action]) {
    let (stdout, stderr) = run(connect_through(ScriptedProxy::start(script).port()), &[]);
    let all = "connect ok\npeer 198.51.100.1 port 7\nagain EISCONN\nduplicate EISCONN\n\
               echo echo\ndescriptors +0\n";
    assert_eq!((stdout.as_str(), stderr.as_str()), (all, ""));
}

#[test]
fn nobody_listens() {
    let closed = ClosedPort::take();
    let port = closed.number();
    fails(connect_through(port), "ECONNREFUSED", &format!("127.0.0.1:{port}"));
}

/// promise: IPv6 and TorAddress
#[test]
fn a_socket_of_the_other_family_can_not_reach_the_tor_port() {
    let bound = ["2001:db8::1", "7", "bound"];
    fails_to(connect_through(9), &bound, "ENETUNREACH", "can't reach the IPv4 TorAddress");
    let mut command = connect_through(9);
    command.args(["--address", "::1"]);
    fails(command, "EAFNOSUPPORT", "TorAddress is IPv6");
}

#[test]
fn the_server_closes_instead_of_answering() {
    script_fails(&[Greeting, Request, Close], "ECONNRESET", "instead of answering the greeting");
    let script = [Greeting, method(0), Request, Close];
    script_fails(&script, "ECONNRESET", "instead of answering the request");
    let script = [Greeting, method(0), Request, Reply(reply_bytes(0)[..4].to_vec()), Close];
    script_fails(&script, "ECONNRESET", "instead of answering the request");
}

#[test]
fn the_server_may_close_after_any_byte() {
    let ipv6 = [&[5, 0, 0, 4][..], &[0; 18]].concat();
    let name = [&[5, 0, 0, 3, 3][..], b"abc", &[0, 80]].concat();
    for reply in [reply_bytes(0), ipv6, name] {
        let answers = [&[5, 0][..], &reply].concat();
        for said in 0..answers.len() {
            let awaited = if said < 2 { "the greeting" } else { "the request" };
            let script = [Greeting, Request, Reply(answers[..said].to_vec()), Close];
            script_fails(&script, "ECONNRESET", &format!("instead of answering {awaited}"));
        }
    }
    for said in [&[][..], &[1]] {
        let script = [Greeting, method(2), Authentication, Reply(said.to_vec()), Close];
        let mut command = connect_through(ScriptedProxy::start(&script).port());
        command.args(["-u", "alice", "-p", "secret"]);
        fails(command, "ECONNRESET", "instead of answering user name and password");
    }
}

#[test]
fn the_server_resets_the_connection() {
    let words = "the connection to the Tor port failed";
    script_fails(&[Greeting, Request, Reset], "ECONNRESET", words);
    script_fails(&[Greeting, method(0), Request, Delay(SHORT), Reset], "ECONNRESET", words);
}

#[test]
fn the_server_falls_silent() {
    for said in [&[][..], &[5], &[5, 0], &[5, 0, 5, 0, 0, 1]] {
        let script = [Greeting, Request, Reply(said.to_vec()), Hang];
        script_fails(&script, "ETIMEDOUT", "did not answer in time");
    }
}

#[test]
fn a_server_that_never_stops_talking_is_given_up_in_time() {
    let mut endless = reply_bytes(0)[..3].to_vec();
    endless.extend([3, 255]);
    let script = [Greeting, method(0), Request, Reply(endless), Trickle(vec![b'a'; 200]), Hang];
    script_fails(&script, "ETIMEDOUT", "did not answer in time");
}

#[test]
fn the_port_speaks_another_protocol() {
    let answer = |bytes: &[u8]| [Greeting, Request, Reply(bytes.to_vec()), Hang];
    let http = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n";
    script_fails(&answer(http), "EPROTO", "the port speaks HTTP, not SOCKS5");
    script_fails(&answer(b"\x15\x03\x01\0\x02\x02\x0a"), "EPROTO", "does not speak SOCKS5");
    script_fails(&answer(b"\0Z\0\0\0\0\0\0"), "EPROTO", "does not speak SOCKS5");
    script_fails(&answer(b"SSH-2.0-OpenSSH_9.2\r\n"), "EPROTO", "does not speak SOCKS5");
}

#[test]
fn the_reply_is_malformed() {
    let answer = |bytes: &[u8]| [Greeting, method(0), Request, Reply(bytes.to_vec()), Hang];
    script_fails(&answer(&[4, 0, 0, 1, 0, 0, 0, 0, 0, 0]), "EPROTO", "version 04 instead of 05");
    script_fails(&answer(&[5, 0, 0, 9, 0, 0, 0, 0, 0, 0]), "EPROTO", "unknown address type 09");
}

#[test]
fn no_method_is_acceptable() {
    let script = |number| [Greeting, Request, method(number), Hang];
    script_fails(&script(0xFF), "EACCES", "accepts no authentication method");
    script_fails(&script(0x80), "EACCES", "authentication method 80, which was not offered");
}

#[test]
fn user_name_and_password_are_rejected() {
    let script = [Greeting, method(2), Authentication, Request, Reply(vec![1, 1]), Close];
    let mut command = connect_through(ScriptedProxy::start(&script).port());
    command.args(["-u", "alice", "-p", "secret"]);
    fails(command, "EACCES", "rejected user name and password");
}

#[test]
fn each_refusal_has_its_errno_and_its_words() {
    for (code, errno, words) in [
        (0x01, "ECONNREFUSED", "general failure"),
        (0x02, "EACCES", "not allowed"),
        (0x03, "ENETUNREACH", "network unreachable"),
        (0x04, "EHOSTUNREACH", "host unreachable"),
        (0x05, "ECONNREFUSED", "connection refused"),
        (0x06, "ETIMEDOUT", "time to live expired"),
        (0x07, "EOPNOTSUPP", "command not supported"),
        (0x08, "EAFNOSUPPORT", "address type not supported"),
        (0xF0, "EHOSTUNREACH", "descriptor not found"),
        (0xF1, "EHOSTUNREACH", "descriptor invalid"),
        (0xF2, "EHOSTUNREACH", "introduction failed"),
        (0xF3, "EHOSTUNREACH", "rendezvous failed"),
        (0xF4, "EACCES", "client authorization"),
        (0xF5, "EACCES", "client authorization"),
        (0xF6, "EHOSTUNREACH", "onion address invalid"),
        (0xF7, "ETIMEDOUT", "introduction timed out"),
        (0x99, "ECONNREFUSED", "code 99"),
    ] {
        script_fails(&[Greeting, method(0), Request, reply(code), Close], errno, words);
    }
}

#[test]
fn a_reply_of_every_address_type_is_read_to_its_end() {
    let name =
        |length: u8| [&[5, 0, 0, 3, length][..], &vec![b'a'; length.into()], &[0, 80]].concat();
    let ipv6 = [&[5, 0, 0, 4][..], &[0; 18]].concat();
    for bytes in [reply_bytes(0), ipv6, name(1), name(255), name(0)] {
        succeeds(&[Greeting, method(0), Request, Reply(bytes), Echo]);
    }
}

#[test]
fn answers_may_come_a_byte_at_a_time_or_all_at_once() {
    let answers = [&[5, 0][..], &reply_bytes(0)].concat();
    succeeds(&[Greeting, Request, Trickle(answers.clone()), Echo]);
    succeeds(&[Greeting, Request, Reply(answers), Echo]);
}

#[test]
fn bytes_after_the_reply_are_the_destinations() {
    let early = [&[5, 0][..], &reply_bytes(0), b"echo"].concat();
    succeeds(&[Greeting, Request, Reply(early), Hang]);
}

#[test]
fn a_signal_does_not_end_the_handshake() {
    let script = [Greeting, method(0), Delay(SHORT), Request, reply(0), Echo];
    let (stdout, stderr) =
        run(connect_through(ScriptedProxy::start(&script).port()), &["interrupted"]);
    assert!(
        stdout.starts_with("connect ok\n") && stdout.contains("echo echo\n"),
        "{stdout}{stderr}"
    );
}

#[test]
fn the_programs_own_timeout_ends_the_wait_as_the_kernel_ends_it() {
    let mut command = launcher();
    let proxy = ScriptedProxy::start(&[Greeting, Request, Hang]);
    // The default handshake timeout is far above the limit.
    command.env("EPOCHSOCKS_TOR_PORT", proxy.port().to_string());
    let (stdout, stderr) = run(command, &["impatient"]);
    assert!(stdout.starts_with("connect EINPROGRESS\n"), "{stdout}{stderr}");
}

#[test]
fn a_request_without_a_user_offers_no_authentication() {
    let proxy = ScriptedProxy::start(&[Greeting, method(0), Request, reply(0), Echo]);
    run(connect_through(proxy.port()), &[]);
    assert_eq!(proxy.recorded(), [vec![5, 1, 0], b"\x05\x01\0\x03\x0c198.51.100.1\0\x07".to_vec()]);
}

#[test]
fn a_request_with_a_user_offers_nothing_else() {
    let script = [Greeting, method(2), Authentication, Reply(vec![1, 0]), Request, reply(0), Echo];
    let proxy = ScriptedProxy::start(&script);
    let mut command = connect_through(proxy.port());
    command.args(["-u", "alice", "-p", "secret"]);
    let (stdout, stderr) = run(command, &[]);
    assert!(stdout.contains("echo echo\n"), "{stdout}{stderr}");
    let request = b"\x05\x01\0\x03\x0c198.51.100.1\0\x07".to_vec();
    assert_eq!(proxy.recorded(), [vec![5, 1, 2], b"\x01\x05alice\x06secret".to_vec(), request]);
}
