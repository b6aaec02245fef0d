//! Programs that no preload library reaches go through Tor under a supervisor.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::subject::{Subject, assert_connected, network_with};
use crate::support::process::probe_as;
use crate::support::{Network, Observed};

pub const ADDRESS: &str = "198.51.100.1";
/// The client that the world's servers see if it comes by an exit.
pub const EXIT: &str = "198.51.100.9\n";

/// Builds a program with another compiler, once a process.
fn built(name: &str, build: impl FnOnce(&Path) -> Command) -> PathBuf {
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let own = program.with_extension(std::process::id().to_string());
    let output = build(&own).output().expect("the compiler can be run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::rename(&own, &program).expect("a file of ours can be renamed");
    program
}

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/probes").join(name)
}

pub fn go(name: &str, cgo: &str, flags: &[&str]) -> PathBuf {
    built(name, |program| {
        let mut go = Command::new("go");
        let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("go-cache");
        go.arg("build").args(flags).arg("-o").arg(program).arg(source("supervised.go"));
        go.env("CGO_ENABLED", cgo).env("GOCACHE", cache).env("GO111MODULE", "off");
        go
    })
}

pub fn supervised(program: impl AsRef<std::ffi::OsStr>) -> Subject {
    Subject::new(program).flag("--redirect")
}

/// Asserts that the program did what it was told, and that Tor was asked for the host.
#[track_caller]
fn fetched(seen: &Observed, host: &str) {
    assert!(seen.stdout().ends_with(EXIT), "{seen:#?}\n{}", seen.stderr());
    assert_connected(seen, host, 80);
}

/// By address, by a name that only the exit's name server knows, and by an onion name.
fn reaches_all(network: &Network, program: &Path) {
    let get = |host: &str| supervised(program).args(["get", host, "80"]);
    fetched(&get(ADDRESS).succeed_where_it_would_leak(network), ADDRESS);
    fetched(&get("v4only.test").succeed_where_it_would_leak(network), "v4only.test");
    let seen = get(network.onion()).succeed(network);
    assert_connected(&seen, network.onion(), 80);
    let seen = get("v4only.test").flag("--names").flag("cookie").succeed(network);
    fetched(&seen, "v4only.test");
    let seen = get("unknown.test").run(network);
    assert!(seen.stdout().starts_with("lookup: "), "{seen:#?}");
}

#[test]
fn a_static_program_of_glibc_goes_through_tor() {
    let Some(network) = network_with(&[]) else { return };
    let flags = ["-static", "-Wno-error", "-pthread"];
    reaches_all(network, &probe_as("supervised-static", "supervised", &flags));
}

#[test]
fn a_program_out_of_the_librarys_reach_gets_a_supervisor_by_itself_and_a_line_says_so() {
    let Some(network) = network_with(&[]) else { return };
    let program =
        probe_as("supervised-static", "supervised", &["-static", "-Wno-error", "-pthread"]);
    let get = || Subject::new(&program).args(["get", ADDRESS, "80"]);
    let seen = get().succeed_where_it_would_leak(network);
    fetched(&seen, ADDRESS);
    assert_eq!(seen.stderr().matches("a supervisor leads it through Tor").count(), 1, "{seen:#?}");
    let refused = get().flag("--no-redirect").run(network);
    assert_eq!(refused.output.status.code(), Some(126), "{refused:#?}");
}

fn musl(name: &str, flags: &[&str]) -> PathBuf {
    built(name, |program| {
        let mut compiler = Command::new("musl-gcc");
        compiler.args(flags).args(["-Dstrerrorname_np=strerror", "-w", "-pthread", "-o"]);
        compiler.arg(program).arg(source("supervised.c"));
        compiler
    })
}

#[test]
fn a_static_program_of_musl_goes_through_tor() {
    let Some(network) = network_with(&["musl-gcc"]) else { return };
    reaches_all(network, &musl("supervised-musl", &["-static"]));
}

/// Its dynamic linker would end it for a library that needs glibc.
#[test]
fn a_dynamic_program_of_musl_goes_through_tor_from_a_shell_too() {
    let Some(network) = network_with(&["musl-gcc"]) else { return };
    let program = musl("supervised-musl-dynamic", &[]);
    reaches_all(network, &program);
    fetched(&by_shells(&program, &["get", ADDRESS, "80"]).succeed(network), ADDRESS);
}

/// As the last command of one shell, and as the child of another.
fn by_shells(program: &Path, arguments: &[&str]) -> Subject {
    let script = r#"sh -c '"$@"; true' sh "$@""#;
    supervised("sh").args(["-c", script, "sh"]).arg(program.as_os_str()).args(arguments)
}

