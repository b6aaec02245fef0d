//! No Tor, and settings that make no sense: nothing leaves, and one line says why.

use crate::subject::{Subject, network_with};
use std::fs;
use std::path::Path;

#[test]
fn without_a_tor_a_program_fails_and_sends_nothing() {
    let Some(network) = network_with(&["curl"]) else { return };
    for url in ["http://v4only.test/", "http://198.51.100.1/"] {
        let curl = Subject::new("curl").args(["-sS", url]).env("EPOCHSOCKS_TOR_PORT", "9");
        let seen = curl.run(network);
        assert!(!seen.output.status.success(), "{seen:#?}");
        let stderr = seen.stderr();
        let said = stderr.lines().filter(|line| line.contains("epochsocks")).collect::<Vec<_>>();
        assert_eq!(said.len(), 1, "{stderr}");
        assert!(said[0].contains("127.0.0.1:9"), "{stderr}");
    }
}

#[test]
fn a_malformed_configuration_ends_with_file_and_line_before_the_program_runs() {
    let Some(network) = network_with(&[]) else { return };
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("malformed.conf");
    fs::write(&file, "# Tor\nTorPort 70000\n").expect("a file can be written");
    let seen = Subject::new("echo").arg("ran").env("EPOCHSOCKS_CONF_FILE", &file).run(network);
    assert_eq!(seen.output.status.code(), Some(125), "{seen:#?}");
    assert_eq!(seen.stdout(), "");
    assert_eq!(seen.stderr().lines().count(), 1, "{}", seen.stderr());
    assert!(seen.stderr().contains(&format!("{}:2", file.display())), "{}", seen.stderr());
}
