//! A handshake that fails tells the program once, by its errno.

use std::time::Duration;

use crate::scene::{command, ends, late_proxy};
use crate::support::closed_port::ClosedPort;
use crate::support::scripted_proxy::{Action, ScriptedProxy, method, reply, reply_bytes};

use Action::{Authentication, Close, Delay, Greeting, Hang, Reply, Request, Reset};

const PROBE: &str = "nonblocking_calls";
/// After the program has begun to wait.
const SOON: Duration = Duration::from_millis(50);

/// promise: invariant 8
#[test]
fn a_failure_is_told_once() {
    ends(command(PROBE, "failure", &late_proxy(5)));
}

#[test]
fn a_proxy_that_is_down_fails_the_connect_by_the_socket() {
    let port = ClosedPort::take();
    let mut command = command(PROBE, "down", &late_proxy(0));
    command.env("EPOCHSOCKS_TOR_PORT", port.number().to_string());
    ends(command);
}

#[test]
fn a_silent_proxy_fails_every_wait_in_time() {
    let mut command = command(PROBE, "silence", &ScriptedProxy::start(&[Action::Hang]));
    command.env("EPOCHSOCKS_HANDSHAKE_TIMEOUT", "1");
    ends(command);
}

/// Plays a proxy that fails by `script`, for an errno.
fn fails(script: &[Action], errno: i32) {
    let mut command = command(PROBE, "fails", &ScriptedProxy::start(script));
    command.env("EXPECTED", errno.to_string()).env("EPOCHSOCKS_LOG_LEVEL", "1");
    command.env("EPOCHSOCKS_HANDSHAKE_TIMEOUT", "1");
    ends(command);
}

#[test]
fn a_proxy_that_closes_at_any_step_fails_the_connect() {
    let reply = reply_bytes(0);
    fails(&[Greeting, Request, Close], libc::ECONNRESET);
    fails(&[Greeting, Request, Reset], libc::ECONNRESET);
    fails(&[Greeting, Request, Reply(vec![5]), Close], libc::ECONNRESET);
    fails(&[Greeting, method(0), Request, Close], libc::ECONNRESET);
    fails(&[Greeting, method(0), Request, Delay(SOON), Reset], libc::ECONNRESET);
    fails(&[Greeting, method(0), Request, Reply(reply[..4].to_vec()), Close], libc::ECONNRESET);
}

#[test]
fn a_proxy_that_falls_silent_at_any_step_fails_the_connect_in_time() {
    for said in [&[][..], &[5], &[5, 0], &[5, 0, 5, 0, 0, 1]] {
        fails(&[Greeting, Request, Reply(said.to_vec()), Hang], libc::ETIMEDOUT);
    }
}

#[test]
fn a_proxy_that_breaks_the_protocol_fails_the_connect() {
    let answer = |bytes: &[u8]| [Greeting, Request, Reply(bytes.to_vec()), Hang];
    fails(&answer(b"HTTP/1.1 400 Bad Request\r\n\r\n"), libc::EPROTO);
    fails(&answer(&[4, 0]), libc::EPROTO);
    fails(&answer(&[5, 0, 4, 0, 0, 1, 0, 0, 0, 0, 0, 0]), libc::EPROTO);
    fails(&answer(&[5, 0, 5, 0, 0, 9, 0, 0, 0, 0, 0, 0]), libc::EPROTO);
}

#[test]
fn a_proxy_that_wants_or_refuses_a_password_fails_the_connect() {
    fails(&[Greeting, Request, Reply(vec![5, 0xff]), Hang], libc::EACCES);
    let refused = [Greeting, method(2), Authentication, Request, Reply(vec![1, 1]), Hang];
    let mut command = command(PROBE, "fails", &ScriptedProxy::start(&refused));
    command.env("EXPECTED", libc::EACCES.to_string()).env("EPOCHSOCKS_LOG_LEVEL", "1");
    command.env("EPOCHSOCKS_USERNAME", "alice").env("EPOCHSOCKS_PASSWORD", "wrong");
    ends(command);
}

/// promise: invariant 8
#[test]
fn every_code_of_a_refusal_has_its_errno() {
    let code = |code| [Greeting, method(0), Request, Delay(SOON), reply(code), Hang];
    for (number, errno) in [
        (1, libc::ECONNREFUSED),
        (2, libc::EACCES),
        (3, libc::ENETUNREACH),
        (4, libc::EHOSTUNREACH),
        (5, libc::ECONNREFUSED),
        (6, libc::ETIMEDOUT),
        (7, libc::EOPNOTSUPP),
        (8, libc::EAFNOSUPPORT),
    ] {
        fails(&code(number), errno);
    }
}
