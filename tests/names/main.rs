//! The name hooks, in a real program that asks a scripted proxy.

#[path = "../support/mod.rs"]
mod support;

mod asynchronous;
mod local;
mod nameserver;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use support::preload::launcher;
use support::process::{finish, probe, text};
use support::scripted_proxy::{Action, ScriptedProxy};

const LIMIT: Duration = Duration::from_secs(60);
const RESOLVE: u8 = 0xf0;
const RESOLVE_PTR: u8 = 0xf1;

/// netdb.h
const AI_PASSIVE: i32 = 1;
const AI_CANONNAME: i32 = 2;
const AI_NUMERICHOST: i32 = 4;
const AI_V4MAPPED: i32 = 8;
const AI_ADDRCONFIG: i32 = 32;
const AI_IDN: i32 = 64;
const EAI_IDN_ENCODE: i32 = -105;
const HOST_NOT_FOUND: i32 = 1;
const TRY_AGAIN: i32 = 2;
const NO_RECOVERY: i32 = 3;
const NO_DATA: i32 = 4;
const NI_NUMERICHOST: i32 = 1;
const NI_NAMEREQD: i32 = 8;

/// A proxy that answers every question with the same reply.
struct Tor(ScriptedProxy);

impl Tor {
    fn answering(kind: u8, address: &[u8]) -> Tor {
        let reply = [&[5, 0, 5, 0, 0, kind], address, &[0, 0]].concat();
        Tor(ScriptedProxy::start(&[Action::Greeting, Action::Request, Action::Reply(reply)]))
    }

    fn with_ipv4() -> Tor {
        Tor::answering(1, &[192, 0, 2, 1])
    }

    fn with_ipv6() -> Tor {
        Tor::answering(4, &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1])
    }

    fn with_name() -> Tor {
        Tor::naming(b"host.example")
    }

    /// A Tor whose exit says that every address has this name.
    fn naming(name: &[u8]) -> Tor {
        let length = name.len().try_into().expect("a name's length is a byte");
        Tor::answering(3, &[&[length], name].concat())
    }

    /// A Tor whose exit says that every name is a local address.
    fn with_local(address: [u8; 4]) -> Tor {
        Tor::answering(1, &address)
    }

    /// Tor's reply to an unknown name: 04, no address.
    fn without_answer() -> Tor {
        let reply = vec![5, 0, 5, 4, 0, 0, 0, 0, 0, 0, 0, 0];
        Tor(ScriptedProxy::start(&[Action::Greeting, Action::Request, Action::Reply(reply)]))
    }

    /// Runs the probe with `arguments` and returns its output.
    fn ask(&self, arguments: &[&str]) -> String {
        run(self.0.port(), arguments)
    }

    fn addrinfo(&self, node: &str, family: i32, flags: i32) -> String {
        self.ask(&["addrinfo", node, "443", &family.to_string(), &flags.to_string()])
    }

    /// The commands and names of the requests so far.
    fn asked(&self) -> Vec<(u8, String)> {
        let requests = self.0.recorded().into_iter().filter(|message| message.len() > 3);
        requests
            .map(|request| {
                let host = if request[3] == 3 { &request[5..] } else { &request[4..] };
                let host = &host[..host.len() - 2];
                (request[1], host.escape_ascii().to_string())
            })
            .collect()
    }
}

fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| probe("names"))
}

fn run(port: u16, arguments: &[&str]) -> String {
    let mut command = launcher();
    command.env("EPOCHSOCKS_TOR_PORT", port.to_string()).arg(program()).args(arguments);
    let output = finish(&mut command, LIMIT);
    assert!(output.status.success(), "{arguments:?}: {}", text(&output));
    String::from_utf8(output.stdout).expect("the probe prints text")
}

fn asked_for(name: &str) -> Vec<(u8, String)> {
    vec![(RESOLVE, name.to_owned())]
}

/// Asserts that no server was asked.
#[track_caller]
fn without_asking(tor: &Tor) {
    assert_eq!(tor.asked(), []);
}

