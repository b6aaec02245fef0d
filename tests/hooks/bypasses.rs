//! Ways past Tor, tried from inside a C program: tests/probes/bypasses.c.

use std::time::Duration;

use crate::scene::{command, echoing_proxy, ends, play};
use crate::support::process::{finish, probe_as, text};

const LIMIT: Duration = Duration::from_secs(30);

/// Plays `scene`, which loads tests/probes/plugin.c, compiled with `flags` under `name`.
fn play_with_plugin(scene: &str, name: &'static str, flags: &[&str], handshakes: usize) {
    let proxy = echoing_proxy();
    let mut command = command("bypasses", scene, &proxy);
    command.env("PLUGIN", probe_as(name, "plugin", &[&["-shared", "-fPIC"], flags].concat()));
    ends(command);
    assert_eq!(proxy.recorded().len(), 2 * handshakes, "{:?}", proxy.recorded());
}

#[test]
fn only_tcp_sockets_can_be_made_by_any_name() {
    play("bypasses", "sockets", &echoing_proxy());
}

#[test]
fn a_refused_socket_is_told_once_with_its_program() {
    let output = finish(&mut command("bypasses", "sockets", &echoing_proxy()), LIMIT);
    let said = text(&output);
    assert_eq!(said.matches("warning: bypasses: socket(2, 0x2, 136) refused").count(), 1, "{said}");
    assert_eq!(said.matches(" refused: ").count(), 1, "{said}");
}

#[test]
fn messages_with_an_address_are_judged() {
    play("bypasses", "datagrams", &echoing_proxy());
}

#[test]
fn fast_open_connects_through_the_proxy_in_every_form() {
    let proxy = echoing_proxy();
    play("bypasses", "fast-open", &proxy);
    assert_eq!(proxy.recorded().len(), 8, "four handshakes: {:?}", proxy.recorded());
}

#[test]
fn messages_to_local_sockets_pass() {
    play("bypasses", "plain-messages", &echoing_proxy());
}

#[test]
fn options_lead_nothing_past_tor() {
    let proxy = echoing_proxy();
    play("bypasses", "options", &proxy);
    assert_eq!(proxy.recorded().len(), 2, "one handshake: {:?}", proxy.recorded());
}

#[test]
fn ancillary_data_lead_no_datagram_past_tor() {
    let mut command = command("bypasses", "control", &echoing_proxy());
    command.env("EPOCHSOCKS_ALLOW_OUTBOUND_LOCALHOST", "2");
    ends(command);
}

#[test]
fn what_connects_inside_libc_is_refused() {
    play("bypasses", "inside", &echoing_proxy());
}

#[test]
fn programs_of_old_get_no_rpc() {
    play("bypasses", "rpc", &echoing_proxy());
}

#[test]
fn what_glibc_exports_for_itself_is_refused() {
    play("bypasses", "private", &echoing_proxy());
}

/// promise: other calls by syscall(2)
/// promise: io_uring and SIGIO
#[test]
fn liburing_answers_as_without_io_uring() {
    play("bypasses", "liburing", &echoing_proxy());
    let folders = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64"];
    let paths = folders.iter().map(|folder| std::path::Path::new(folder).join("liburing.so.2"));
    let Some(path) = paths.into_iter().find(|path| path.exists()) else {
        return crate::support::skip::skip("not installed: liburing2");
    };
    let mut command = command("bypasses", "liburing", &echoing_proxy());
    command.env("LIBURING", path);
    ends(command);
}

/// promise: other calls by syscall(2)
#[test]
fn system_calls_that_no_hook_could_follow_are_absent() {
    play("bypasses", "system-calls", &echoing_proxy());
}

#[test]
fn the_upper_half_of_a_number_makes_no_other_call() {
    let proxy = echoing_proxy();
    play("bypasses", "upper-half", &proxy);
    assert_eq!(proxy.recorded().len(), 6, "three handshakes: {:?}", proxy.recorded());
}

#[test]
fn a_handle_of_libc_leads_to_the_hooks() {
    let proxy = echoing_proxy();
    play("bypasses", "handles", &proxy);
    assert_eq!(proxy.recorded().len(), 2, "one handshake: {:?}", proxy.recorded());
}

#[test]
fn a_version_of_a_function_leads_to_the_hooks() {
    let proxy = echoing_proxy();
    play("bypasses", "versions", &proxy);
    assert_eq!(proxy.recorded().len(), 2, "one handshake: {:?}", proxy.recorded());
}

#[test]
fn a_library_that_is_bound_deeply_calls_the_hooks() {
    play_with_plugin("deep", "plugin.so", &[], 2);
}

#[test]
fn the_next_function_behind_a_library_is_the_hook() {
    play_with_plugin("next", "plugin.so", &[], 0);
}

#[test]
fn a_libc_without_hooks_is_not_loaded() {
    play_with_plugin("namespaces", "plugin.so", &[], 0);
}

/// promise: Code that does not call the C library
#[test]
fn a_go_library_is_not_loaded() {
    play_with_plugin("go", "plugin.go.so", &["-DOF_GO"], 0);
}
