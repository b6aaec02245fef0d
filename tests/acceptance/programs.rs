//! The programs that a user runs. Each is first caught without the library.

use crate::subject::{Subject, assert_asked_by_name, assert_connected, network_with};
use crate::support::network::python;
use crate::support::{Network, Observed};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::Path;
use std::process::Command;

const GREETING: &str = "hello from the world\n";

#[test]
fn curl_fetches_https() {
    let Some(network) = network_with(&["curl"]) else { return };
    let curl = Subject::new("curl").args(["-sS", "https://secure.test/peer", "--cacert"]);
    let seen = curl.arg(network.path("certificate.pem")).succeed_where_it_would_leak(network);
    assert_eq!(seen.stdout(), "198.51.100.9\n");
    assert_asked_by_name(&seen, "secure.test", 443);
}

#[test]
fn curl_fetches_from_an_onion_service() {
    let Some(network) = network_with(&["curl"]) else { return };
    let url = format!("http://{}/", network.onion());
    // Without the library it asks for the name up to version 8.0 only.
    let seen = Subject::new("curl").args(["-sS", &url]).succeed(network);
    assert_eq!(seen.stdout(), GREETING);
    assert_connected(&seen, network.onion(), 80);
    assert_eq!(seen.asked.len(), 1, "an onion name is never resolved: {:#?}", seen.asked);
}

#[test]
fn wget_fetches_http() {
    let Some(network) = network_with(&["wget"]) else { return };
    let wget = Subject::new("wget").args(["-q", "-O", "-", "http://dual.test/"]);
    let seen = wget.succeed_where_it_would_leak(network);
    assert_eq!(seen.stdout(), GREETING);
    assert_asked_by_name(&seen, "dual.test", 80);
}

#[test]
fn git_clones_over_https() {
    let Some(network) = network_with(&["git"]) else { return };
    let url = "https://secure.test/repository.git";
    let certificate = network.path("certificate.pem");
    let seen = clone(network, url, "clone-https", ("GIT_SSL_CAINFO", certificate.as_os_str()));
    assert_asked_by_name(&seen, "secure.test", 443);
}

#[test]
fn git_clones_over_ssh() {
    let Some(network) = network_with(&["git", "ssh"]) else { return };
    let repository = network.path("files/repository.git");
    let url = format!("guest@v4only.test:{}", repository.display());
    let seen = clone(network, &url, "clone-ssh", ("GIT_SSH_COMMAND", &ssh_command(network)));
    assert_asked_by_name(&seen, "v4only.test", 22);
}

#[test]
fn ssh_runs_a_command_on_a_host() {
    let Some(network) = network_with(&["ssh"]) else { return };
    let seen = ssh(network, "v4only.test").succeed_where_it_would_leak(network);
    assert_eq!(seen.stdout(), "ran\n");
    assert_asked_by_name(&seen, "v4only.test", 22);
}

#[test]
fn ssh_runs_a_command_on_an_onion_service() {
    let Some(network) = network_with(&["ssh"]) else { return };
    let seen = ssh(network, network.onion()).succeed_where_it_would_leak(network);
    assert_eq!(seen.stdout(), "ran\n");
    assert_connected(&seen, network.onion(), 22);
}

#[test]
fn urllib_of_python_fetches_http() {
    let Some(network) = network_with(&["python3"]) else { return };
    let script = "import urllib.request as r; print(r.urlopen('http://v4only.test/').read())";
    let seen = Subject::new(python()).args(["-c", script]).succeed_where_it_would_leak(network);
    assert_eq!(seen.stdout(), format!("b{GREETING:?}\n").replace('"', "'"));
    assert_asked_by_name(&seen, "v4only.test", 80);
}

#[test]
fn nc_speaks_http_in_a_shell_pipe() {
    let Some(network) = network_with(&["nc"]) else { return };
    let script = r"printf 'GET / HTTP/1.0\r\n\r\n' | nc v4only.test 80";
    let seen = Subject::new("bash").args(["-c", script]).succeed_where_it_would_leak(network);
    assert!(seen.stdout().ends_with(GREETING), "{seen:#?}");
    assert_asked_by_name(&seen, "v4only.test", 80);
}