#[test]
fn getaddrinfo_asks_tor_and_libc_adds_the_service() {
    let tor = Tor::with_ipv4();
    assert_eq!(tor.addrinfo("a.example", libc::AF_UNSPEC, 0), "2 1 192.0.2.1 443 -\n");
    assert_eq!(tor.asked(), asked_for("a.example"));
    assert_eq!(tor.ask(&["addrinfo", "a.example", "http", "0", "0"]), "2 1 192.0.2.1 80 -\n");
}

/// promise: Onion names at once
#[test]
fn more_onion_names_than_addresses_are_an_error_that_says_so() {
    let mut command = launcher();
    command.env("EPOCHSOCKS_ONION_ADDR_RANGE", "127.42.42.0/30");
    command.arg(program()).args(["cookies", "4"]);
    let output = finish(&mut command, LIMIT);
    let answers = String::from_utf8_lossy(&output.stdout);
    let mut lines: Vec<&str> = answers.lines().collect();
    lines.sort_unstable();
    let error = format!("EAI {}", libc::EAI_FAIL);
    assert_eq!(lines, ["127.42.42.1", "127.42.42.2", &error, &error]);
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(log.contains("2.onion: every address of OnionAddrRange is taken"), "{log}");
}

/// promise: getaddrinfo without hints, getnameinfo
#[test]
fn getaddrinfo_without_hints_asks_tor_too() {
    let tor = Tor::with_ipv4();
    let answer = tor.addrinfo("a.example", -1, 0);
    assert_eq!(answer.lines().count(), 3, "{answer}");
    assert!(answer.lines().all(|line| line.contains(" 192.0.2.1 443 ")), "{answer}");
    assert_eq!(tor.asked(), asked_for("a.example"));
}

#[test]
fn getaddrinfo_gives_ipv6_answers() {
    let tor = Tor::with_ipv6();
    for flags in [0, AI_ADDRCONFIG, AI_V4MAPPED] {
        assert_eq!(tor.addrinfo("a.example", libc::AF_INET6, flags), "10 1 2001:db8::1 443 -\n");
    }
    assert_eq!(tor.addrinfo("a.example", libc::AF_INET, 0), format!("EAI {}\n", libc::EAI_NODATA));
}

#[test]
fn getaddrinfo_maps_ipv4_only_when_told_to() {
    let tor = Tor::with_ipv4();
    let no_data = format!("EAI {}\n", libc::EAI_NODATA);
    assert_eq!(tor.addrinfo("a.example", libc::AF_INET6, 0), no_data);
    assert_eq!(
        tor.addrinfo("a.example", libc::AF_INET6, AI_V4MAPPED),
        "10 1 ::ffff:192.0.2.1 443 -\n"
    );
}

#[test]
fn the_canonical_name_is_the_name_without_its_dot() {
    let tor = Tor::with_ipv4();
    assert_eq!(tor.addrinfo("a.example.", 0, AI_CANONNAME), "2 1 192.0.2.1 443 a.example\n");
    assert_eq!(tor.asked(), asked_for("a.example"));
}

#[test]
fn nobody_is_asked_about_numbers_localhost_and_bad_names() {
    let tor = Tor::with_ipv4();
    let no_name = format!("EAI {}\n", libc::EAI_NONAME);
    for (node, flags, answer) in [
        ("127.1", AI_CANONNAME, "2 1 127.0.0.1 443 127.1\n"),
        ("2001:db8::7", 0, "10 1 2001:db8::7 443 -\n"),
        ("fe80::1%lo", 0, "10 1 fe80::1%lo 443 -\n"),
        ("localhost", 0, "2 1 127.0.0.1 443 -\n10 1 ::1 443 -\n"),
        ("-", AI_PASSIVE, "2 1 0.0.0.0 443 -\n10 1 :: 443 -\n"),
        ("a.example", AI_NUMERICHOST, no_name.as_str()),
        ("", 0, &no_name),
        ("a..example", 0, &no_name),
        ("1.2.3.4.5", 0, &no_name),
        (".onion", 0, &no_name),
        (&"a".repeat(256), 0, &no_name),
    ] {
        assert_eq!(tor.addrinfo(node, libc::AF_UNSPEC, flags), answer, "{node}");
    }
    assert_eq!(tor.asked(), []);
}

