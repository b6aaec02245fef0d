//! No Tor, and settings that make no sense: nothing leaves, and one line says why.

use crate::subject::{Subject, network_with};
use std::fs;
use std::path::Path;

#[test]
fn without_a_tor_a_program_fails_and_sends_nothing() {
    let Some(network) = network_with(&["wget"]) else { return };
    for url in ["http://v4only.test/", "http://198.51.100.1/"] {
        let wget = Subject::new("wget").args(["-q", "-O", "-", url]);
        let seen = wget.env("EPOCHSOCKS_TOR_PORT", "9").run(network);
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

#[test]
fn an_onion_service_that_is_not_there_is_told_apart_by_tors_extended_errors() {
    let Some(network) = network_with(&["nc"]) else { return };
    let absent = "duckduckgogg42xjoc72x3sjasowoarfbgcmvfimaftt6twagswzczad.onion";
    let (first, rest) = network.onion().split_at(1);
    let wrong = format!("{}{rest}", if first == "a" { "b" } else { "a" });
    for (name, words) in [
        (absent, "onion service descriptor not found (code F0)"),
        (&wrong, "onion address invalid (code F6)"),
    ] {
        let nc = Subject::new("nc").args([name, "80"]).env("EPOCHSOCKS_TOR_PORT", "9051");
        let seen = nc.run(network);
        assert!(!seen.output.status.success() && seen.stderr().contains(words), "{seen:#?}");
    }
}
