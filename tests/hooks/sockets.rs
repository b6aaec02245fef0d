//! TCP sockets, seen from inside a C program: tests/probes/sockets.c does one thing for
//! each argument and prints what it saw.

use crate::scene::{command, echoing_proxy, ends};
use crate::support::scripted_proxy::{Action, ScriptedProxy, method};

fn play(scene: &str, proxy: &ScriptedProxy) {
    crate::scene::play("sockets", scene, proxy);
}

#[test]
fn connect_goes_through_the_proxy() {
    let proxy = echoing_proxy();
    play("connect", &proxy);
    let request = b"\x05\x01\0\x03\x09192.0.2.1\0P".to_vec();
    assert_eq!(proxy.recorded(), [vec![5, 1, 0], request]);
}

#[test]
fn an_address_is_asked_for_by_the_one_name_that_tor_resolved_to_it() {
    let answer = Action::Reply(vec![5, 0, 0, 1, 192, 0, 2, 1, 0, 0]);
    let script = [Action::Greeting, method(0), Action::Request, answer, Action::Echo];
    let proxy = ScriptedProxy::start(&script);
    play("resolved", &proxy);
    let recorded = proxy.recorded();
    let requests = recorded.iter().filter(|message| message.len() > 3);
    let connects = requests.filter(|request| request[1] == 1);
    let hosts: Vec<_> = connects.map(|request| &request[5..request.len() - 2]).collect();
    let named = b"a.example".as_slice();
    // The second name makes it doubtful which one is meant.
    assert_eq!(hosts, [named, named, named, b"192.0.2.1", b"192.0.2.2"]);
}

#[test]
fn connect_of_an_ipv6_socket_goes_through_an_ipv4_port() {
    let proxy = echoing_proxy();
    play("connect6", &proxy);
    assert_eq!(proxy.recorded()[1], b"\x05\x01\0\x03\x0d[2001:db8::1]\x01\xbb");
}

/// promise: getpeername
#[test]
fn getpeername_answers_the_destination() {
    play("getpeername", &echoing_proxy());
}

#[test]
fn the_option_peername_is_getpeername() {
    play("peer-option", &echoing_proxy());
}

#[test]
fn where_a_peer_can_not_be_written_is_efault() {
    play("bad-pointers", &echoing_proxy());
}

#[test]
fn getpeername_of_a_connection_makes_no_system_call() {
    play("quiet", &echoing_proxy());
}

#[test]
fn duplicates_share_one_connection() {
    let proxy = echoing_proxy();
    play("duplicates", &proxy);
    assert_eq!(proxy.recorded().len(), 2, "one handshake: {:?}", proxy.recorded());
}

/// promise: I
#[test]
fn a_failed_dup2_leaves_the_entry() {
    play("failed-dup2", &echoing_proxy());
}

/// promise: I
#[test]
fn a_reused_descriptor_has_no_entry() {
    play("reuse", &echoing_proxy());
}

/// promise: One port for two sockets
#[test]
fn of_two_sockets_that_share_a_port_one_connects() {
    play("one-port", &echoing_proxy());
}

/// promise: invariant 10
#[test]
fn an_entry_closed_by_a_raw_call_is_noticed_at_connect() {
    let proxy = echoing_proxy();
    play("raw-close", &proxy);
    assert_eq!(proxy.recorded().len(), 4, "two handshakes: {:?}", proxy.recorded());
}

#[test]
fn unspec_dissolves_on_every_duplicate() {
    let proxy = echoing_proxy();
    play("dissolve", &proxy);
    assert_eq!(proxy.recorded().len(), 4, "two handshakes: {:?}", proxy.recorded());
}

#[test]
fn only_tcp_sockets_can_be_made() {
    play("socket", &echoing_proxy());
}

#[test]
fn bad_arguments_get_the_kernels_errno() {
    play("errno", &echoing_proxy());
}

#[test]
fn fast_open_goes_through_the_proxy() {
    let proxy = echoing_proxy();
    play("fast-open", &proxy);
    assert_eq!(proxy.recorded().len(), 2);
}

/// promise: listen on a public address
#[test]
fn inbound_is_refused() {
    play("inbound", &echoing_proxy());
}

/// promise: connect by syscall(2)
#[test]
fn syscall_takes_the_hooks_way() {
    let proxy = echoing_proxy();
    play("syscall", &proxy);
    assert_eq!(proxy.recorded().len(), 2);
}

/// promise: programs started with an empty environment (env -i)
#[test]
fn the_library_survives_a_fresh_environment() {
    play("exec", &echoing_proxy());
}

#[test]
fn a_vfork_child_changes_nothing_of_its_parent() {
    play("vfork", &echoing_proxy());
}

#[test]
fn a_forked_child_and_its_parent_both_go_on() {
    let proxy = echoing_proxy();
    play("fork", &proxy);
    assert_eq!(proxy.recorded().len(), 6, "three handshakes: {:?}", proxy.recorded());
}

/// promise: close in a signal handler that interrupted the library
#[test]
fn closing_in_a_signal_handler_does_not_deadlock() {
    play("signals", &echoing_proxy());
}

/// promise: A hook's socket stays on the machine
#[test]
fn tcp_sockets_are_bound_to_the_loopback_interface_unseen() {
    let play = |name: &str, value: &str, interface: &str| {
        let mut command = command("sockets", "interface", &echoing_proxy());
        command.env(name, value).env("EXPECTED_INTERFACE", interface);
        ends(command);
    };
    play("EPOCHSOCKS_BACKSTOP", "1", "lo");
    play("EPOCHSOCKS_ALLOW_INBOUND", "loopback", "lo");
    play("EPOCHSOCKS_BACKSTOP", "0", "");
    play("EPOCHSOCKS_ALLOW_INBOUND", "1", "");
    play("EPOCHSOCKS_ALLOW_DIRECT", "192.168.1.0/24", "");
}