#[test]
fn the_longest_name_and_bytes_beyond_ascii_are_asked_for_as_given() {
    let tor = Tor::with_ipv4();
    let longest = format!("{}.a", "a".repeat(253));
    for name in [longest.as_str(), "b\u{fc}cher.example"] {
        assert_eq!(tor.addrinfo(name, 0, 0), "2 1 192.0.2.1 443 -\n");
    }
    let names: Vec<String> = tor.asked().into_iter().map(|(_, name)| name).collect();
    assert_eq!(names, [longest, r"b\xc3\xbccher.example".to_owned()]);
}

#[test]
fn a_name_that_is_to_be_converted_is_not_asked_for_as_it_is() {
    let tor = Tor::with_ipv4();
    let not_encoded = format!("EAI {EAI_IDN_ENCODE}\n");
    assert_eq!(tor.addrinfo("b\u{fc}cher.example", 0, AI_IDN), not_encoded);
    assert_eq!(tor.asked(), []);
    assert_eq!(tor.addrinfo("a.example", 0, AI_IDN), "2 1 192.0.2.1 443 -\n");
    assert_eq!(tor.asked(), asked_for("a.example"));
}

#[test]
fn an_onion_name_has_a_cookie_in_each_family_and_stays_secret() {
    let tor = Tor::with_ipv4();
    let v4 = tor.addrinfo("abc.onion", libc::AF_UNSPEC, 0);
    assert!(v4.starts_with("2 1 127.42.42."), "{v4}");
    let v6 = tor.addrinfo("abc.onion", libc::AF_INET6, 0);
    assert!(v6.starts_with("10 1 100::"), "{v6}");
    assert_eq!(tor.asked(), []);
}

#[test]
fn a_cookie_that_a_forked_child_got_has_its_name_in_the_parent() {
    let answer = Tor::without_answer().ask(&["forked", "abc.onion"]);
    assert!(answer.starts_with("abc.onion 2 4 127.42.42."), "{answer}");
}

#[test]
fn an_unknown_name_is_not_found_in_every_form() {
    let tor = Tor::without_answer();
    assert_eq!(tor.addrinfo("a.example", 0, 0), format!("EAI {}\n", libc::EAI_NONAME));
    let not_found = format!("h_errno {HOST_NOT_FOUND}\n");
    assert_eq!(tor.ask(&["byname", "a.example", "2"]), not_found);
    assert_eq!(tor.ask(&["byname_r", "a.example", "2", "512"]), format!("0 {HOST_NOT_FOUND}\n"));
    assert_eq!(tor.ask(&["byaddr", "192.0.2.9"]), not_found.repeat(2));
}

/// Runs the probe with `arguments` and returns its output and the log; localhost may be reached.
fn run_logging(tor: &Tor, arguments: &[&str]) -> (String, String) {
    let mut command = launcher();
    command.env("EPOCHSOCKS_TOR_PORT", tor.0.port().to_string());
    command.env("EPOCHSOCKS_ALLOW_OUTBOUND_LOCALHOST", "2").arg(program()).args(arguments);
    let output = finish(&mut command, LIMIT);
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (text(output.stdout), text(output.stderr))
}

