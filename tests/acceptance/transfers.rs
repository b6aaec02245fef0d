//! Programs that fetch and send files, packages and keys. Each is first caught without the library.

use crate::programs::{ssh_command, ssh_options};
use crate::subject::{Subject, assert_asked_by_name, empty_directory, network_with};
use crate::support::Network;
use std::fs;
use std::path::Path;

const GREETING: &str = "hello from the world\n";

#[test]
fn scp_sends_and_fetches_a_file() {
    let Some(network) = network_with(&["scp"]) else { return };
    let directory = empty_directory("scp");
    let [source, sent, fetched] = ["source", "sent", "fetched"].map(|name| directory.join(name));
    fs::write(&source, GREETING).expect("a file can be written");
    let scp = || Subject::new("scp").arg("-q").args(ssh_options(network));
    let send = scp().arg(&source).arg(guest("v4only.test", &sent));
    assert_asked_by_name(&send.succeed_where_it_would_leak(network), "v4only.test", 22);
    assert_eq!(read(&sent), GREETING);
    scp().arg(guest(network.onion(), &sent)).arg(&fetched).succeed(network);
    assert_eq!(read(&fetched), GREETING);
}

#[test]
fn rsync_fetches_over_ssh() {
    let Some(network) = network_with(&["rsync", "ssh"]) else { return };
    let source = guest("v4only.test", &network.path("files/packages/"));
    rsync(network, "rsync-ssh", |rsync| rsync.arg("-e").arg(ssh_command(network)).arg(&source), 22);
}

#[test]
fn rsync_fetches_from_a_daemon() {
    let Some(network) = network_with(&["rsync"]) else { return };
    rsync(network, "rsync", |rsync| rsync.arg("rsync://v4only.test/files/packages/"), 873);
}

/// rsync of the world's directory of packages, from whatever `source` adds to its arguments.
fn rsync(network: &Network, name: &str, source: impl Fn(Subject) -> Subject, port: u16) {
    let directory = empty_directory(name);
    let seen = source(Subject::new("rsync").arg("-rt"))
        .arg(&directory)
        .succeed_where_it_would_leak(network);
    assert_eq!(read(&directory.join("hello.deb")), GREETING);
    assert_asked_by_name(&seen, "v4only.test", port);
}

#[test]
fn apt_fetches_a_list_and_a_package_without_a_proxy_setting() {
    let Some(network) = network_with(&["apt-get"]) else { return };
    let directory = empty_directory("apt");
    for place in
        ["etc/apt.conf.d", "etc/preferences.d", "cache/archives/partial", "state/lists/partial"]
    {
        fs::create_dir_all(directory.join(place)).expect("a directory can be created");
    }
    let place = directory.display();
    // In place of the machine's own settings, which may run programs.
    let settings = format!(
        "Dir {{ Etc \"{place}/etc\"; Cache \"{place}/cache\"; State \"{place}/state\"; }};
        Dir::State::status \"{place}/status\";
        APT::Sandbox::User \"root\"; Acquire::Languages \"none\";\n"
    );
    let sources = "deb [trusted=yes] http://v4only.test/packages ./\n";
    for (file, text) in
        [("apt.conf", settings.as_str()), ("etc/sources.list", sources), ("status", "")]
    {
        fs::write(directory.join(file), text).expect("a file can be written");
    }
    let apt = |command: &[&str]| {
        let apt = Subject::new("apt-get").env("APT_CONFIG", directory.join("apt.conf"));
        apt.arg("-qq").args(command)
    };
    let seen = apt(&["update"]).succeed_where_it_would_leak(network);
    assert_asked_by_name(&seen, "v4only.test", 80);
    assert_eq!(seen.stderr(), "", "nothing was refused");
    apt(&["--download-only", "--yes", "install", "hello-world"]).succeed(network);
    assert_eq!(read(&directory.join("cache/archives/hello-world_1_all.deb")), GREETING);
}

/// Its own resolver sends datagrams, so it is told to use libc's.
#[test]
fn dirmngr_of_gnupg_asks_a_key_server() {
    let Some(network) = network_with(&["dirmngr"]) else { return };
    let home = empty_directory("dirmngr");
    let script = r"printf 'KEYSERVER hkp://v4only.test\nKS_GET -- 0x0123456789ABCDEF\nBYE\n' |
        dirmngr --server --standard-resolver --no-use-tor --homedir";
    let dirmngr = Subject::new("bash").args(["-c", &format!("{script} {}", home.display())]);
    let seen = dirmngr.succeed_where_it_would_leak(network);
    assert!(seen.stdout().contains("\nD hello from the world%0A\n"), "{seen:#?}");
    assert_asked_by_name(&seen, "v4only.test", 11371);
    assert!(!seen.stderr().contains("epochsocks"), "nothing was refused: {seen:#?}");
}

fn guest(host: &str, path: &Path) -> String {
    format!("guest@{host}:{}", path.display())
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