#[test]
fn s_client_of_openssl_speaks_https() {
    let Some(network) = network_with(&["openssl"]) else { return };
    // The origin closes without a word of TLS.
    let script = r#"printf 'GET /peer HTTP/1.0\r\n\r\n' | openssl s_client -quiet -verify_return_error \
        -ignore_unexpected_eof -CAfile "$0" -connect secure.test:443"#;
    let client = Subject::new("bash").args(["-c", script]).arg(network.path("certificate.pem"));
    let seen = client.succeed_where_it_would_leak(network);
    assert!(seen.stdout().ends_with("198.51.100.9\n"), "{seen:#?}");
    assert_asked_by_name(&seen, "secure.test", 443);
}

/// tor has no half-close, so socat must not tell it that its standard input has ended.
#[test]
fn socat_reaches_ipv4_and_ipv6() {
    let Some(network) = network_with(&["socat"]) else { return };
    for (address, name) in [("TCP:v4only.test", "v4only.test"), ("TCP6:v6only.test", "v6only.test")]
    {
        let script = format!("echo echoed | socat - {address}:7,shut-none | head -n1");
        let seen = Subject::new("bash").args(["-c", &script]).succeed_where_it_would_leak(network);
        assert_eq!(seen.stdout(), "echoed\n");
        assert_asked_by_name(&seen, name, 7);
    }
}

#[test]
fn fifty_threads_download_at_once() {
    let Some(network) = network_with(&["python3"]) else { return };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/probes/download.py");
    let seen = Subject::new(python()).arg(script).arg("50").succeed_where_it_would_leak(network);
    assert_eq!(seen.stdout(), "50 of 50\n");
    for number in 0..50 {
        assert_asked_by_name(&seen, &format!("n{number}.wild.test"), 80);
    }
    assert_eq!(connections(&seen), 50);
}

fn connections(seen: &Observed) -> usize {
    seen.asked.iter().filter(|asked| asked.kind == "connect").count()
}

fn ssh(network: &Network, host: &str) -> Subject {
    Subject::new("ssh").args(ssh_options(network)).args([&format!("guest@{host}"), "echo ran"])
}

/// The world's keys for ssh and what is built on it.
pub fn ssh_options(network: &Network) -> Vec<OsString> {
    let mut known_hosts = OsString::from("-oUserKnownHostsFile=");
    known_hosts.push(network.path("known_hosts"));
    vec![
        "-Fnone".into(),
        "-oBatchMode=yes".into(),
        "-oLogLevel=ERROR".into(),
        known_hosts,
        "-i".into(),
        network.path("user_key").into(),
    ]
}

/// The command for programs that start ssh by themselves.
pub fn ssh_command(network: &Network) -> OsString {
    let mut ssh = OsString::from("ssh");
    for option in ssh_options(network) {
        ssh.push(" ");
        ssh.push(option);
    }
    ssh
}

/// Clones the world's repository and asserts that its content has come.
fn clone(network: &Network, url: &str, name: &str, variable: (&str, &OsStr)) -> Observed {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let git = Subject::new("git").env("GIT_CONFIG_GLOBAL", "/dev/null").env(variable.0, variable.1);
    let git = git.args(["clone", "--quiet", url]).arg(&directory);
    // The directory of an earlier run, and then of the clone that the trap stopped.
    let _ = fs::remove_dir_all(&directory);
    git.must_leak_without_the_library(network);
    let _ = fs::remove_dir_all(&directory);
    let seen = git.succeed(network);
    let show = Command::new("git").args(["show", "HEAD:greeting"]).current_dir(&directory).output();
    assert_eq!(String::from_utf8_lossy(&show.expect("git can be run").stdout), GREETING);
    seen
}