#[test]
fn an_exits_answer_leads_to_no_local_service_and_no_other_name() {
    let no_name = format!("EAI {}\n", libc::EAI_NONAME);
    let not_found = format!("h_errno {HOST_NOT_FOUND}\n");
    for address in [[127, 0, 0, 1], [127, 9, 9, 9], [0, 0, 0, 0], [127, 42, 42, 7]] {
        let tor = Tor::with_local(address);
        for (arguments, answer) in [
            (&["addrinfo", "a.example", "443", "0", "0"][..], no_name.as_str()),
            (&["addrinfo", "a.example", "443", "10", "8"], &no_name),
            (&["byname", "a.example", "2"], &not_found),
            (&["byname_r", "a.example", "2", "512"], &format!("0 {HOST_NOT_FOUND}\n")),
            (&["dns", "query", "a", "example", "1"], &not_found),
        ] {
            let (seen, log) = run_logging(&tor, arguments);
            assert_eq!(seen, answer, "{address:?} {arguments:?}");
            let lines: Vec<&str> = log.lines().collect();
            assert!(lines.len() == 1 && lines[0].contains("lookup of a.example: "), "{log}");
        }
        assert_eq!(tor.asked().len(), 5);
        // Localhost itself goes on.
        let (seen, log) = run_logging(&tor, &["addrinfo", "localhost", "443", "2", "0"]);
        assert_eq!((seen.as_str(), log.as_str()), ("2 1 127.0.0.1 443 -\n", ""));
    }
}

#[test]
fn without_tor_a_lookup_is_a_temporary_failure() {
    // Bound but not listening: no other process can take the port meanwhile.
    // SAFETY: a socket of our own, bound to a port that the kernel picks.
    let port = unsafe {
        let socket = libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0);
        let mut address: libc::sockaddr_in = std::mem::zeroed();
        address.sin_family = libc::AF_INET as libc::sa_family_t;
        address.sin_addr.s_addr = u32::from_ne_bytes([127, 0, 0, 1]);
        let mut length = size_of_val(&address) as libc::socklen_t;
        assert_eq!(libc::bind(socket, (&raw const address).cast(), length), 0);
        assert_eq!(libc::getsockname(socket, (&raw mut address).cast(), &mut length), 0);
        u16::from_be(address.sin_port)
    };
    let eai = run(port, &["addrinfo", "a.example", "443", "0", "0"]);
    assert_eq!(eai, format!("EAI {}\n", libc::EAI_AGAIN));
    assert_eq!(run(port, &["byname", "a.example", "2"]), format!("h_errno {TRY_AGAIN}\n"));
}

#[test]
fn a_port_that_speaks_http_is_a_permanent_failure() {
    let answer = b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec();
    let tor = Tor(ScriptedProxy::start(&[Action::Greeting, Action::Reply(answer)]));
    assert_eq!(tor.addrinfo("a.example", 0, 0), format!("EAI {}\n", libc::EAI_FAIL));
}

/// promise: gethostbyname2
#[test]
fn gethostbyname_and_its_relatives_give_the_wanted_family() {
    let (v4, v6) = (Tor::with_ipv4(), Tor::with_ipv6());
    let in_v4 = "a.example 2 4 192.0.2.1\n";
    let in_v6 = "a.example 10 16 2001:db8::1\n";
    assert_eq!(v4.ask(&["byname", "a.example.", "2"]), in_v4);
    assert_eq!(v6.ask(&["byname", "a.example", "10"]), in_v6);
    assert_eq!(v6.ask(&["byname", "a.example", "2"]), format!("h_errno {NO_DATA}\n"));
    assert_eq!(v4.ask(&["byname_r", "a.example", "2", "512"]), format!("0 0\n{in_v4}"));
    assert_eq!(v6.ask(&["byname_r", "a.example", "10", "512"]), format!("0 0\n{in_v6}"));
}

#[test]
fn a_short_buffer_is_erange() {
    let answer = Tor::with_ipv4().ask(&["byname_r", "a.example", "2", "30"]);
    assert_eq!(answer, format!("{} -1\n", libc::ERANGE));
}

/// promise: getaddrinfo without hints, getnameinfo
#[test]
fn an_address_has_the_name_that_tor_says() {
    let tor = Tor::with_name();
    let host = "host.example 2 4 192.0.2.1\n";
    assert_eq!(tor.ask(&["byaddr", "192.0.2.1"]), host.repeat(2));
    assert_eq!(tor.ask(&["nameinfo", "192.0.2.1", "0"]), "host.example https\n");
    assert_eq!(tor.ask(&["nameinfo", "2001:db8::1", "0"]), "host.example https\n");
    assert!(tor.asked().iter().all(|(command, _)| *command == RESOLVE_PTR));
}

