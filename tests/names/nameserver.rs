//! Programs that ask a name server by themselves: tests/probes/nameserver.c, and real ones.

use std::process::Command;

use crate::support::preload::{launcher, torify};
use crate::support::process::{finish, probe, search_path, text};
use crate::support::scripted_proxy::{Action, ScriptedProxy};
use crate::support::skip::{missing, skip};
use crate::{LIMIT, RESOLVE, RESOLVE_PTR, Tor};

/// Plays `scene` of the probe with `tor` behind it.
fn play_with(tor: &Tor, scene: &str) {
    let mut command = torify(probe("nameserver"));
    command.arg(scene).env("EPOCHSOCKS_TOR_PORT", tor.0.port().to_string());
    let output = finish(&mut command, LIMIT);
    let seen = text(&output);
    assert!(output.status.success() && seen.contains("done\n"), "{}: {seen}", output.status);
}

fn play(scene: &str) {
    play_with(&Tor::answering(1, &[192, 0, 2, 7]), scene);
}

#[test]
fn a_connected_socket_is_answered_by_its_server() {
    play("connected");
}

#[test]
fn every_call_asks_and_receives() {
    play("calls");
}

#[test]
fn what_can_not_be_written_of_an_answer_is_efault() {
    play("bad-pointers");
}

#[test]
fn an_unconnected_socket_is_answered_by_the_server_that_it_asked() {
    play("unconnected");
}

#[test]
fn name_servers_of_either_family_are_answered_for() {
    play("families");
}

#[test]
fn every_wait_sees_the_answer() {
    play("waits");
}

#[test]
fn questions_are_in_flight_at_once_and_asked_once() {
    let tor = Tor::answering(1, &[192, 0, 2, 7]);
    play_with(&tor, "many");
}

#[test]
fn a_reply_in_pieces_does_not_end_a_receive_with_a_time_limit() {
    let reply = vec![5, 0, 5, 0, 0, 1, 192, 0, 2, 7, 0, 0];
    let script = [Action::Greeting, Action::Request, Action::Trickle(reply)];
    play_with(&Tor(ScriptedProxy::start(&script)), "patient");
}

#[test]
fn an_answer_comes_to_a_duplicate_of_what_was_closed() {
    play("duplicates");
}

#[test]
fn threads_that_ask_first_at_the_same_time_are_answered() {
    play("first");
}

#[test]
fn a_thread_sees_the_answer_to_what_another_has_asked() {
    play("threads");
}

/// promise: A socket of parent and child
#[test]
fn parent_and_child_are_both_answered() {
    play("fork");
}

/// promise: Direct waits and questions
#[test]
fn with_connect_wait_the_answer_is_there_when_the_question_is_sent() {
    let tor = Tor::answering(1, &[192, 0, 2, 7]);
    let mut command = torify(probe("nameserver"));
    command.arg("raw").env("EPOCHSOCKS_TOR_PORT", tor.0.port().to_string());
    command.env("EPOCHSOCKS_CONNECT", "wait");
    let output = finish(&mut command, LIMIT);
    assert!(text(&output).contains("done\n"), "{}", text(&output));
}

#[test]
fn name_servers_that_tor_can_not_reach_are_answered_for_by_tcp() {
    play("streams");
}

#[test]
fn what_tor_can_not_answer_is_refused_or_empty() {
    play("others");
}

