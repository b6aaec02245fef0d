// The hook table: one row per exported C symbol. The macro `hooks!` is defined by whoever reads it:
// `real.rs` and `exports.rs` of this crate, and the tests that check the table against the C
// headers, against `nm -D` and against design/hooks.md.
//
// before_resolution: what runs while the real function is unknown (hooks are called before any
// constructor): `kernel(NUMBER)` enters the kernel, `lookup` asks the dynamic linker at once.

hooks! {
    socket {
        signature: (domain: c_int, kind: c_int, protocol: c_int) -> c_int,
        header: "sys/socket.h",
        variadic: no,
        cancellation_point: no,
        async_signal_safe: yes,
        before_resolution: kernel(SYS_socket),
        handler: socket::socket,
        why: "only TCP can go through Tor, and a socket's record must exist before its first duplicate",
        policy: "inet streams are registered; other inet sockets, raw packets and unknown families are EPERM, other stream protocols EPROTONOSUPPORT",
        test: "hooks::only_tcp_sockets_can_be_made",
    }
    connect {
        signature: (socket: c_int, address: *const sockaddr, length: socklen_t) -> c_int,
        header: "sys/socket.h",
        variadic: no,
        cancellation_point: yes,
        async_signal_safe: yes,
        before_resolution: kernel(SYS_connect),
        handler: connect::connect,
        why: "the main job",
        policy: "inet streams go through Tor; localhost, wildcard addresses and datagrams are EPERM unless allowed",
        test: "hooks::connect_goes_through_the_proxy",
    }
    close {
        signature: (fd: c_int) -> c_int,
        header: "unistd.h",
        variadic: no,
        cancellation_point: yes,
        async_signal_safe: yes,
        before_resolution: kernel(SYS_close),
        handler: close::close,
        why: "an entry must not outlive its descriptor",
        policy: "forgets the entry first, without a lock",
        test: "hooks::a_reused_descriptor_has_no_entry",
    }
    getpeername {
        signature: (socket: c_int, address: *mut sockaddr, length: *mut socklen_t) -> c_int,
        header: "sys/socket.h",
        variadic: no,
        cancellation_point: no,
        async_signal_safe: yes,
        before_resolution: kernel(SYS_getpeername),
        handler: peer::getpeername,
        why: "the kernel knows only Tor's port",
        policy: "answers the destination that the program asked for",
        test: "hooks::getpeername_answers_the_destination",
    }
    dup {
        signature: (fd: c_int) -> c_int,
        header: "unistd.h",
        variadic: no,
        cancellation_point: no,
        async_signal_safe: yes,
        before_resolution: kernel(SYS_dup),
        handler: duplicate::dup,
        why: "a duplicate is the same socket",
        policy: "the new descriptor names the same record",
        test: "hooks::duplicates_share_one_connection",
    }
    dup2 {
        signature: (source: c_int, target: c_int) -> c_int,
        header: "unistd.h",
        variadic: no,
        cancellation_point: no,
        async_signal_safe: yes,
        before_resolution: lookup,
        handler: duplicate::dup2,
        why: "it closes one descriptor and duplicates another",
        policy: "the target's entry goes, and comes back if the call fails",
        test: "hooks::a_failed_dup2_leaves_the_entry",
    }
    dup3 {
        signature: (source: c_int, target: c_int, flags: c_int) -> c_int,
        header: "unistd.h",
        variadic: no,
        cancellation_point: no,
        async_signal_safe: yes,
        before_resolution: kernel(SYS_dup3),
        handler: duplicate::dup3,
        why: "it closes one descriptor and duplicates another",
        policy: "as dup2",
        test: "hooks::duplicates_share_one_connection",
    }
    sendto {
        signature: (socket: c_int, data: *const c_void, size: size_t, flags: c_int, address: *const sockaddr, length: socklen_t) -> ssize_t,
        header: "sys/socket.h",
        variadic: no,
        cancellation_point: yes,
        async_signal_safe: yes,
        before_resolution: kernel(SYS_sendto),
        handler: send::sendto,
        why: "a datagram and Fast Open carry a destination",
        policy: "MSG_FASTOPEN becomes connect and send; a datagram's address is validated like connect's",
        test: "hooks::fast_open_goes_through_the_proxy",
    }
    listen {
        signature: (socket: c_int, backlog: c_int) -> c_int,
        header: "sys/socket.h",
        variadic: no,
        cancellation_point: no,
        async_signal_safe: yes,
        before_resolution: kernel(SYS_listen),
        handler: listen::listen,
        why: "who comes in sees the machine's address",
        policy: "EPERM on an inet address that is not local, unless AllowInbound",
        test: "hooks::inbound_is_refused",
    }
    accept {
        signature: (socket: c_int, address: *mut sockaddr, length: *mut socklen_t) -> c_int,
        header: "sys/socket.h",
        variadic: no,
        cancellation_point: yes,
        async_signal_safe: yes,
        before_resolution: kernel(SYS_accept),
        handler: listen::accept,
        why: "who comes in sees the machine's address",
        policy: "as listen; the accepted socket's peer is the real one",
        test: "hooks::inbound_is_refused",
    }
    accept4 {
        signature: (socket: c_int, address: *mut sockaddr, length: *mut socklen_t, flags: c_int) -> c_int,
        header: "sys/socket.h",
        variadic: no,
        cancellation_point: yes,
        async_signal_safe: yes,
        before_resolution: kernel(SYS_accept4),
        handler: listen::accept4,
        why: "who comes in sees the machine's address",
        policy: "as accept",
        test: "hooks::inbound_is_refused",
    }
    execve {
        signature: (path: *const c_char, arguments: *const *mut c_char, environment: *const *mut c_char) -> c_int,
        header: "unistd.h",
        variadic: no,
        cancellation_point: no,
        async_signal_safe: yes,
        before_resolution: kernel(SYS_execve),
        handler: exec::execve,
        why: "what is executed must be protected too",
        policy: "keeps the library and its settings in the environment; what can't be protected is EPERM",
        test: "hooks::the_library_survives_a_fresh_environment",
    }
    syscall {
        signature: (number: c_long, a: c_long, b: c_long, c: c_long, d: c_long, e: c_long, f: c_long) -> c_long,
        header: "unistd.h",
        variadic: yes,
        cancellation_point: no,
        async_signal_safe: yes,
        before_resolution: lookup,
        handler: syscall::syscall,
        why: "it reaches every call above without its name",
        policy: "the numbers of the hooks above take the hooks' way; every other passes with all six arguments",
        test: "hooks::syscall_takes_the_hooks_way",
    }
}