#[test]
fn an_exits_answer_that_is_no_host_name_is_none() {
    let not_found = format!("h_errno {HOST_NOT_FOUND}\n");
    let names: [&[u8]; 6] =
        [b"bad name\n", b"-rf", b"a..b", b"$(id).example", b"b\xc3\xbccher.example", b"a\x1b[2J"];
    for name in names {
        let tor = Tor::naming(name);
        for (arguments, answer) in [
            (&["byaddr", "192.0.2.1"][..], not_found.repeat(2)),
            (&["nameinfo", "192.0.2.1", "0"], "192.0.2.1 https\n".to_owned()),
            (&["dns", "query", "1.2.0.192", "in-addr.arpa", "12"], not_found.clone()),
        ] {
            let (seen, log) = run_logging(&tor, arguments);
            assert_eq!(seen, answer, "{} {arguments:?}", name.escape_ascii());
            assert!(
                log.lines().all(|line| line.contains("lookup of ")) && !log.is_empty(),
                "{log}"
            );
        }
        let required = tor.ask(&["nameinfo", "192.0.2.1", &NI_NAMEREQD.to_string()]);
        assert_eq!(required, format!("EAI {}\n", libc::EAI_NONAME));
    }
}

/// Runs the probe `name` with and without us: it must print the same, and ask no server.
fn is_the_same_without_us(name: &'static str) {
    let tor = Tor::with_name();
    let program = probe(name);
    let without_us = finish(&mut Command::new(&program), LIMIT);
    let mut command = launcher();
    command.env("EPOCHSOCKS_TOR_PORT", tor.0.port().to_string()).arg(&program);
    let under_us = finish(&mut command, LIMIT);
    assert!(without_us.status.success() && under_us.status.success(), "{}", text(&under_us));
    let lines = |text: &[u8]| String::from_utf8_lossy(text).lines().map(str::to_owned).collect();
    let (expected, seen): (Vec<_>, Vec<_>) = (lines(&without_us.stdout), lines(&under_us.stdout));
    let differs = expected.iter().zip(&seen).find(|(one, other)| one != other);
    assert_eq!((differs, expected.len()), (None, seen.len()), "without and with us");
    assert!(expected.len() > 40);
    assert_eq!(tor.asked(), []);
}

#[test]
fn getnameinfo_is_libcs_where_no_name_is_asked_for() {
    is_the_same_without_us("nameinfo");
}

#[test]
fn getaddrinfo_is_libcs_where_no_name_is_asked_for() {
    is_the_same_without_us("addrinfo");
}

#[test]
fn nobody_is_asked_in_a_call_that_must_fail() {
    let tor = Tor::with_ipv4();
    let addrinfo = |service, family| tor.ask(&["addrinfo", "a.example", service, family, "0"]);
    assert_eq!(addrinfo("no such service", "0"), format!("EAI {}\n", libc::EAI_SERVICE));
    assert_eq!(addrinfo("443", "99"), format!("EAI {}\n", libc::EAI_FAMILY));
    assert_eq!(tor.asked(), []);
}

#[test]
fn an_address_without_a_name_is_numeric_unless_a_name_is_required() {
    let tor = Tor::without_answer();
    let nameinfo = |flags: i32| tor.ask(&["nameinfo", "192.0.2.1", &flags.to_string()]);
    assert_eq!(nameinfo(0), "192.0.2.1 https\n");
    assert_eq!(nameinfo(NI_NAMEREQD), format!("EAI {}\n", libc::EAI_NONAME));
    let asked = tor.asked().len();
    assert_eq!(nameinfo(NI_NUMERICHOST), "192.0.2.1 https\n");
    assert_eq!(tor.asked().len(), asked);
}

#[test]
fn a_cookie_that_nobody_was_given_has_no_name_and_is_not_localhost() {
    let tor = Tor::with_name();
    let not_found = format!("h_errno {HOST_NOT_FOUND}\n");
    assert_eq!(tor.ask(&["byaddr", "127.42.42.7"]), not_found.repeat(2));
    assert_eq!(tor.ask(&["nameinfo", "127.42.42.7", "0"]), "127.42.42.7 https\n");
    assert_eq!(tor.ask(&["nameinfo", "127.0.0.1", "0"]), "localhost https\n");
    assert_eq!(tor.asked(), []);
}