/// With the library, glibc's linker would miss what the library takes from libc.
#[test]
fn a_dynamic_program_without_a_libc_goes_through_tor_from_a_shell_too() {
    let Some(network) = network_with(&["go"]) else { return };
    let program = go("supervised-go-pie", "0", &["-buildmode=pie"]);
    let url = format!("http://{ADDRESS}/peer");
    let seen = supervised(&program).arg(&url).arg("2").succeed_where_it_would_leak(network);
    assert_eq!(seen.stdout().trim_end(), format!("2 {}", EXIT.trim_end()), "{seen:#?}");
    assert_connected(&by_shells(&program, &[&url, "2"]).succeed(network), ADDRESS, 80);
}

#[test]
fn static_and_dynamic_programs_of_go_go_through_tor() {
    let Some(network) = network_with(&["go"]) else { return };
    for (name, cgo) in [("supervised-go", "0"), ("supervised-cgo", "1")] {
        let program = go(name, cgo, &[]);
        let get = |url: &str, count| supervised(&program).arg(url).arg(count);
        let url = format!("http://{ADDRESS}/peer");
        let seen = get(&url, "60").succeed_where_it_would_leak(network);
        assert_eq!(seen.stdout().trim_end(), format!("60 {}", EXIT.trim_end()), "{seen:#?}");
        let seen = get("http://v4only.test/peer", "1").succeed_where_it_would_leak(network);
        assert!(seen.asked.iter().any(|asked| asked.host == "v4only.test"), "{seen:#?}");
        // Go's own resolver refuses onion names (RFC 7686): the C library is chosen.
        if cgo == "1" {
            let onion = get(&format!("http://{}/", network.onion()), "2");
            let seen = onion.succeed(network);
            assert!(seen.stdout().starts_with("2 hello"), "{seen:#?}");
        }
    }
}

#[test]
fn a_static_program_of_rust_goes_through_tor() {
    let Some(network) = network_with(&["rustc"]) else { return };
    let program = built("supervised-rust", |program| {
        let mut compiler = Command::new("rustc");
        compiler.args(["-C", "target-feature=+crt-static", "-o"]).arg(program);
        compiler.arg(source("supervised.rs"));
        compiler
    });
    for host in [ADDRESS, "v4only.test"] {
        let seen = supervised(&program).arg(host).succeed_where_it_would_leak(network);
        assert_eq!(seen.stdout(), format!("peer 80\n{EXIT}"), "{seen:#?}");
    }
}

#[test]
fn system_calls_of_a_dynamic_programs_own_go_through_tor_and_name_the_destination() {
    let Some(network) = network_with(&[]) else { return };
    let program = probe_as("supervised-dynamic", "supervised", &["-pthread"]);
    let seen =
        supervised(&program).args(["raw", ADDRESS, "80"]).succeed_where_it_would_leak(network);
    assert_eq!(seen.stdout(), format!("peer {ADDRESS} 80\n{EXIT}"), "{seen:#?}");
    // What the library does reach goes as it does without a supervisor.
    fetched(
        &supervised(&program).args(["get", "v4only.test", "80"]).succeed(network),
        "v4only.test",
    );
}

#[test]
fn children_of_vfork_closed_descriptors_and_fast_open_go_through_tor() {
    let Some(network) = network_with(&[]) else { return };
    let program =
        probe_as("supervised-static", "supervised", &["-static", "-Wno-error", "-pthread"]);
    for way in ["vfork", "closed", "fastopen"] {
        let subject = supervised(&program).args([way, ADDRESS, "80"]);
        assert_connected(&subject.succeed_where_it_would_leak(network), ADDRESS, 80);
    }
}

#[test]
fn datagrams_of_a_static_program_are_refused_by_every_call() {
    let Some(network) = network_with(&[]) else { return };
    let program =
        probe_as("supervised-static", "supervised", &["-static", "-Wno-error", "-pthread"]);
    let seen = supervised(&program).arg("datagrams").succeed_where_it_would_leak(network);
    let expected = "sendto EPERM\nsendmsg EPIPE\nsendmmsg EPIPE\nsendmsg to a local name server EPIPE\n\
                    connect EPERM\nraw EPERM\npacket EPERM\n";
    assert_eq!(seen.stdout(), expected, "{seen:#?}");
}

