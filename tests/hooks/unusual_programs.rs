//! Unusual programs: tests/probes/unusual_programs.c.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::scene::{command, echoing_proxy, ends, play};
use crate::support::network::python;
use crate::support::preload::hermetic;
use crate::support::process::{finish, probe, probe_as, text};
use crate::support::scripted_proxy::ScriptedProxy;
use crate::support::{preload_library, skip, torify};

const PLUGIN: [&str; 2] = ["-shared", "-fPIC"];

/// A library of the system's, by one of its names, or why the test does not run.
fn library(package: &str, names: &[&str]) -> Option<OsString> {
    let found = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64"]
        .iter()
        .flat_map(|folder| names.iter().map(|name| Path::new(folder).join(name)))
        .find(|path| path.exists());
    if found.is_none() {
        skip::skip(&format!("not installed: {package}"));
    }
    found.map(Into::into)
}

/// `program` without the launcher, which would load the libraries as well, under `libraries`.
fn under(libraries: [&OsStr; 2], program: &Path, proxy: &ScriptedProxy) -> Command {
    let mut command = Command::new(program);
    hermetic(&mut command).env("LD_PRELOAD", libraries.join(OsStr::new(":")));
    command.env("EPOCHSOCKS_CONF_FILE", "none");
    command.env("EPOCHSOCKS_TOR_PORT", proxy.port().to_string());
    command
}

/// The library behind ours, and before it.
fn both_orders(other: &OsStr) -> [[&OsStr; 2]; 2] {
    let ours = preload_library().as_os_str();
    [[ours, other], [other, ours]]
}

fn runs_with_allocator(package: &str, names: &[&str]) {
    let Some(allocator) = library(package, names) else { return };
    for libraries in both_orders(&allocator) {
        let mut command = under(libraries, &probe("unusual_programs"), &echoing_proxy());
        command.arg("allocator");
        ends(command);
    }
}

#[test]
fn jemalloc_is_no_obstacle() {
    runs_with_allocator("libjemalloc2", &["libjemalloc.so.2"]);
}

#[test]
fn tcmalloc_is_no_obstacle() {
    runs_with_allocator("libtcmalloc-minimal4", &["libtcmalloc_minimal.so.4"]);
}

#[test]
fn mimalloc_is_no_obstacle() {
    runs_with_allocator("libmimalloc", &["libmimalloc.so.2", "libmimalloc.so.3"]);
}

#[test]
fn the_address_sanitizer_is_no_obstacle() {
    let proxy = echoing_proxy();
    for (name, flags) in [
        ("unusual_programs.asan", ["-fsanitize=address", "-g"]),
        ("unusual_programs.static_asan", ["-fsanitize=address", "-static-libasan"]),
    ] {
        let mut command = torify(probe_as(name, "unusual_programs", &flags));
        command.arg("allocator").env("EPOCHSOCKS_TOR_PORT", proxy.port().to_string());
        // It wants to be the first library; ours is.
        command.env("ASAN_OPTIONS", "verify_asan_link_order=0:detect_leaks=0");
        ends(command);
    }
}

/// Also where its symbols are in the old kind of table, which only the dynamic linker reads; and
/// however it finds the function behind its own.
#[test]
fn another_library_before_libc_is_called_as_well() {
    for (name, flags) in [
        ("gnu.so", &["-Wl,--hash-style=gnu"] as &[_]),
        ("sysv.so", &["-Wl,--hash-style=sysv"]),
        ("handle.so", &["-DBY_HANDLE"]),
        ("version.so", &["-DBY_VERSION"]),
        ("handle_version.so", &["-DBY_HANDLE", "-DBY_VERSION"]),
    ] {
        let interposer = probe_as(name, "interposer", &[&["-shared", "-fPIC"], flags].concat());
        let libraries = [preload_library().as_os_str(), interposer.as_os_str()];
        // The hooks' own connects carry a launch's secret.
        for launch in [None, Some(("_EPOCHSOCKS_BACKSTOP", "deny.0123456789abcdef"))] {
            let mut command = under(libraries, &probe("unusual_programs"), &echoing_proxy());
            command.arg("interposer").envs(launch);
            let output = finish(&mut command, Duration::from_secs(30));
            let seen = text(&output);
            assert!(output.status.success(), "{name}: {}: {seen}", output.status);
            assert!(seen.contains("connects 1 shutdowns 1 closes 3\n"), "{name}: {seen}");
        }
    }
}

/// Ways in which a library in front of the hooks and of libc asks for a function. It finds the
/// hooks: not itself, and not libc past them.
const WAYS: [&[&str]; 5] = [
    &[],
    &["-DBY_HANDLE"],
    &["-DBY_VERSION"],
    &["-DBY_HANDLE", "-DBY_VERSION"],
    &["-DBY_DEFAULT", "-DBY_VERSION"],
];

fn plays_interposer(mut command: Command, proxy: &ScriptedProxy, way: &[&str]) {
    let output = finish(command.arg("interposer"), Duration::from_secs(30));
    let seen = text(&output);
    assert!(output.status.success(), "{way:?}: {}: {seen}", output.status);
    assert!(seen.contains("connects 2 shutdowns 1 "), "{way:?}: {seen}");
    assert_eq!(proxy.recorded().len(), 2, "{way:?}: one handshake: {:?}", proxy.recorded());
}

#[test]
fn a_library_in_front_finds_the_hooks() {
    let names = ["front.so", "front_h.so", "front_v.so", "front_hv.so", "front_dv.so"];
    for (name, way) in names.into_iter().zip(WAYS) {
        let proxy = echoing_proxy();
        let interposer = probe_as(name, "interposer", &[&["-shared", "-fPIC"], way].concat());
        let libraries = [interposer.as_os_str(), preload_library().as_os_str()];
        plays_interposer(under(libraries, &probe("unusual_programs"), &proxy), &proxy, way);
    }
}

