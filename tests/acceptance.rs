//! Real programs go through a real Tor.

mod support;

use std::process::Command;
use std::time::Duration;
use support::Network;

#[test]
fn a_program_without_the_library_falls_into_the_trap() {
    let Some(network) = Network::get() else { return };
    let limit = Duration::from_secs(5);
    let seen = network.run_until_leak(Command::new("curl").arg("http://v4only.test/"), limit);
    assert!(seen.leaks.contains(&"udp 192.0.2.53 port 53".to_owned()), "{seen:?}");
    assert_eq!(seen.asked, []);
}

#[test]
fn a_socks_client_reaches_the_world_without_a_leak() {
    let Some(network) = Network::get() else { return };
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--proxy", "socks5h://127.0.0.1:9050", "http://v6only.test/peer"]);
    let seen = network.run(&mut curl);
    assert_eq!(seen.stdout(), "2001:db8::9\n", "{seen:?}");
    assert_eq!(seen.leaks, [""; 0]);
    assert_eq!(seen.asked.len(), 1);
    assert_eq!(
        (seen.asked[0].kind.as_str(), seen.asked[0].host.as_str()),
        ("connect", "v6only.test")
    );
}
