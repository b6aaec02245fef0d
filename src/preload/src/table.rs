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
        policy: "inet streams are registered; other inet sockets, raw packets and unknown families are EPERM, other stream protocols EPROTONOSUPPORT",
    }
    connect {
        signature: (socket: c_int, address: *const sockaddr, length: socklen_t) -> c_int,
        header: "sys/socket.h",
        variadic: no,
        cancellation_point: yes,
        async_signal_safe: yes,
        before_resolution: kernel(SYS_connect),
        handler: connect::connect,
        policy: "inet streams go through Tor; localhost, wildcard addresses and datagrams are EPERM unless allowed",
    }
    close {
        signature: (fd: c_int) -> c_int,
        header: "unistd.h",
        variadic: no,
        cancellation_point: yes,
        async_signal_safe: yes,
        before_resolution: kernel(SYS_close),
        handler: close::close,
        policy: "forgets the entry first, without a lock",
    }
    getpeername {
        signature: (socket: c_int, address: *mut sockaddr, length: *mut socklen_t) -> c_int,
        header: "sys/socket.h",
        variadic: no,
        cancellation_point: no,
        async_signal_safe: yes,
        before_resolution: kernel(SYS_getpeername),
        handler: peer::getpeername,
        policy: "answers the destination that the program asked for",
    }
    dup {
        signature: (fd: c_int) -> c_int,
        header: "unistd.h",
        variadic: no,
        cancellation_point: no,
        async_signal_safe: yes,
        before_resolution: kernel(SYS_dup),
        handler: duplicate::dup,
        policy: "the new descriptor names the same record",
    }
    dup2 {
        signature: (source: c_int, target: c_int) -> c_int,
        header: "unistd.h",
        variadic: no,
        cancellation_point: no,
        async_signal_safe: yes,
        before_resolution: lookup,
        handler: duplicate::dup2,
        policy: "the target's entry goes, and comes back if the call fails",
    }
    dup3 {
        signature: (source: c_int, target: c_int, flags: c_int) -> c_int,
        header: "unistd.h",
        variadic: no,
        cancellation_point: no,
        async_signal_safe: yes,
        before_resolution: kernel(SYS_dup3),
        handler: duplicate::dup3,
        policy: "as dup2",
    }
    sendto {
        signature: (socket: c_int, data: *const c_void, size: size_t, flags: c_int, address: *const sockaddr, length: socklen_t) -> ssize_t,
        header: "sys/socket.h",
        variadic: no,
        cancellation_point: yes,
        async_signal_safe: yes,
        before_resolution: kernel(SYS_sendto),
        handler: send::sendto,
        policy: "MSG_FASTOPEN becomes connect and send; a datagram's address is validated like connect's",
    }
    listen {
        signature: (socket: c_int, backlog: c_int) -> c_int,
        header: "sys/socket.h",
        variadic: no,
        cancellation_point: no,
        async_signal_safe: yes,
        before_resolution: kernel(SYS_listen),
        handler: listen::listen,
        policy: "EPERM on an inet address that is not local, unless AllowInbound",
    }
    accept {
        signature: (socket: c_int, address: *mut sockaddr, length: *mut socklen_t) -> c_int,
        header: "sys/socket.h",
        variadic: no,
        cancellation_point: yes,
        async_signal_safe: yes,
        before_resolution: kernel(SYS_accept),
        handler: listen::accept,
        policy: "as listen; the accepted socket's peer is the real one",
    }
    accept4 {
        signature: (socket: c_int, address: *mut sockaddr, length: *mut socklen_t, flags: c_int) -> c_int,
        header: "sys/socket.h",
        variadic: no,
        cancellation_point: yes,
        async_signal_safe: yes,
        before_resolution: kernel(SYS_accept4),
        handler: listen::accept4,
        policy: "as accept",
    }
    execve {
        signature: (path: *const c_char, arguments: *const *mut c_char, environment: *const *mut c_char) -> c_int,
        header: "unistd.h",
        variadic: no,
        cancellation_point: no,
        async_signal_safe: yes,
        before_resolution: kernel(SYS_execve),
        handler: exec::execve,
        policy: "keeps the library and its settings in the environment; what can't be protected is EPERM",
    }
    syscall {
        signature: (number: c_long, a: c_long, b: c_long, c: c_long, d: c_long, e: c_long, f: c_long) -> c_long,
        header: "unistd.h",
        variadic: yes,
        cancellation_point: no,
        async_signal_safe: yes,
        before_resolution: lookup,
        handler: syscall::syscall,
        policy: "the numbers of the hooks above take the hooks' way; every other passes with all six arguments",
    }
}
