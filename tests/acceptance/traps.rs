//! The network itself: a trap that catches nothing would pass every test.

use crate::support::Network;
use std::process::Command;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(5);

fn caught(program: &str, arguments: &[&str]) -> Option<Vec<String>> {
    let network = Network::get()?;
    let seen = network.run_until_leak(Command::new(program).args(arguments), LIMIT);
    assert_eq!(seen.asked, []);
    Some(seen.leaks)
}

#[test]
fn the_trap_catches_a_query_of_libc() {
    let Some(leaks) = caught("getent", &["hosts", "v4only.test"]) else { return };
    assert_eq!(leaks[0], "udp 192.0.2.53 port 53");
}

#[test]
fn the_trap_catches_connections_of_both_families() {
    let Some(leaks) = caught("bash", &["-c", ": < /dev/tcp/198.51.100.1/80"]) else { return };
    assert_eq!(leaks[0], "tcp 198.51.100.1 port 80");
    let Some(leaks) = caught("bash", &["-c", ": < /dev/tcp/2001:db8::1/80"]) else { return };
    assert_eq!(leaks[0], "tcp 2001:db8::1 port 80");
}

#[test]
fn a_socks_client_reaches_the_world_without_a_leak() {
    let Some(network) = Network::get() else { return };
    let mut curl = Command::new("curl");
    curl.args(["-sS", "--proxy", "socks5h://127.0.0.1:9050", "http://v6only.test/peer"]);
    let seen = network.run(&mut curl);
    assert_eq!(seen.stdout(), "2001:db8::9\n", "{seen:?}");
    assert_eq!(seen.leaks, [""; 0]);
    assert_eq!(seen.asked.len(), 1);
    assert_eq!((&*seen.asked[0].kind, &*seen.asked[0].host), ("connect", "v6only.test"));
}