#[test]
fn dns_queries_are_answered_through_tor() {
    let tor = Tor::with_ipv4();
    let forms =
        ["query", "nquery", "search", "nsearch", "querydomain", "nquerydomain", "send", "nsend"];
    for form in forms {
        // Header, question (a.example, type, class) and one record of 16 bytes.
        assert_eq!(tor.ask(&["dns", form, "a", "example", "1"]), "43 0 1 192 0 2 1\n", "{form}");
    }
    assert_eq!(tor.asked().len(), forms.len());
    let aaaa = Tor::with_ipv6().ask(&["dns", "query", "a", "example", "28"]);
    assert_eq!(aaaa, "55 0 1 0 0 0 1\n");
    let ptr = Tor::with_name().ask(&["dns", "query", "1.2.0.192", "in-addr.arpa", "12"]);
    assert_eq!(ptr, "66 0 1 112 108 101 0\n");
}

#[test]
fn programs_of_an_older_glibc_are_answered_too() {
    let tor = Tor::with_ipv4();
    assert_eq!(tor.ask(&["old", "a", "example"]), "8\n");
    assert_eq!(tor.asked().len(), 8);
    let tor = Tor::with_ipv4();
    // Two names each way; the address has no name, as this Tor answers with another address.
    assert_eq!(tor.ask(&["older", "a.example"]), "4\n");
    assert_eq!(tor.asked().len(), 6);
}

#[test]
fn the_host_id_identifies_nobody() {
    let tor = Tor::with_ipv4();
    assert_eq!(tor.ask(&["hostid"]), "7f0100\n");
    assert_eq!(tor.asked(), []);
}

#[test]
fn dns_queries_fail_as_libcs_do() {
    let (v4, nobody) = (Tor::with_ipv4(), Tor::without_answer());
    let txt = |form: &str| v4.ask(&["dns", form, "a", "example", "16"]);
    assert_eq!(txt("query"), format!("h_errno {NO_RECOVERY}\n"));
    // REFUSED, without a record.
    assert!(txt("send").starts_with("27 5 0 "));
    assert!(txt("send-nothing").starts_with("h_errno "));
    assert_eq!(v4.asked(), []);
    assert_eq!(v4.ask(&["dns", "query", "a", "example", "28"]), format!("h_errno {NO_DATA}\n"));
    let unknown = |form: &str| nobody.ask(&["dns", form, "a", "example", "1"]);
    assert_eq!(unknown("query"), format!("h_errno {HOST_NOT_FOUND}\n"));
    assert!(unknown("send").starts_with("27 3 0 "));
}

/// apt and dirmngr look for a service first, and go to the name itself if it has none.
#[test]
fn a_name_has_no_service_records_and_tor_is_not_asked_for_them() {
    let tor = Tor::with_ipv4();
    for srv_naptr_svcb_https in ["33", "35", "64", "65"] {
        let answer = tor.ask(&["dns", "query", "a", "example", srv_naptr_svcb_https]);
        assert_eq!(answer, format!("h_errno {NO_DATA}\n"));
        let answer = tor.ask(&["dns", "query", "_http._tcp.a", "example", srv_naptr_svcb_https]);
        assert_eq!(answer, format!("h_errno {HOST_NOT_FOUND}\n"));
    }
    assert_eq!(tor.asked(), []);
}

#[test]
fn a_hundred_and_fifty_threads_look_names_up_at_once() {
    let tor = Tor::with_ipv4();
    assert_eq!(tor.ask(&["threads", "a.example"]), "0 failed\n");
    assert_eq!(tor.asked().len(), 600);
}

#[test]
fn no_network_has_a_name() {
    let tor = Tor::with_ipv4();
    assert_eq!(tor.ask(&["networks", "loopback"]), "1 1\n1 1\n0 1 1\n0 1 1\n");
    assert_eq!(tor.0.recorded().len(), 0);
}
