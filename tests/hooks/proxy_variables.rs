//! Proxy variables as a libcurl reads them: tests/probes/proxy_variables.c, and
//! tests/probes/libcurl.c in place of libcurl.

use std::process::Command;
use std::time::Duration;

use crate::scene::{command, echoing_proxy};
use crate::support::process::{finish, probe_as, text};

/// The last libcurl that looks onion names up, and the first that does not.
const LOOKS_UP: &str = "-DNUMBER=0x080001";
const REFUSES: &str = "-DNUMBER=0x080100";

/// `scene` with a libcurl of this version, and Tor at port 9050.
fn with(scene: &str, version: &'static str) -> Command {
    let mut command = command("proxy_variables", scene, &echoing_proxy());
    let name = if version == REFUSES { "libcurl-new.so" } else { "libcurl-old.so" };
    let libcurl = probe_as(name, "libcurl", &["-shared", "-fPIC", version]);
    command.env("LIBCURL", libcurl).env("EPOCHSOCKS_TOR_PORT", "9050");
    command
}

fn lines(mut command: Command) -> Vec<String> {
    let output = finish(&mut command, Duration::from_secs(30));
    assert!(output.status.success(), "{}", text(&output));
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut lines: Vec<String> = stdout.lines().map(str::to_owned).collect();
    assert_eq!(lines.pop().as_deref(), Some("done"), "{}", text(&output));
    lines
}

#[test]
fn libcurl_that_refuses_onion_names_is_told_tors_port() {
    let lines = lines(with("alone", REFUSES));
    let [direct, proxy] = &lines[..] else { panic!("{lines:?}") };
    assert!(direct.starts_with("NO_PROXY=localhost,"), "{direct}");
    assert_eq!(proxy, "ALL_PROXY=socks5h://127.0.0.1:9050");
}

#[test]
fn libcurl_that_looks_onion_names_up_is_told_nothing() {
    assert_eq!(lines(with("alone", LOOKS_UP)), [""; 0]);
}

#[test]
fn a_proxy_that_the_user_has_named_is_kept() {
    for (name, value) in
        [("http_proxy", "http://[::1]:8118"), ("ALL_PROXY", ""), ("all_proxy", "x")]
    {
        let mut command = with("given", REFUSES);
        command.env(name, value);
        assert_eq!(lines(command), [format!("{name}={value}")]);
    }
    let mut command = with("given", REFUSES);
    command.env("no_proxy", "a.example");
    let lines = lines(command);
    assert!(lines.iter().any(|line| line == "no_proxy=a.example"), "{lines:?}");
    assert!(lines.iter().any(|line| line.starts_with("ALL_PROXY=socks5h:")), "{lines:?}");
}

#[test]
fn the_proxy_is_told_the_user_name_that_isolates() {
    let mut command = with("alone", REFUSES);
    command.env("EPOCHSOCKS_USERNAME", "a@b").env("EPOCHSOCKS_PASSWORD", "c d");
    let lines = lines(command);
    assert!(lines.iter().any(|line| line == "ALL_PROXY=socks5h://a%40b:c%20d@127.0.0.1:9050"));
}

#[test]
fn no_proxy_is_named_that_would_mix_destinations() {
    let mut command = with("alone", REFUSES);
    command.env("EPOCHSOCKS_ISOLATE_DESTINATION", "1");
    let lines = lines(command);
    assert!(!lines.iter().any(|line| line.contains("socks5h")), "{lines:?}");
}

#[test]
fn a_forked_child_is_isolated_from_its_parent() {
    let mut command = with("forked", REFUSES);
    command.env("EPOCHSOCKS_ISOLATE_PID", "1");
    let lines = lines(command);
    let urls: Vec<_> = lines.iter().filter(|line| line.starts_with("ALL_PROXY=")).collect();
    assert!(urls.len() == 2 && urls[0] != urls[1], "{lines:?}");
    assert!(urls.iter().all(|url| url.starts_with("ALL_PROXY=socks5h://epochsocks-")), "{lines:?}");
}
