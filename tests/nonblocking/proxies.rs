//! Whatever way a proxy's answer comes in.

use std::time::Duration;

use crate::scene::{command, ends};
use crate::support::scripted_proxy::{Action, ScriptedProxy, method, reply, reply_bytes};

use Action::{Authentication, Delay, Echo, Greeting, Reply, Request, Trickle};

const PROBE: &str = "nonblocking_pollers";

const LATE: Duration = Duration::from_millis(500);

#[test]
fn an_answer_that_comes_one_byte_at_a_time_is_waited_for() {
    let script =
        [Greeting, Trickle(vec![5, 0]), Request, Delay(LATE), Trickle(reply_bytes(0)), Echo];
    let proxy = ScriptedProxy::start(&script);
    ends(command(PROBE, "poll", &proxy));
    ends(command(PROBE, "epoll", &proxy));
}

#[test]
fn both_answers_may_come_at_once() {
    let both = [vec![5, 0], reply_bytes(0)].concat();
    let proxy = ScriptedProxy::start(&[Greeting, Request, Delay(LATE), Reply(both), Echo]);
    ends(command(PROBE, "select", &proxy));
    ends(command(PROBE, "epoll", &proxy));
}

#[test]
fn user_name_and_password_are_sent_without_waiting() {
    let accepted = Reply(vec![1, 0]);
    let script =
        [Greeting, method(2), Authentication, Request, Delay(LATE), accepted, reply(0), Echo];
    let proxy = ScriptedProxy::start(&script);
    for scene in ["poll", "epoll", "registered-before"] {
        let mut command = command(PROBE, scene, &proxy);
        command.env("EPOCHSOCKS_USERNAME", "alice").env("EPOCHSOCKS_PASSWORD", "secret");
        ends(command);
    }
}

#[test]
fn what_comes_with_the_answer_is_readable_at_once() {
    let answer = [reply_bytes(0), b"hello".to_vec()].concat();
    let proxy = ScriptedProxy::start(&[
        Greeting,
        method(0),
        Request,
        Delay(LATE),
        Reply(answer),
        Action::Hang,
    ]);
    ends(command(PROBE, "greeted", &proxy));
}
