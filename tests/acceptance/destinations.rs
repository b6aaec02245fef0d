//! IPv4, IPv6 and mapped addresses, and names of every shape.

use crate::subject::{Subject, assert_connected, network_with};
use crate::support::preload::{hermetic, preload_library};
use crate::support::process::probe;
use crate::support::{Network, Observed};

fn connect(network: &Network, arguments: &[&str]) -> Observed {
    Subject::new(probe("connect")).args(arguments).succeed_where_it_would_leak(network)
}

fn resolve(network: &Network, names: &[&str]) -> (Vec<String>, Observed) {
    let seen = Subject::new(probe("resolve")).args(names).succeed(network);
    (seen.stdout().lines().map(str::to_owned).collect(), seen)
}

/// promise: IPv6 destinations
#[test]
fn an_ipv6_destination_is_reached_through_a_tor_port_on_ipv4() {
    let Some(network) = network_with(&["cc"]) else { return };
    let seen = connect(network, &["2001:db8::1", "7"]);
    assert!(seen.stdout().contains("peer 2001:db8::1 port 7\n"), "{seen:#?}");
    assert!(seen.stdout().contains("echo echo\n"), "{seen:#?}");
    assert_connected(&seen, "2001:db8::1", 7);
}

#[test]
fn a_socket_for_ipv6_only_reaches_a_tor_port_on_ipv4() {
    let Some(network) = network_with(&["cc"]) else { return };
    let seen = connect(network, &["2001:db8::1", "7", "v6only"]);
    assert!(seen.stdout().contains("echo echo\n"), "{seen:#?}");
    assert_connected(&seen, "2001:db8::1", 7);
}

#[test]
fn a_v4_mapped_destination_is_asked_for_as_ipv4() {
    let Some(network) = network_with(&["cc"]) else { return };
    let seen = connect(network, &["::ffff:198.51.100.1", "7"]);
    assert!(seen.stdout().contains("peer ::ffff:198.51.100.1 port 7\n"), "{seen:#?}");
    assert!(seen.stdout().contains("echo echo\n"), "{seen:#?}");
    assert_connected(&seen, "198.51.100.1", 7);
}

/// promise: IPv6 and TorAddress
#[test]
fn an_ipv6_address_of_tor_serves_ipv6_sockets() {
    let Some(network) = network_with(&["cc"]) else { return };
    let probe = Subject::new(probe("connect")).args(["2001:db8::1", "7"]);
    let seen = probe.env("EPOCHSOCKS_TOR_ADDRESS", "::1").succeed(network);
    assert!(seen.stdout().contains("echo echo\n"), "{seen:#?}");
    assert_connected(&seen, "2001:db8::1", 7);
}

#[test]
fn a_name_without_ipv4_resolves_to_ipv6() {
    let Some(network) = network_with(&["cc"]) else { return };
    let (answers, seen) = resolve(network, &["v6only.test", "dual.test"]);
    assert_eq!(answers, ["2001:db8::1", "198.51.100.1"]);
    assert!(seen.asked.iter().all(|asked| asked.kind == "resolve"), "{:#?}", seen.asked);
}

#[test]
fn a_trailing_dot_is_not_part_of_the_name() {
    let Some(network) = network_with(&["cc"]) else { return };
    let (answers, seen) = resolve(network, &["v4only.test."]);
    assert_eq!(answers, ["198.51.100.1"]);
    assert_eq!(seen.asked[0].host, "v4only.test");
}

#[test]
fn an_unknown_name_is_unknown() {
    let Some(network) = network_with(&["cc"]) else { return };
    let (answers, seen) = resolve(network, &["missing.test"]);
    assert_eq!(answers, ["EAI_NONAME"]);
    assert_eq!(seen.asked[0].host, "missing.test");
}

#[test]
fn an_address_of_either_family_is_named_by_tor() {
    let Some(network) = network_with(&["getent"]) else { return };
    for (address, name) in [("198.51.100.1", "v4only.test"), ("2001:db8::1", "v6only.test")] {
        let getent = Subject::new("getent").args(["hosts", address]);
        let seen = getent.succeed_where_it_would_leak(network);
        assert!(seen.stdout().split_whitespace().eq([address, name]), "{seen:#?}");
        assert_eq!((&*seen.asked[0].kind, &*seen.asked[0].host), ("resolve", address));
    }
}

#[test]
fn the_longest_name_of_dns_reaches_tor_whole() {
    let Some(network) = network_with(&["cc"]) else { return };
    let label = "a".repeat(60);
    let name = format!("{label}.{label}.{label}.{label}.wild.test");
    assert_eq!(name.len(), 253);
    let (answers, seen) = resolve(network, &[&name]);
    assert_eq!(answers, ["198.51.100.1"]);
    assert_eq!(seen.asked[0].host, name);
}

#[test]
fn a_name_too_long_for_socks_is_unknown_and_asks_nobody() {
    let Some(network) = network_with(&["cc"]) else { return };
    let (answers, seen) = resolve(network, &[&"a".repeat(256), &"a".repeat(5000)]);
    assert_eq!(answers, ["EAI_NONAME", "EAI_NONAME"]);
    assert_eq!(seen.asked, []);
}

#[test]
fn a_name_of_255_bytes_is_unknown_to_tor_and_harms_nobody() {
    let Some(network) = network_with(&["cc"]) else { return };
    let label = "a".repeat(63);
    let name = format!("{label}.{label}.{label}.{label}");
    assert_eq!(name.len(), 255);
    let (answers, _) = resolve(network, &[&name, "v4only.test"]);
    assert_eq!(answers, ["EAI_NONAME", "198.51.100.1"]);
}

/// As the README says of a SOCKS port that is a file.
#[test]
fn a_socket_file_of_tor_is_reached_by_way_of_socat() {
    let Some(network) = network_with(&["socat", "curl", "sh"]) else { return };
    let script = r#"
        socat TCP-LISTEN:9060,bind=127.0.0.1,reuseaddr,fork UNIX-CONNECT:"$1" &
        until socat -u OPEN:/dev/null TCP:127.0.0.1:9060 2>/dev/null; do sleep 0.1; done
        "$2" --port 9060 curl -sS --max-time 20 http://v4only.test/
        status=$?
        kill $!
        exit $status"#;
    // The relay runs outside.
    let mut command = std::process::Command::new("sh");
    let command =
        hermetic(&mut command).args(["-c", script, "sh"]).arg(network.path("client/socks"));
    command.arg(env!("CARGO_BIN_EXE_epochsocks")).env("EPOCHSOCKS_CONF_FILE", "none");
    let seen = network.run(command.env("EPOCHSOCKS_LIBRARY", preload_library()));
    assert_eq!(seen.stdout(), "hello from the world\n", "{seen:#?}");
    assert_eq!(seen.leaks, [""; 0], "{seen:#?}");
}
