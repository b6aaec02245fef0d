//! Names and addresses of local networks, and the hosts file.

use std::process::Command;

use crate::support::hosts_file::with_hosts_file;
use crate::support::preload::launcher;
use crate::support::process::{finish, text};
use crate::{LIMIT, NI_NAMEREQD, Tor, asked_for, program, without_asking};

/// The command that looks `name` up with these settings; prints a line for each address.
fn lookup(tor: &Tor, name: &str, settings: &[(&str, &str)]) -> Command {
    let mut command = launcher();
    command.env("EPOCHSOCKS_TOR_PORT", tor.0.port().to_string()).envs(settings.iter().copied());
    command.arg(program()).args(["addrinfo", name, "443", "0", "0"]);
    command
}

/// Runs `command` and returns its output and the library's log.
fn seen(mut command: Command) -> (String, String) {
    let output = finish(&mut command, LIMIT);
    assert!(output.status.success(), "{}", text(&output));
    let string = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (string(&output.stdout), string(&output.stderr))
}

fn unknown() -> String {
    format!("EAI {}\n", libc::EAI_NONAME)
}

#[test]
fn local_names_are_asked_of_nobody_and_the_user_hears_why_once() {
    let tor = Tor::with_ipv4();
    for name in
        ["printer", "nas.local", "a.b.lan", "router.home.arpa", "api.internal", "a.invalid."]
    {
        let (answer, log) = seen(lookup(&tor, name, &[]));
        assert_eq!(answer, unknown(), "{name}");
        assert!(log.contains("LocalDestinations tor asks Tor"), "{log}");
        assert_eq!(log.lines().count(), 1, "{log}");
    }
    assert_eq!(tor.asked(), []);
}

#[test]
fn local_names_are_asked_of_tor_if_the_user_wants_it() {
    let tor = Tor::with_ipv4();
    let wanted = [("EPOCHSOCKS_LOCAL_DESTINATIONS", "tor")];
    let (answer, _) = seen(lookup(&tor, "printer", &wanted));
    assert_eq!(answer, "2 1 192.0.2.1 443 -\n");
    assert_eq!(tor.asked(), asked_for("printer"));
}

#[test]
fn addresses_of_private_networks_have_no_name() {
    let tor = Tor::with_name();
    for address in ["192.168.1.1", "10.0.0.1", "172.16.0.1", "169.254.1.1", "fe80::1", "fd00::1"] {
        let answer = tor.ask(&["nameinfo", address, &NI_NAMEREQD.to_string()]);
        assert_eq!(answer, unknown(), "{address}");
    }
    assert!(tor.ask(&["byaddr", "192.168.1.1"]).starts_with("h_errno 1\n"));
    without_asking(&tor);
}

#[test]
fn this_machines_names_in_the_hosts_file_are_loopback() {
    let tor = Tor::with_ipv4();
    let entries = "127.0.0.1 localhost\n127.0.1.1 box.example.org box\n::1 box.example.org\n\
                   192.168.1.7 other.example.org\n";
    let with = |name| with_hosts_file(&lookup(&tor, name, &[]), "own", entries);
    let Some(own) = with("Box.Example.org") else { return };
    assert_eq!(seen(own).0, "2 1 127.0.1.1 443 -\n10 1 ::1 443 -\n");
    without_asking(&tor);
    // Nothing else in the file counts.
    let Some(other) = with("other.example.org") else { return };
    assert_eq!(seen(other).0, "2 1 192.0.2.1 443 -\n");
    assert_eq!(tor.asked(), asked_for("other.example.org"));
}

#[test]
fn a_name_that_is_allowed_directly_has_its_address_of_the_hosts_file() {
    let tor = Tor::with_ipv4();
    let settings = [("EPOCHSOCKS_ALLOW_DIRECT", "nas.lan:445,.office.example")];
    let entries = "192.168.1.7 nas.lan\nfd00::9 www.office.example\n";
    let with = |name| with_hosts_file(&lookup(&tor, name, &settings), "direct", entries);
    let Some(nas) = with("nas.lan") else { return };
    assert_eq!(seen(nas).0, "2 1 192.168.1.7 443 -\n");
    let Some(www) = with("www.office.example") else { return };
    assert_eq!(seen(www).0, "10 1 fd00::9 443 -\n");
    without_asking(&tor);
}

#[test]
fn an_exit_does_not_lead_to_what_is_reached_directly() {
    let tor = Tor::with_local([192, 168, 1, 7]);
    let settings = [("EPOCHSOCKS_ALLOW_DIRECT", "192.168.1.0/24:445")];
    let (answer, log) = seen(lookup(&tor, "a.example", &settings));
    assert_eq!(answer, unknown());
    assert!(log.contains("192.168.1.7"), "{log}");
}

#[test]
fn a_name_that_tor_has_mapped_to_its_own_range_is_asked_for_by_name() {
    let tor = Tor::with_local([127, 192, 7, 8]);
    let (answer, _) = seen(lookup(&tor, "mapped.example", &[]));
    assert!(answer.starts_with("2 1 127.42.42."), "{answer}");
}