/// Runs `command`, a program and its arguments with `{}` for a name server, with `tor` behind it; gives
/// its output, or `None` where the machine lacks the program.
fn ask_by(tor: &Tor, command: &[&'static str], flags: &[&str]) -> Option<String> {
    let absent = missing(&command[..1]);
    if !absent.is_empty() {
        skip(&format!("{absent:?} is not installed"));
        return None;
    }
    let mut run: Command = launcher();
    run.args(flags).arg("--").args(command).env("PATH", search_path());
    run.env("EPOCHSOCKS_TOR_PORT", tor.0.port().to_string());
    Some(text(&finish(&mut run, LIMIT)))
}

/// Asserts that `command` finds 192.0.2.7 by asking Tor.
fn finds(command: &[&'static str]) {
    let tor = Tor::answering(1, &[192, 0, 2, 7]);
    let Some(seen) = ask_by(&tor, command, &[]) else { return };
    assert!(seen.contains("192.0.2.7"), "{command:?}: {seen}");
    assert!(tor.0.recorded().iter().any(|message| message.get(1) == Some(&RESOLVE)));
}

#[test]
fn dig_finds_an_address() {
    finds(&["dig", "@192.0.2.53", "www.example", "+tries=1"]);
    finds(&["dig", "@2001:db8::53", "www.example", "+tries=1", "+noedns"]);
    finds(&["dig", "@10.0.0.53", "www.example", "+tries=1", "+tcp"]);
}

#[test]
fn host_finds_an_address() {
    finds(&["host", "www.example", "192.0.2.53"]);
}

#[test]
fn nslookup_finds_an_address() {
    finds(&["nslookup", "www.example", "192.0.2.53"]);
}

#[test]
fn drill_finds_an_address() {
    finds(&["drill", "@192.0.2.53", "www.example"]);
}

#[test]
fn kdig_finds_an_address() {
    finds(&["kdig", "@192.0.2.53", "www.example"]);
}

#[test]
fn dig_finds_a_name() {
    let tor = Tor::with_name();
    let Some(seen) = ask_by(&tor, &["dig", "@192.0.2.53", "-x", "192.0.2.7", "+short"], &[]) else {
        return;
    };
    assert!(seen.contains("host.example."), "{seen}");
    assert!(tor.0.recorded().iter().any(|message| message.get(1) == Some(&RESOLVE_PTR)));
}

#[test]
fn dig_gets_cookie_addresses_and_tor_is_not_asked() {
    let tor = Tor::with_ipv4();
    let name = "www.example";
    let dig = ["dig", "@192.0.2.53", name, "+short"];
    let Some(seen) = ask_by(&tor, &dig, &["--names", "cookie"]) else { return };
    assert!(seen.starts_with("127."), "{seen}");
    let onion = ["dig", "@192.0.2.53", "two.onion", "+short"];
    let seen = ask_by(&tor, &onion, &[]).unwrap_or_default();
    assert!(seen.starts_with("127.42.42."), "{seen}");
    assert!(tor.0.recorded().is_empty());
}

#[test]
fn node_finds_an_address_by_c_ares() {
    const PROGRAM: &str = "const { Resolver } = require('dns').promises; const r = new Resolver();\
        r.setServers(['192.0.2.53']);\
        Promise.all(['a.example', 'b.example', 'c.example'].map(n => r.resolve4(n)))\
            .then(all => console.log(all.flat().join(' ')))";
    finds(&["node", "-e", PROGRAM]);
}

#[test]
fn aria2_finds_an_address_by_c_ares() {
    let tor = Tor::answering(1, &[192, 0, 2, 7]);
    let download = ["aria2c", "--dry-run", "--max-tries=1", "--no-conf", "http://www.example/"];
    // The proxy of this test has no connections to give: that it was asked for the name is all.
    if ask_by(&tor, &download, &[]).is_some() {
        assert!(tor.0.recorded().iter().any(|message| message.get(1) == Some(&RESOLVE)));
    }
}

#[test]
fn ruby_finds_an_address_by_resolv() {
    const PROGRAM: &str = "puts Resolv::DNS.new(nameserver: ['192.0.2.53', '192.0.2.54'])\
        .getaddress('www.example')";
    finds(&["ruby", "-rresolv", "-e", PROGRAM]);
}

#[test]
fn perl_finds_an_address_by_net_dns() {
    const PROGRAM: &str = "eval { require Net::DNS } or do { print '192.0.2.7 no Net::DNS'; exit };\
        my $r = Net::DNS::Resolver->new(nameservers => ['192.0.2.53']);\
        print $_->address for $r->query('www.example', 'A')->answer";
    let tor = Tor::answering(1, &[192, 0, 2, 7]);
    let Some(seen) = ask_by(&tor, &["perl", "-e", PROGRAM], &[]) else { return };
    if seen.contains("no Net::DNS") {
        return skip("perl has no Net::DNS");
    }
    assert!(seen.contains("192.0.2.7"), "{seen}");
}

#[test]
fn python_finds_an_address_by_dnspython() {
    const PROGRAM: &str = "\
try:
    import dns.resolver
except ImportError:
    print('no dnspython')
else:
    r = dns.resolver.Resolver(configure=False)
    r.nameservers = ['192.0.2.53', '2001:db8::53']
    print([str(a) for a in r.resolve('www.example', 'A')])
";
    let tor = Tor::answering(1, &[192, 0, 2, 7]);
    let python = ["/usr/bin/python3", "-c", PROGRAM];
    let mut run = launcher();
    run.args(python).env("EPOCHSOCKS_TOR_PORT", tor.0.port().to_string());
    let seen = text(&finish(&mut run, LIMIT));
    if seen.contains("no dnspython") {
        return skip("python has no dnspython");
    }
    assert!(seen.contains("192.0.2.7"), "{seen}");
}