/// The function that it takes for libc's connect leads through Tor as well.
#[test]
fn a_library_behind_the_hooks_finds_no_way_past_them() {
    let names = ["behind.so", "behind_h.so", "behind_v.so", "behind_hv.so", "behind_dv.so"];
    for (name, way) in names.into_iter().zip(WAYS) {
        let proxy = echoing_proxy();
        let interposer = probe_as(name, "interposer", &[&["-shared", "-fPIC"], way].concat());
        let libraries = [preload_library().as_os_str(), interposer.as_os_str()];
        let mut command = under(libraries, &probe("unusual_programs"), &proxy);
        let output = finish(command.arg("behind"), Duration::from_secs(30));
        assert!(output.status.success(), "{way:?}: {}", text(&output));
        assert_eq!(proxy.recorded().len(), 2, "{way:?}: one handshake: {:?}", proxy.recorded());
    }
}

#[test]
fn a_program_that_has_functions_of_libcs_names_finds_the_hooks() {
    const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/probes/interposer.c");
    let names = ["own", "own_h", "own_v", "own_hv", "own_dv"];
    for (name, way) in names.into_iter().zip(WAYS) {
        let proxy = echoing_proxy();
        let mut command = torify(probe_as(name, "unusual_programs", &[&[SOURCE], way].concat()));
        command.env("EPOCHSOCKS_TOR_PORT", proxy.port().to_string());
        plays_interposer(command, &proxy, way);
    }
}

#[test]
fn a_first_call_needs_no_lock_of_the_dynamic_linker() {
    let mut command = command("unusual_programs", "first-calls-while-loading", &echoing_proxy());
    command.env("PLUGIN", probe_as("plugin.so", "plugin", &PLUGIN));
    ends(command);
}

#[test]
fn hooks_work_before_every_constructor() {
    play("unusual_programs", "before-constructors", &echoing_proxy());
}

#[test]
fn a_librarys_constructor_and_destructor_use_sockets() {
    let plugin = probe_as("plugin.so", "plugin", &PLUGIN);
    let proxy = echoing_proxy();
    for libraries in both_orders(plugin.as_os_str()) {
        let mut command = under(libraries, &probe("unusual_programs"), &proxy);
        command.arg("thread-destructor").env("CONSTRUCTOR", "1");
        let output = finish(&mut command, Duration::from_secs(30));
        let seen = text(&output);
        assert!(output.status.success(), "{libraries:?}: {}: {seen}", output.status);
        assert!(seen.ends_with("destructor\n"), "{libraries:?}: {seen}");
    }
    assert_eq!(proxy.recorded().len(), 12, "three handshakes each: {:?}", proxy.recorded());
}

#[test]
fn hooks_work_in_destructors() {
    play("unusual_programs", "at-exit", &echoing_proxy());
}

#[test]
fn a_process_ends_while_its_threads_connect() {
    play("unusual_programs", "threads-at-exit", &echoing_proxy());
}

#[test]
fn a_threads_destructor_closes_its_socket() {
    play("unusual_programs", "thread-destructor", &echoing_proxy());
}

#[test]
fn a_plugin_connects_and_is_unloaded() {
    let mut command = command("unusual_programs", "plugin", &echoing_proxy());
    command.env("PLUGIN", probe_as("plugin.so", "plugin", &PLUGIN));
    ends(command);
}

#[test]
fn a_new_root_needs_none_of_our_files() {
    play("unusual_programs", "chroot", &echoing_proxy());
}

/// promise: Stack of an exec
#[test]
fn the_smallest_stack_is_enough() {
    play("unusual_programs", "small-stack", &echoing_proxy());
}

#[test]
fn a_small_alternate_stack_is_enough() {
    play("unusual_programs", "alternate-stack", &echoing_proxy());
}

#[test]
fn a_hundred_thousand_descriptors_are_followed() {
    play("unusual_programs", "many-descriptors", &echoing_proxy());
}

#[test]
fn a_lowered_limit_of_descriptors_loses_none() {
    play("unusual_programs", "descriptor-limit", &echoing_proxy());
}

/// promise: Locked memory
#[test]
fn memory_that_must_be_locked_and_can_not_is_an_error() {
    play("unusual_programs", "locked-memory", &echoing_proxy());
}

#[test]
fn a_seccomp_filter_that_knows_nothing_of_us_is_no_obstacle() {
    play("unusual_programs", "seccomp", &echoing_proxy());
}

/// promise: Filters that kill
#[test]
fn a_sandbox_that_kills_lets_a_connection_be_used_and_closed() {
    play("unusual_programs", "sandbox", &echoing_proxy());
}

#[test]
fn a_foreign_function_interface_reaches_the_hooks() {
    let proxy = echoing_proxy();
    let mut command = torify(python());
    command.env("EPOCHSOCKS_TOR_PORT", proxy.port().to_string()).args([
        "-c",
        "import ctypes, socket
libc = ctypes.CDLL('libc.so.6')
fd = libc.socket(2, 1, 0)
address = b'\\2\\0\\0\\x50\\xc0\\0\\2\\1' + bytes(8)
assert libc.connect(fd, address, 16) == 0
s = socket.socket(fileno=fd)
assert s.getpeername() == ('192.0.2.1', 80)
s.sendall(b'hello')
assert s.recv(5, socket.MSG_WAITALL) == b'hello'
print('done')",
    ]);
    ends(command);
    assert_eq!(proxy.recorded().len(), 2, "one handshake: {:?}", proxy.recorded());
}
