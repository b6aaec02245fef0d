//! The network libraries of several languages. Each is first caught without the library.

use crate::subject::{Subject, assert_asked_by_name, assert_connected, network_with};
use crate::support::network::python;
use crate::support::process::probe;
use crate::support::{Network, Observed};
use std::path::{Path, PathBuf};
use std::process::Command;

const GREETING: &str = "hello from the world\n";

/// A script of tests/probes/.
fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/probes").join(name)
}

/// Runs a one-liner that prints the greeting which it fetched from v4only.test.
fn greets(network: &Network, program: &str, arguments: &[&str]) {
    let seen = Subject::new(program).args(arguments).succeed_where_it_would_leak(network);
    assert_eq!(seen.stdout(), GREETING);
    assert_asked_by_name(&seen, "v4only.test", 80);
}

fn connections(seen: &Observed, port: u16) -> usize {
    seen.asked.iter().filter(|asked| asked.kind == "connect" && asked.port == port).count()
}

#[test]
fn sockets_of_perl_connect_and_know_their_peer() {
    let Some(network) = network_with(&["perl"]) else { return };
    let script = r#"
        $socket = IO::Socket::INET->new(PeerAddr => "v4only.test:7") or die "$@ $!";
        print $socket "echoed\n"; print scalar <$socket>; print $socket->peerhost, "\n";"#;
    let perl = Subject::new("perl").args(["-MIO::Socket::INET", "-e", script]);
    let seen = perl.succeed_where_it_would_leak(network);
    assert_eq!(seen.stdout(), "echoed\n198.51.100.1\n");
    assert_asked_by_name(&seen, "v4only.test", 7);
}

/// Fetches each URL with pycurl; nothing if its libcurl looks onion names up itself, as before 8.1.
fn pycurl(urls: &[&str]) -> Option<Subject> {
    let refuses = "import pycurl; assert pycurl.version_info()[2] >= 0x80100";
    let check = Command::new(python()).args(["-c", refuses]).output().expect("python runs");
    if !check.status.success() {
        // Debian 12 has no package of it: said aloud, and not a failure where tests must run.
        eprintln!("SKIPPED: python's pycurl with libcurl 8.1 or newer is not installed");
        return None;
    }
    let script = "import pycurl, sys
for url in sys.argv[1:]:
    curl = pycurl.Curl()
    curl.setopt(curl.URL, url)
    curl.perform()";
    Some(Subject::new(python()).args(["-c", script]).args(urls))
}

#[test]
fn libcurl_that_refuses_onion_names_fetches_from_an_onion_service() {
    let Some(network) = network_with(&[]) else { return };
    let url = format!("http://{}/", network.onion());
    let Some(pycurl) = pycurl(&[&url, "http://v4only.test/"]) else { return };
    let seen = pycurl.flag("-u").flag("alice").flag("-p").flag("1").succeed(network);
    assert_eq!(seen.stdout(), GREETING.repeat(2));
    assert_connected(&seen, network.onion(), 80);
    for asked in &seen.asked {
        assert_eq!(asked.username.as_deref(), Some("alice"), "{:#?}", seen.asked);
    }
}

#[test]
fn http_tiny_of_perl_fetches() {
    let Some(network) = network_with(&["perl"]) else { return };
    let script = r#"print HTTP::Tiny->new->get("http://v4only.test/")->{content}"#;
    greets(network, "perl", &["-MHTTP::Tiny", "-e", script]);
}

#[test]
fn http_get_of_node_fetches() {
    let Some(network) = network_with(&["node"]) else { return };
    let script = "require('http').get('http://v4only.test/', reply => reply.pipe(process.stdout))";
    greets(network, "node", &["-e", script]);
}

#[test]
fn fetch_of_node_fetches() {
    let Some(network) = network_with(&["node"]) else { return };
    let script = "fetch('http://v4only.test/').then(reply => reply.text())
        .then(text => process.stdout.write(text))";
    greets(network, "node", &["-e", script]);
}