/// promise: No multicast group
/// Routers would be told, and again for seconds after its end: without the library it would fall into other tests' trap.
#[test]
fn no_program_joins_a_multicast_group_by_system_calls_of_its_own() {
    let Some(network) = network_with(&["cc"]) else { return };
    let flags = ["-static", "-Wno-error", "-pthread"];
    let fixed = probe_as("supervised-static", "supervised", &flags);
    let dynamic = probe_as("supervised-dynamic", "supervised", &["-pthread"]);
    for subject in [supervised(&fixed), supervised(&dynamic), Subject::new(&dynamic)] {
        let seen = subject.arg("groups").succeed(network);
        assert_eq!(seen.stdout(), "no group\n", "{seen:#?}");
    }
}

/// promise: UDP to the machine itself
/// A resolver of this machine would send the question on.
#[test]
fn no_datagram_reaches_another_port_of_this_machine_than_the_name_servers() {
    let Some(network) = network_with(&["cc"]) else { return };
    let flags = ["-static", "-Wno-error", "-pthread"];
    let fixed = probe_as("supervised-static", "supervised", &flags);
    let dynamic = probe_as("supervised-dynamic", "supervised", &["-pthread"]);
    let bare = network.run(&mut Subject::new(&fixed).arg("beside").bare());
    assert!(!bare.stdout().contains(" 0"), "the way is not open without the library: {bare:#?}");
    for subject in [supervised(&fixed), supervised(&dynamic), Subject::new(&dynamic)] {
        let seen = subject.arg("beside").succeed(network);
        assert_eq!(seen.stdout(), bare.stdout().replace(" 1", " 0"), "{seen:#?}");
    }
    let seen = supervised(&fixed).arg("races").succeed(network);
    assert_eq!(seen.stdout(), "another port: 0\nanother socket: 0\n", "{seen:#?}");
}

#[test]
fn a_program_that_kills_the_supervisor_has_no_network() {
    let Some(network) = network_with(&[]) else { return };
    let program =
        probe_as("supervised-static", "supervised", &["-static", "-Wno-error", "-pthread"]);
    // The launcher ends at once, and the program's output is read to its own end.
    let seen = supervised(program).arg("killer").run(network);
    assert_eq!(seen.output.status.code(), Some(125), "{seen:#?}");
    assert_eq!(seen.stdout(), "before done\nsocket ENOSYS\nconnect ENOSYS\n", "{seen:#?}");
}

#[test]
fn a_shells_children_of_every_kind_go_through_tor() {
    let Some(network) = network_with(&["curl"]) else { return };
    let flags = ["-static", "-Wno-error", "-pthread"];
    let program = probe_as("supervised-static", "supervised", &flags);
    let script = format!(
        "'{0}' get v4only.test 80; curl -sS http://v4only.test/peer; \
         env -i '{0}' get {ADDRESS} 80; exec '{0}' get {ADDRESS} 80",
        program.display()
    );
    let shell =
        Subject::new("bash").flag("--supervised-programs").flag("bash").args(["-c", &script]);
    let seen = shell.succeed_where_it_would_leak(network);
    assert_eq!(seen.stdout(), EXIT.repeat(4), "{seen:#?}");
}

#[test]
fn a_dynamic_programs_own_resolver_is_answered_by_the_hooks_beside_a_supervisor() {
    let Some(network) = network_with(&["dig"]) else { return };
    let seen =
        supervised("dig").args(["+short", "v4only.test"]).succeed_where_it_would_leak(network);
    assert_eq!(seen.stdout(), "198.51.100.1\n", "{seen:#?}");
}

#[test]
fn make_builds_with_many_programs_of_every_kind_at_once() {
    let Some(network) = network_with(&["make", "curl"]) else { return };
    let program =
        probe_as("supervised-static", "supervised", &["-static", "-Wno-error", "-pthread"]);
    let directory = crate::subject::empty_directory("supervised-make");
    let lines = format!(
        "all: $(foreach n,1 2 3 4 5 6 7 8,s$(n) d$(n))\ns%:\n\t'{}' get {ADDRESS} 80 > s$*\n\
         d%:\n\tcurl -sS -o d$* http://v4only.test/peer\n",
        program.display()
    );
    std::fs::write(directory.join("Makefile"), lines).expect("a file can be written");
    let chosen = Subject::new("make").flag("--supervised-programs").flag("make");
    let make = chosen.args(["-s", "-j", "8", "-C"]).arg(&directory);
    make.succeed(network);
    for name in (1..=8).flat_map(|n| [format!("s{n}"), format!("d{n}")]) {
        assert_eq!(std::fs::read_to_string(directory.join(&name)).unwrap(), EXIT, "{name}");
    }
}
