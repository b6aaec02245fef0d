//! Programs that resolve: by libc, by their own packets, many at once, or not at all.

use crate::programs::ssh_options;
use crate::subject::{Subject, assert_connected, empty_directory, network_with};

#[test]
fn getent_asks_tor() {
    let Some(network) = network_with(&["getent"]) else { return };
    let getent = Subject::new("getent").args(["hosts", "v4only.test"]);
    let seen = getent.succeed_where_it_would_leak(network);
    assert!(seen.stdout().starts_with("198.51.100.1 "), "{seen:#?}");
    // Once for each family.
    assert_eq!(seen.asked.len(), 2, "{:#?}", seen.asked);
    assert!(seen.asked.iter().all(|asked| asked.kind == "resolve"));
}

#[test]
fn tools_that_ask_a_name_server_by_themselves_are_answered_by_tor() {
    let Some(network) = network_with(&["dig", "host", "nslookup"]) else { return };
    for tool in ["dig", "host", "nslookup"] {
        let seen = Subject::new(tool).arg("v4only.test").succeed_where_it_would_leak(network);
        assert!(seen.stdout().contains("198.51.100.1"), "{seen:#?}");
        assert!(seen.asked.iter().all(|asked| asked.kind == "resolve"), "{seen:#?}");
    }
}

/// resolv.conf names a server with a public address, which Tor could reach.
#[test]
fn dig_is_answered_by_tor_where_it_asks_this_systems_name_server_by_tcp() {
    let Some(network) = network_with(&["dig"]) else { return };
    let dig = Subject::new("dig").args(["+tcp", "+short"]);
    let seen = dig.arg("v4only.test").succeed_where_it_would_leak(network);
    assert_eq!(seen.stdout(), "198.51.100.1\n", "{seen:#?}");
    assert!(seen.asked.iter().all(|asked| asked.kind == "resolve"), "{seen:#?}");
    let onion = Subject::new("dig").args(["+tcp", "+short", network.onion()]).succeed(network);
    assert!(onion.stdout().starts_with("127.42.42."), "{onion:#?}");
    assert!(onion.asked.is_empty(), "{onion:#?}");
}

#[test]
fn a_hundred_and_fifty_threads_resolve_at_once() {
    let Some(network) = network_with(&["python3"]) else { return };
    let script = "
import socket, threading
failed = []
def resolve():
    try:
        if socket.gethostbyname('v4only.test') != '198.51.100.1':
            failed.append('wrong')
    except OSError as error:
        failed.append(repr(error))
threads = [threading.Thread(target=resolve) for _ in range(150)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(len(failed), failed[:3])
";
    let seen = Subject::new("python3").args(["-c", script]).succeed_where_it_would_leak(network);
    assert_eq!(seen.stdout(), "0 []\n", "{seen:#?}");
    assert_eq!(seen.asked.len(), 150);
}

/// One question for tor where `--names resolve` has two: the connection carries the name.
#[test]
fn with_names_cookie_a_connection_carries_the_name() {
    let Some(network) = network_with(&["curl"]) else { return };
    let curl = Subject::new("curl").flag("--names").flag("cookie");
    let seen = curl.args(["-sS", "http://dual.test/"]).succeed_where_it_would_leak(network);
    assert_eq!(seen.stdout(), "hello from the world\n");
    assert_connected(&seen, "dual.test", 80);
    assert_eq!(seen.asked.len(), 1, "{:#?}", seen.asked);
}

/// curl asks for IPv6 addresses only where it can make an IPv6 datagram socket.
#[test]
fn with_names_cookie_curl_reaches_a_name_without_ipv4() {
    let Some(network) = network_with(&["curl"]) else { return };
    let curl = Subject::new("curl").flag("--names").flag("cookie");
    let seen = curl.args(["-sS", "http://v6only.test/"]).succeed(network);
    assert_eq!(seen.stdout(), "hello from the world\n");
    assert_connected(&seen, "v6only.test", 80);
}

/// ssh itself goes through Tor, and the program through ssh, as design/manual/using.md says.
///
/// promise: a SOCKS5 proxy other than Tor
#[test]
fn with_names_cookie_another_socks_proxy_than_tor_will_do() {
    let Some(network) = network_with(&["ssh", "curl", "sh"]) else { return };
    let directory = empty_directory("ssh-proxy");
    let script = r#"
        control=$1; launcher=$2; shift 2
        "$@" -f -N -M -S "$control" -D 127.0.0.1:1080 -oExitOnForwardFailure=yes guest@v4only.test ||
            exit 9
        "$launcher" --names cookie --port 1080 curl -sS --max-time 20 http://v4only.test/
        status=$?
        ssh -S "$control" -O exit v4only.test 2>/dev/null
        exit $status"#;
    let shell = Subject::new("sh").args(["-c", script, "sh"]).arg(directory.join("control"));
    let shell = shell.arg(env!("CARGO_BIN_EXE_epochsocks")).arg("ssh").args(ssh_options(network));
    // Landlock lets the launch inside connect to the outer one's port only.
    let seen = shell.flag("--no-backstop").succeed(network);
    assert_eq!(seen.stdout(), "hello from the world\n", "{seen:#?}");
    // Tor has heard of ssh alone.
    assert!(
        seen.asked.iter().all(|asked| asked.kind != "connect" || asked.port == 22),
        "{seen:#?}"
    );
}