#[test]
fn fetch_of_node_fetches_twenty_at_once_from_an_onion_service() {
    let Some(network) = network_with(&["node"]) else { return };
    let script = format!(
        "const one = () => fetch('http://{}/').then(reply => reply.text());
        Promise.all(Array.from({{length: 20}}, one)).then(all => console.log(new Set(all)))",
        network.onion()
    );
    let seen = Subject::new("node").args(["-e", &script]).succeed_where_it_would_leak(network);
    assert_eq!(seen.stdout(), "Set(1) { 'hello from the world\\n' }\n");
    assert_eq!(connections(&seen, 80), 20);
    assert_eq!(seen.asked.len(), 20, "an onion name is never resolved: {:#?}", seen.asked);
}

#[test]
fn ssl_of_python_fetches_https() {
    let Some(network) = network_with(&["python3"]) else { return };
    let script = "import ssl, sys, urllib.request as r
context = ssl.create_default_context(cafile=sys.argv[1])
print(r.urlopen('https://secure.test/', context=context).read().decode(), end='')";
    let python = Subject::new(python()).args(["-c", script]).arg(network.path("certificate.pem"));
    let seen = python.succeed_where_it_would_leak(network);
    assert_eq!(seen.stdout(), GREETING);
    assert_asked_by_name(&seen, "secure.test", 443);
}

#[test]
fn asyncio_of_python_opens_ten_connections() {
    let Some(network) = network_with(&["python3"]) else { return };
    let python = Subject::new(python()).arg(script("asynchronous.py")).arg("10");
    let seen = python.succeed_where_it_would_leak(network);
    assert_eq!(seen.stdout(), "10 of 10\n");
    for number in 0..10 {
        assert_asked_by_name(&seen, &format!("n{number}.wild.test"), 80);
    }
    assert_eq!(connections(&seen, 80), 10);
}

/// By vfork, by posix_spawn, by fork, with and without the parent's descriptors.
#[test]
fn programs_that_python_starts_go_through_tor_and_leave_its_connection_alone() {
    let Some(network) = network_with(&["python3", "curl"]) else { return };
    let python = Subject::new(python()).arg(script("children.py"));
    let seen = python.succeed_where_it_would_leak(network);
    assert_eq!(seen.stdout(), "5 children\n198.51.100.1 7 echo\n", "{seen:#?}");
    assert_eq!((connections(&seen, 7), connections(&seen, 80)), (1, 5));
}

#[test]
fn multiprocessing_of_python_works_by_fork_spawn_and_forkserver() {
    let Some(network) = network_with(&["python3"]) else { return };
    let python = Subject::new(python()).arg(script("processes.py"));
    let seen = python.succeed_where_it_would_leak(network);
    assert_eq!(seen.stdout(), "fork 4\nspawn 4\nforkserver 4\n", "{seen:#?}");
    assert_eq!(connections(&seen, 80), 12);
}

#[test]
fn connections_that_python_hands_over_keep_their_destination() {
    let Some(network) = network_with(&["python3"]) else { return };
    let python = Subject::new(python()).arg(script("hand_over.py")).arg(network.onion());
    let seen = python.succeed_where_it_would_leak(network);
    let greeting = "80 hello from the world";
    let expected = format!("198.51.100.1 {greeting}\n{} {greeting}\n", network.onion());
    assert_eq!(seen.stdout(), expected, "{seen:#?}");
    assert_eq!(connections(&seen, 80), 2);
}

#[test]
fn threads_of_a_c_program_resolve_connect_and_close_at_once() {
    let Some(network) = network_with(&["cc"]) else { return };
    let threads = Subject::new(probe("threads")).args(["20", "5"]);
    let seen = threads.succeed_where_it_would_leak(network);
    assert_eq!(seen.stdout(), "100 of 100\n");
    assert_connected(&seen, "198.51.100.1", 7);
    assert_eq!(connections(&seen, 7), 100);
}
