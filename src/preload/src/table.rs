//! The hook table: one row per exported C symbol. Everything else follows from it: the exports, the
//! real functions, design/hooks.md and the tests that compare the table with the C headers and with
//! `nm -D` of the library.
//!
//! A row says what differs. In this order:
//!
//! | key | meaning | without it |
//! | --- | --- | --- |
//! | a string | the header that declares the function | no header does: libc keeps it for old programs, or only a newer libc has it |
//! | `variadic` | the C function takes more arguments than its declaration names | it does not |
//! | `symbol: handler` | the handler itself is the exported symbol: it takes a list of arguments apart, or keeps the return address | the export calls the handler |
//! | `cancellation_point`, `async_signal_safe` | as POSIX says | no |
//! | `real` | the handler calls `real::NAME`. Where the tables of the loaded objects don't tell the function, `kernel(NUMBER)`, of a function that is one system call, enters the kernel, and `lookup` asks the dynamic linker | the handler never calls it |
//! | `handler`, `why`, `policy`, `test` | the function in `hooks`, its reason, its decision, the test that shows it | |
//!
//! `alias NAME = FUNCTION;` follows the row of a function that libc has by another name, too. It has
//! the function's row, except for what it says itself.

/// Calls `$reader` with each hook's name and its row, which `hook_row` reads.
macro_rules! for_each_hook { ($reader:ident) => { hook_rows! { $reader

    // ---- sockets: made, connected, named
    fn socket(domain: c_int, kind: c_int, protocol: c_int) -> c_int {
        "sys/socket.h", async_signal_safe: yes, real: kernel(SYS_socket),
        handler: sockets::socket::socket,
        why: "only TCP can go through Tor, and a socket's record must exist before its first duplicate",
        policy: "inet streams are registered, and under a backstop bound to the interface lo, UDP sockets always; other inet sockets, raw packets and unknown families are EPERM, other stream protocols EPROTONOSUPPORT",
        test: "hooks::only_tcp_sockets_can_be_made",
    }
    alias __socket = socket;
    fn socketpair(domain: c_int, kind: c_int, protocol: c_int, pair: *mut c_int) -> c_int {
        "sys/socket.h", async_signal_safe: yes, real: kernel(SYS_socketpair),
        handler: sockets::socket::socketpair,
        why: "families whose pairs can reach other machines", policy: "as socket",
        test: "hooks::only_tcp_sockets_can_be_made_by_any_name",
    }
    fn connect(socket: c_int, address: *const sockaddr, length: socklen_t) -> c_int {
        "sys/socket.h", cancellation_point: yes, async_signal_safe: yes, real: kernel(SYS_connect),
        handler: sockets::connect::connect,
        why: "the main job",
        policy: "inet streams go through Tor; localhost, wildcard addresses and datagrams are EPERM unless allowed; the questions of a UDP socket to port 53 are answered here, as by TCP to a local or private address",
        test: "hooks::connect_goes_through_the_proxy",
    }
    alias __connect = connect;
    fn getpeername(socket: c_int, address: *mut sockaddr, length: *mut socklen_t) -> c_int {
        "sys/socket.h", async_signal_safe: yes, real: kernel(SYS_getpeername),
        handler: sockets::peer_name::getpeername,
        why: "the kernel knows only Tor's port",
        policy: "answers the destination that the program asked for, also over exec and of a socket that was passed, and the name server that a UDP socket was connected to",
        test: "hooks::getpeername_answers_the_destination",
    }
    fn bind(socket: c_int, address: *const sockaddr, length: socklen_t) -> c_int {
        "sys/socket.h", async_signal_safe: yes, real: kernel(SYS_bind),
        handler: sockets::listen::bind,
        why: "a server that listens on all addresses can be kept to this machine",
        policy: "with AllowInbound loopback a TCP socket is bound to the loopback address instead of one that is not local; one that the hooks have bound to the interface lo gets every address instead of one on another interface, where nothing would come to it",
        test: "hooks::with_inbound_on_loopback_servers_listen_there",
    }
    fn listen(socket: c_int, backlog: c_int) -> c_int {
        "sys/socket.h", async_signal_safe: yes, real: kernel(SYS_listen),
        handler: sockets::listen::listen,
        why: "who comes in sees the machine's address",
        policy: "EPERM on an inet address that is not local, unless AllowInbound",
        test: "hooks::inbound_is_refused",
    }
    fn accept(socket: c_int, address: *mut sockaddr, length: *mut socklen_t) -> c_int {
        "sys/socket.h", cancellation_point: yes, async_signal_safe: yes, real: kernel(SYS_accept),
        handler: sockets::listen::accept,
        why: "who comes in sees the machine's address",
        policy: "as listen; the accepted socket's peer is the real one; of a UNIX socket nothing is asked",
        test: "hooks::inbound_is_refused",
    }
    fn accept4(
        socket: c_int, address: *mut sockaddr, length: *mut socklen_t, flags: c_int,
    ) -> c_int {
        "sys/socket.h", cancellation_point: yes, async_signal_safe: yes, real: kernel(SYS_accept4),
        handler: sockets::listen::accept4,
        why: "who comes in sees the machine's address", policy: "as accept",
        test: "hooks::inbound_is_refused",
    }
    fn setsockopt(
        socket: c_int, level: c_int, name: c_int, value: *const c_void, length: socklen_t,
    ) -> c_int {
        "sys/socket.h", async_signal_safe: yes, real: kernel(SYS_setsockopt),
        handler: sockets::option::setsockopt,
        why: "options can lead packets past Tor's port",
        policy: "other interfaces than lo, source routes, multicast groups, TCP_REPAIR and TCP_ULP but TLS are EPERM; TCP_FASTOPEN_CONNECT has no effect",
        test: "hooks::options_lead_nothing_past_tor",
    }
    fn getsockopt(
        fd: c_int, level: c_int, name: c_int, value: *mut c_void, length: *mut socklen_t,
    ) -> c_int {
        "sys/socket.h", async_signal_safe: yes, real: kernel(SYS_getsockopt),
        handler: sockets::state::getsockopt,
        why: "SO_ERROR is how a program learns what became of its connect, and SO_PEERNAME is getpeername by another name",
        policy: "SO_ERROR is 0 while a handshake is in flight, and the error of a failed one, once; SO_PEERNAME is answered as getpeername; of a TCP socket that the hooks have bound to the interface lo SO_BINDTODEVICE is none",
        test: "nonblocking::a_failure_is_told_once",
    }
    fn ioctl(fd: c_int, request: c_ulong, argument: c_long) -> c_int {
        "sys/ioctl.h", variadic: yes, async_signal_safe: yes, real: kernel(SYS_ioctl),
        handler: sockets::state::ioctl,
        why: "FIONREAD would count the bytes of the proxy",
        policy: "0 while a handshake is in flight; other requests pass",
        test: "nonblocking::data_wait_for_the_handshake",
    }
    fn shutdown(fd: c_int, how: c_int) -> c_int {
        "sys/socket.h", async_signal_safe: yes, real: kernel(SYS_shutdown),
        handler: sockets::state::shutdown,
        why: "a half-connected handshake is of no use",
        policy: "ends a handshake that is in flight, as Linux does with a connecting socket",
        test: "nonblocking::shutdown_ends_a_handshake",
    }

    // ---- descriptors: closed, duplicated, replaced
    fn close(fd: c_int) -> c_int {
        "unistd.h", cancellation_point: yes, async_signal_safe: yes, real: kernel(SYS_close),
        handler: descriptors::close::close,
        why: "an entry must not outlive its descriptor",
        policy: "forgets the entry first, without a lock",
        test: "hooks::a_reused_descriptor_has_no_entry",
    }
    alias __close = close;
    fn close_range(first: c_uint, last: c_uint, flags: c_int) -> c_int {
        "unistd.h", async_signal_safe: yes, real: kernel(SYS_close_range),
        handler: descriptors::close::close_range,
        why: "an entry must not outlive its descriptor",
        policy: "forgets the entries first; none with CLOSE_RANGE_CLOEXEC or if the call fails",
        test: "hooks::close_range_forgets_what_it_closes",
    }
    fn unshare(flags: c_int) -> c_int {
        "sched.h", real: kernel(SYS_unshare), handler: descriptors::tables::unshare,
        why: "a thread gets a descriptor table of its own, in which a number is another file",
        policy: "passes; with CLONE_FILES an entry is believed only if the socket is the same",
        test: "hooks::a_thread_with_descriptors_of_its_own_sees_no_others_peer",
    }
    fn clone(
        entry: CloneEntry, stack: *mut c_void, flags: c_int, argument: *mut c_void,
        parent: *mut pid_t, tls: *mut c_void, child: *mut pid_t,
    ) -> c_int {
        "sched.h", variadic: yes, real: lookup, handler: descriptors::tables::clone,
        why: "two processes may share a descriptor table, or two threads have one each",
        policy: "passes; an entry is believed only if the socket is the same",
        test: "hooks::a_process_that_shares_descriptors_leaves_no_peer_behind",
    }
    alias __clone = clone;
    fn closefrom(first: c_int) -> () {
        "unistd.h", async_signal_safe: yes, real: lookup, handler: descriptors::close::closefrom,
        why: "an entry must not outlive its descriptor", policy: "forgets the entries first",
        test: "hooks::closefrom_forgets_what_it_closes",
    }
    fn dup(fd: c_int) -> c_int {
        "unistd.h", async_signal_safe: yes, real: kernel(SYS_dup),
        handler: descriptors::duplicate::dup,
        why: "a duplicate is the same socket", policy: "the new descriptor names the same record",
        test: "hooks::duplicates_share_one_connection",
    }
    fn dup2(source: c_int, target: c_int) -> c_int {
        "unistd.h", async_signal_safe: yes, real: lookup, handler: descriptors::duplicate::dup2,
        why: "it closes one descriptor and duplicates another",
        policy: "the target's entry goes, and comes back if the call fails",
        test: "hooks::a_failed_dup2_leaves_the_entry",
    }
    alias __dup2 = dup2;
    fn dup3(source: c_int, target: c_int, flags: c_int) -> c_int {
        "unistd.h", async_signal_safe: yes, real: kernel(SYS_dup3),
        handler: descriptors::duplicate::dup3,
        why: "it closes one descriptor and duplicates another", policy: "as dup2",
        test: "hooks::duplicates_share_one_connection",
    }
    fn fcntl(fd: c_int, command: c_int, argument: c_long) -> c_int {
        "fcntl.h", variadic: yes, cancellation_point: yes, async_signal_safe: yes,
        real: kernel(SYS_fcntl), handler: descriptors::duplicate::fcntl,
        why: "F_DUPFD and F_DUPFD_CLOEXEC make duplicates",
        policy: "a duplicate names the same record; other commands pass",
        test: "hooks::fcntl_duplicates_share_one_connection",
    }
    alias fcntl64 = fcntl, header: "fcntl.h", test: "hooks::fcntl_duplicates_share_one_connection";
    alias __fcntl = fcntl;
    alias __libc_fcntl64 = fcntl;
    fn fclose(stream: *mut FILE) -> c_int {
        "stdio.h", cancellation_point: yes, real: lookup, handler: descriptors::streams::fclose,
        why: "libc closes the descriptor inside", policy: "forgets the entry first",
        test: "hooks::fclose_forgets_the_entry",
    }
    alias _IO_fclose = fclose;
    fn freopen(path: *const c_char, mode: *const c_char, stream: *mut FILE) -> *mut FILE {
        "stdio.h", cancellation_point: yes, real: lookup, handler: descriptors::streams::freopen,
        why: "libc closes the descriptor inside, also if the call fails",
        policy: "forgets the entry first",
        test: "hooks::freopen_forgets_the_entry_even_if_it_fails",
    }
    fn freopen64(path: *const c_char, mode: *const c_char, stream: *mut FILE) -> *mut FILE {
        "stdio.h", cancellation_point: yes, real: lookup, handler: descriptors::streams::freopen64,
        why: "as freopen", policy: "as freopen",
        test: "hooks::freopen_forgets_the_entry_even_if_it_fails",
    }
    fn fdopen(fd: c_int, mode: *const c_char) -> *mut FILE {
        "stdio.h", real: lookup, handler: descriptors::streams::fdopen,
        why: "libc reads and writes the stream's descriptor inside",
        policy: "waits for a handshake in flight; EPERM for a socket that write is refused for",
        test: "nonblocking::a_stream_begins_after_the_handshake",
    }
    alias _IO_fdopen = fdopen, test: "nonblocking::a_stream_begins_after_the_handshake";
    fn daemon(keeps_directory: c_int, keeps_standard: c_int) -> c_int {
        "unistd.h", real: lookup, handler: descriptors::terminal::daemon,
        why: "libc replaces descriptors 0 to 2 inside",
        policy: "forgets their entries if it succeeds",
        test: "hooks::daemon_forgets_the_standard_descriptors",
    }
    fn login_tty(terminal: c_int) -> c_int {
        "utmp.h", real: lookup, handler: descriptors::terminal::login_tty,
        why: "libc replaces descriptors 0 to 2 inside and closes the terminal's",
        policy: "forgets their entries if it succeeds",
        test: "hooks::a_failed_login_tty_leaves_the_entries",
    }
    fn forkpty(
        terminal: *mut c_int, name: *mut c_char, attributes: *const termios, size: *const winsize,
    ) -> c_int {
        "pty.h", real: lookup, handler: descriptors::terminal::forkpty,
        why: "libc replaces descriptors 0 to 2 in the child inside",
        policy: "the child forgets their entries",
        test: "hooks::forkpty_forgets_the_standard_descriptors_in_the_child",
    }

    // ---- data: sent, received, passed
    fn read(fd: c_int, data: *mut c_void, size: size_t) -> ssize_t {
        "unistd.h", cancellation_point: yes, async_signal_safe: yes, real: kernel(SYS_read),
        handler: data::incoming::read,
        why: "the next byte of a handshake is the proxy's",
        policy: "EAGAIN while a handshake is in flight, or waits for its end on a socket that may wait; the error of a failed one, once; on a UDP socket that has asked a name server it waits for Tor, too",
        test: "nonblocking::data_wait_for_the_handshake",
    }
    alias __read = read, test: "nonblocking::libcs_other_names_take_the_same_way";
    fn readv(fd: c_int, pieces: *const iovec, count: c_int) -> ssize_t {
        "sys/uio.h", cancellation_point: yes, async_signal_safe: yes, real: kernel(SYS_readv),
        handler: data::incoming::readv,
        why: "the next byte of a handshake is the proxy's", policy: "as read",
        test: "nonblocking::data_wait_for_the_handshake",
    }
    fn recv(fd: c_int, data: *mut c_void, size: size_t, flags: c_int) -> ssize_t {
        "sys/socket.h", cancellation_point: yes, async_signal_safe: yes, real: lookup,
        handler: data::incoming::recv,
        why: "the next byte of a handshake is the proxy's", policy: "as read",
        test: "nonblocking::data_wait_for_the_handshake",
    }
    alias __recv = recv;
    fn recvfrom(
        fd: c_int, data: *mut c_void, size: size_t, flags: c_int, address: *mut sockaddr,
        length: *mut socklen_t,
    ) -> ssize_t {
        "sys/socket.h", cancellation_point: yes, async_signal_safe: yes, real: kernel(SYS_recvfrom),
        handler: data::incoming::recvfrom,
        why: "the next byte of a handshake is the proxy's", policy: "as read",
        test: "nonblocking::data_wait_for_the_handshake",
    }
    fn __read_chk(fd: c_int, data: *mut c_void, size: size_t, room: size_t) -> ssize_t {
        "unistd.h", cancellation_point: yes, async_signal_safe: yes, real: lookup,
        handler: data::incoming::__read_chk,
        why: "programs built with _FORTIFY_SOURCE call it by this name", policy: "as read",
        test: "nonblocking::fortified_programs_see_a_connect_as_the_kernel_would",
    }
    fn __recv_chk(
        fd: c_int, data: *mut c_void, size: size_t, room: size_t, flags: c_int,
    ) -> ssize_t {
        "sys/socket.h", cancellation_point: yes, async_signal_safe: yes, real: lookup,
        handler: data::incoming::__recv_chk,
        why: "programs built with _FORTIFY_SOURCE call it by this name", policy: "as read",
        test: "nonblocking::fortified_programs_see_a_connect_as_the_kernel_would",
    }
    fn __recvfrom_chk(
        fd: c_int, data: *mut c_void, size: size_t, room: size_t, flags: c_int,
        address: *mut sockaddr, length: *mut socklen_t,
    ) -> ssize_t {
        "sys/socket.h", cancellation_point: yes, async_signal_safe: yes, real: lookup,
        handler: data::incoming::__recvfrom_chk,
        why: "programs built with _FORTIFY_SOURCE call it by this name", policy: "as read",
        test: "nonblocking::fortified_programs_see_a_connect_as_the_kernel_would",
    }
    fn preadv2(
        fd: c_int, pieces: *const iovec, count: c_int, offset: off_t, flags: c_int,
    ) -> ssize_t {
        "sys/uio.h", cancellation_point: yes, real: lookup, handler: data::incoming::preadv2,
        why: "the next byte of a handshake is the proxy's",
        policy: "as readv, which it is for a socket",
        test: "nonblocking::data_wait_for_the_handshake",
    }
    alias preadv64v2 = preadv2, header: "sys/uio.h",
        test: "nonblocking::data_wait_for_the_handshake";
    fn recvmsg(socket: c_int, message: *mut msghdr, flags: c_int) -> ssize_t {
        "sys/socket.h", cancellation_point: yes, async_signal_safe: yes, real: kernel(SYS_recvmsg),
        handler: data::receive::recvmsg,
        why: "network sockets of other processes come in past Tor",
        policy: "EACCES and only they are closed, or as PassedSockets says; what is known to be connected through Tor is taken; while a handshake is in flight as read",
        test: "hooks::a_passed_network_socket_is_refused",
    }
    fn recvmmsg(
        socket: c_int, messages: *mut mmsghdr, count: c_uint, flags: c_int, limit: *mut timespec,
    ) -> c_int {
        "sys/socket.h", cancellation_point: yes, async_signal_safe: yes, real: kernel(SYS_recvmmsg),
        handler: data::receive::recvmmsg,
        why: "as recvmsg",
        policy: "as recvmsg, but every message comes: refused sockets are taken out, with MSG_CTRUNC; while a handshake is in flight as read",
        test: "hooks::recvmmsg_loses_no_message",
    }
    fn pidfd_getfd(process: c_int, target: c_int, flags: c_uint) -> c_int {
        "sys/pidfd.h", async_signal_safe: yes, real: kernel(SYS_pidfd_getfd),
        handler: data::receive::pidfd_getfd,
        why: "as recvmsg", policy: "as recvmsg",
        test: "hooks::a_socket_taken_from_another_process_is_refused",
    }
    fn write(fd: c_int, data: *const c_void, size: size_t) -> ssize_t {
        "unistd.h", cancellation_point: yes, async_signal_safe: yes, real: kernel(SYS_write),
        handler: data::outgoing::write,
        why: "the program's data must not come between a handshake's, nor leave by a UDP socket",
        policy: "as read; on a UDP socket that is connected to a name server a question, on another one and on a TCP socket that was connected past the hooks EPERM, unless they stay on this machine",
        test: "nonblocking::data_wait_for_the_handshake",
    }
    alias __write = write, test: "nonblocking::libcs_other_names_take_the_same_way";
    fn dprintf(fd: c_int, format: *const c_char) -> c_int {
        "stdio.h", variadic: yes, symbol: handler, handler: data::formatted::dprintf,
        why: "libc writes inside", policy: "as write",
        test: "nonblocking::what_libc_formats_waits_for_the_handshake",
    }
    fn vdprintf(fd: c_int, format: *const c_char, arguments: va_list) -> c_int {
        "stdio.h", real: lookup, handler: data::formatted::vdprintf,
        why: "libc writes inside", policy: "as write",
        test: "nonblocking::what_libc_formats_waits_for_the_handshake",
    }
    fn __dprintf_chk(fd: c_int, flag: c_int, format: *const c_char) -> c_int {
        "stdio.h", variadic: yes, symbol: handler, handler: data::formatted::__dprintf_chk,
        why: "what dprintf is with _FORTIFY_SOURCE", policy: "as write",
        test: "nonblocking::what_libc_formats_waits_for_the_handshake",
    }
    fn __vdprintf_chk(fd: c_int, flag: c_int, format: *const c_char, arguments: va_list) -> c_int {
        "stdio.h", real: lookup, handler: data::formatted::__vdprintf_chk,
        why: "what vdprintf is with _FORTIFY_SOURCE", policy: "as write",
        test: "nonblocking::what_libc_formats_waits_for_the_handshake",
    }
    fn writev(fd: c_int, pieces: *const iovec, count: c_int) -> ssize_t {
        "sys/uio.h", cancellation_point: yes, async_signal_safe: yes, real: kernel(SYS_writev),
        handler: data::outgoing::writev,
        why: "the program's data must not come between a handshake's, nor leave by a UDP socket",
        policy: "as write",
        test: "nonblocking::data_wait_for_the_handshake",
    }
    fn send(fd: c_int, data: *const c_void, size: size_t, flags: c_int) -> ssize_t {
        "sys/socket.h", cancellation_point: yes, async_signal_safe: yes, real: lookup,
        handler: data::outgoing::send,
        why: "the program's data must not come between a handshake's, nor leave by a socket that was connected elsewhere",
        policy: "as write, for every socket that has no record",
        test: "nonblocking::data_wait_for_the_handshake",
    }
    alias __send = send, test: "nonblocking::libcs_other_names_take_the_same_way";
    fn pwritev2(
        fd: c_int, pieces: *const iovec, count: c_int, offset: off_t, flags: c_int,
    ) -> ssize_t {
        "sys/uio.h", cancellation_point: yes, real: lookup, handler: data::outgoing::pwritev2,
        why: "the program's data must not come between a handshake's, nor leave by a UDP socket",
        policy: "as writev, which it is for a socket",
        test: "nonblocking::data_wait_for_the_handshake",
    }
    alias pwritev64v2 = pwritev2, header: "sys/uio.h",
        test: "nonblocking::data_wait_for_the_handshake";
    fn sendfile(fd: c_int, source: c_int, offset: *mut off_t, size: size_t) -> ssize_t {
        "sys/sendfile.h", async_signal_safe: yes, real: kernel(SYS_sendfile),
        handler: data::outgoing::sendfile,
        why: "the program's data must not come between a handshake's, nor leave by a UDP socket",
        policy: "as write for the target, as read for the source",
        test: "nonblocking::data_wait_for_the_handshake",
    }
    alias sendfile64 = sendfile, header: "sys/sendfile.h",
        test: "nonblocking::data_wait_for_the_handshake";
    fn splice(
        source: c_int, source_offset: *mut loff_t, target: c_int, target_offset: *mut loff_t,
        size: size_t, flags: c_uint,
    ) -> ssize_t {
        "fcntl.h", cancellation_point: yes, async_signal_safe: yes, real: kernel(SYS_splice),
        handler: data::outgoing::splice,
        why: "the program's data must not come between a handshake's, nor leave by a UDP socket",
        policy: "as write for the target, as read for the source",
        test: "nonblocking::data_wait_for_the_handshake",
    }
    fn aio_read(request: *mut aiocb) -> c_int {
        "aio.h", real: lookup, handler: data::asynchronous::aio_read,
        why: "a thread of libc's reads, and would take a handshake's data",
        policy: "EAGAIN while a handshake is in flight",
        test: "nonblocking::requests_to_libcs_threads_begin_after_the_handshake",
    }
    fn aio_read64(request: *mut aiocb64) -> c_int {
        "aio.h", handler: data::asynchronous::aio_read,
        why: "aio_read by another name", policy: "as aio_read",
        test: "nonblocking::requests_to_libcs_threads_begin_after_the_handshake",
    }
    fn aio_write(request: *mut aiocb) -> c_int {
        "aio.h", real: lookup, handler: data::asynchronous::aio_write,
        why: "a thread of libc's writes", policy: "as write; EAGAIN while a handshake is in flight",
        test: "hooks::a_udp_socket_that_no_hook_has_made_sends_nothing",
    }
    fn aio_write64(request: *mut aiocb64) -> c_int {
        "aio.h", handler: data::asynchronous::aio_write,
        why: "aio_write by another name", policy: "as aio_write",
        test: "hooks::a_udp_socket_that_no_hook_has_made_sends_nothing",
    }
    fn lio_listio(
        mode: c_int, list: *const *mut aiocb, count: c_int, notification: *mut sigevent,
    ) -> c_int {
        "aio.h", real: lookup, handler: data::asynchronous::lio_listio,
        why: "as aio_read and aio_write", policy: "as these; all requests begin or none",
        test: "hooks::a_udp_socket_that_no_hook_has_made_sends_nothing",
    }
    fn lio_listio64(
        mode: c_int, list: *const *mut aiocb64, count: c_int, notification: *mut sigevent,
    ) -> c_int {
        "aio.h", handler: data::asynchronous::lio_listio,
        why: "lio_listio by another name", policy: "as lio_listio",
        test: "hooks::a_udp_socket_that_no_hook_has_made_sends_nothing",
    }
    fn sendto(
        socket: c_int, data: *const c_void, size: size_t, flags: c_int, address: *const sockaddr,
        length: socklen_t,
    ) -> ssize_t {
        "sys/socket.h", cancellation_point: yes, async_signal_safe: yes, real: kernel(SYS_sendto),
        handler: data::send::sendto,
        why: "a datagram and Fast Open carry a destination",
        policy: "MSG_FASTOPEN becomes connect and send; a datagram's address is validated like connect's, and a question to port 53 answered here",
        test: "hooks::fast_open_goes_through_the_proxy",
    }
    fn sendmsg(socket: c_int, message: *const msghdr, flags: c_int) -> ssize_t {
        "sys/socket.h", cancellation_point: yes, async_signal_safe: yes, real: kernel(SYS_sendmsg),
        handler: data::send::sendmsg,
        why: "as sendto",
        policy: "as sendto; a route or another interface than lo in a datagram's ancillary data is EPERM; where a connection leads that is passed is told to the launch; while a handshake is in flight as write",
        test: "hooks::messages_with_an_address_are_judged",
    }
    fn sendmmsg(socket: c_int, messages: *mut mmsghdr, count: c_uint, flags: c_int) -> c_int {
        "sys/socket.h", cancellation_point: yes, async_signal_safe: yes, real: kernel(SYS_sendmmsg),
        handler: data::send::sendmmsg,
        why: "as sendto",
        policy: "as sendmsg, for each message; what was sent before one is refused is told; while a handshake is in flight as write",
        test: "hooks::messages_with_an_address_are_judged",
    }
    alias __sendmmsg = sendmmsg;

    // ---- waits
    fn poll(entries: *mut pollfd, count: nfds_t, timeout: c_int) -> c_int {
        "poll.h", cancellation_point: yes, async_signal_safe: yes, real: lookup,
        handler: waits::poll::poll,
        why: "a connect must not show its handshake, nor wait for it",
        policy: "a socket with a handshake in flight is waited for as the handshake needs it, and shows nothing before its end",
        test: "nonblocking::poll_sees_a_connect_as_the_kernel_would",
    }
    alias __poll = poll, test: "nonblocking::libcs_other_names_take_the_same_way";
    fn ppoll(
        entries: *mut pollfd, count: nfds_t, timeout: *const timespec, mask: *const sigset_t,
    ) -> c_int {
        "poll.h", cancellation_point: yes, async_signal_safe: yes, real: lookup,
        handler: waits::poll::ppoll,
        why: "a connect must not show its handshake, nor wait for it", policy: "as poll",
        test: "nonblocking::ppoll_sees_a_connect_as_the_kernel_would",
    }
    fn __poll_chk(entries: *mut pollfd, count: nfds_t, timeout: c_int, size: size_t) -> c_int {
        "poll.h", cancellation_point: yes, async_signal_safe: yes, real: lookup,
        handler: waits::poll::poll_chk,
        why: "programs built with _FORTIFY_SOURCE call it by this name", policy: "as poll",
        test: "nonblocking::fortified_programs_see_a_connect_as_the_kernel_would",
    }
    fn __ppoll_chk(
        entries: *mut pollfd, count: nfds_t, timeout: *const timespec, mask: *const sigset_t,
        size: size_t,
    ) -> c_int {
        "poll.h", cancellation_point: yes, async_signal_safe: yes, real: lookup,
        handler: waits::poll::ppoll_chk,
        why: "programs built with _FORTIFY_SOURCE call it by this name", policy: "as poll",
        test: "nonblocking::fortified_programs_see_a_connect_as_the_kernel_would",
    }
    fn select(
        count: c_int, readable: *mut fd_set, writable: *mut fd_set, exceptional: *mut fd_set,
        timeout: *mut timeval,
    ) -> c_int {
        "sys/select.h", cancellation_point: yes, async_signal_safe: yes, real: lookup,
        handler: waits::select::select,
        why: "a connect must not show its handshake, nor wait for it", policy: "as poll",
        test: "nonblocking::select_sees_a_connect_as_the_kernel_would",
    }
    alias __select = select, test: "nonblocking::libcs_other_names_take_the_same_way";
    fn pselect(
        count: c_int, readable: *mut fd_set, writable: *mut fd_set, exceptional: *mut fd_set,
        timeout: *const timespec, mask: *const sigset_t,
    ) -> c_int {
        "sys/select.h", cancellation_point: yes, async_signal_safe: yes, real: lookup,
        handler: waits::select::pselect,
        why: "a connect must not show its handshake, nor wait for it", policy: "as poll",
        test: "nonblocking::pselect_sees_a_connect_as_the_kernel_would",
    }
    fn epoll_ctl(epoll: c_int, operation: c_int, fd: c_int, event: *mut epoll_event) -> c_int {
        "sys/epoll.h", async_signal_safe: yes, real: kernel(SYS_epoll_ctl),
        handler: waits::epoll::epoll_ctl,
        why: "the kernel would report the steps of a handshake",
        policy: "while a handshake is in flight the kernel has a token in place of the program's events; ENOSPC for more than 8 registrations of one such socket",
        test: "nonblocking::epoll_sees_a_connect_as_the_kernel_would",
    }
    fn epoll_wait(epoll: c_int, events: *mut epoll_event, most: c_int, timeout: c_int) -> c_int {
        "sys/epoll.h", cancellation_point: yes, async_signal_safe: yes, real: lookup,
        handler: waits::epoll::epoll_wait,
        why: "it receives what epoll_ctl registered",
        policy: "tokens stay inside and drive their handshakes",
        test: "nonblocking::epoll_sees_a_connect_as_the_kernel_would",
    }
    fn epoll_pwait(
        epoll: c_int, events: *mut epoll_event, most: c_int, timeout: c_int, mask: *const sigset_t,
    ) -> c_int {
        "sys/epoll.h", cancellation_point: yes, async_signal_safe: yes, real: lookup,
        handler: waits::epoll::epoll_pwait,
        why: "it receives what epoll_ctl registered", policy: "as epoll_wait",
        test: "nonblocking::epoll_sees_a_connect_as_the_kernel_would",
    }
    fn epoll_pwait2(
        epoll: c_int, events: *mut epoll_event, most: c_int, timeout: *const timespec,
        mask: *const sigset_t,
    ) -> c_int {
        "sys/epoll.h", cancellation_point: yes, async_signal_safe: yes, real: lookup,
        handler: waits::epoll::epoll_pwait2,
        why: "it receives what epoll_ctl registered", policy: "as epoll_wait",
        test: "nonblocking::epoll_sees_a_connect_as_the_kernel_would",
    }

    // ---- names: hosts and networks
    fn getaddrinfo(
        node: *const c_char, service: *const c_char, hints: *const addrinfo,
        result: *mut *mut addrinfo,
    ) -> c_int {
        "netdb.h", real: lookup, handler: names::getaddrinfo,
        why: "libc's resolver would ask a name server past Tor",
        policy: "names go to Tor's RESOLVE, onion names get a cookie address, libc makes the list of numeric addresses",
        test: "names::getaddrinfo_asks_tor_and_libc_adds_the_service",
    }
    fn gethostbyname(name: *const c_char) -> *mut hostent {
        "netdb.h", handler: names::gethostbyname,
        why: "as getaddrinfo", policy: "as getaddrinfo, IPv4",
        test: "names::gethostbyname_and_its_relatives_give_the_wanted_family",
    }
    alias res_gethostbyname = gethostbyname,
        why: "libresolv keeps it for programs of old, and asks name servers",
        test: "names::programs_of_an_older_glibc_are_answered_too";
    fn gethostbyname2(name: *const c_char, family: c_int) -> *mut hostent {
        "netdb.h", handler: names::gethostbyname2,
        why: "as getaddrinfo", policy: "as getaddrinfo, of the family",
        test: "names::gethostbyname_and_its_relatives_give_the_wanted_family",
    }
    alias res_gethostbyname2 = gethostbyname2, why: "as res_gethostbyname",
        test: "names::programs_of_an_older_glibc_are_answered_too";
    fn gethostbyname_r(
        name: *const c_char, host: *mut hostent, buffer: *mut c_char, length: size_t,
        result: *mut *mut hostent, error: *mut c_int,
    ) -> c_int {
        "netdb.h", handler: names::gethostbyname_r,
        why: "as getaddrinfo", policy: "as gethostbyname", test: "names::a_short_buffer_is_erange",
    }
    fn gethostbyname2_r(
        name: *const c_char, family: c_int, host: *mut hostent, buffer: *mut c_char, length: size_t,
        result: *mut *mut hostent, error: *mut c_int,
    ) -> c_int {
        "netdb.h", handler: names::gethostbyname2_r,
        why: "as getaddrinfo", policy: "as gethostbyname2",
        test: "names::gethostbyname_and_its_relatives_give_the_wanted_family",
    }
    fn gethostbyaddr(address: *const c_void, size: socklen_t, family: c_int) -> *mut hostent {
        "netdb.h", handler: names::gethostbyaddr,
        why: "libc would ask a name server for the PTR record",
        policy: "Tor's RESOLVE_PTR; a cookie address has its onion name",
        test: "names::an_address_has_the_name_that_tor_says",
    }
    alias res_gethostbyaddr = gethostbyaddr, why: "as res_gethostbyname",
        test: "names::programs_of_an_older_glibc_are_answered_too";
    fn gethostbyaddr_r(
        address: *const c_void, size: socklen_t, family: c_int, host: *mut hostent,
        buffer: *mut c_char, length: size_t, result: *mut *mut hostent, error: *mut c_int,
    ) -> c_int {
        "netdb.h", handler: names::gethostbyaddr_r,
        why: "as gethostbyaddr", policy: "as gethostbyaddr",
        test: "names::an_address_has_the_name_that_tor_says",
    }
    fn getnameinfo(
        address: *const sockaddr, size: socklen_t, host: *mut c_char, host_size: socklen_t,
        service: *mut c_char, service_size: socklen_t, flags: c_int,
    ) -> c_int {
        "netdb.h", real: lookup, handler: names::getnameinfo,
        why: "as gethostbyaddr", policy: "as gethostbyaddr; services are libc's",
        test: "names::an_address_without_a_name_is_numeric_unless_a_name_is_required",
    }
    fn getnetbyname(name: *const c_char) -> *mut netent {
        "netdb.h", handler: names::getnetbyname,
        why: "libc would ask a name server where nsswitch.conf says so",
        policy: "knows no network: HOST_NOT_FOUND",
        test: "names::no_network_has_a_name",
    }
    fn getnetbyname_r(
        name: *const c_char, network: *mut netent, buffer: *mut c_char, length: size_t,
        result: *mut *mut netent, error: *mut c_int,
    ) -> c_int {
        "netdb.h", handler: names::getnetbyname_r,
        why: "libc would ask a name server where nsswitch.conf says so",
        policy: "knows no network: HOST_NOT_FOUND",
        test: "names::no_network_has_a_name",
    }
    fn getnetbyaddr(number: u32, family: c_int) -> *mut netent {
        "netdb.h", handler: names::getnetbyaddr,
        why: "libc would ask a name server where nsswitch.conf says so",
        policy: "knows no network: HOST_NOT_FOUND",
        test: "names::no_network_has_a_name",
    }
    fn getnetbyaddr_r(
        number: u32, family: c_int, network: *mut netent, buffer: *mut c_char, length: size_t,
        result: *mut *mut netent, error: *mut c_int,
    ) -> c_int {
        "netdb.h", handler: names::getnetbyaddr_r,
        why: "libc would ask a name server where nsswitch.conf says so",
        policy: "knows no network: HOST_NOT_FOUND",
        test: "names::no_network_has_a_name",
    }
    fn gethostid() -> c_long {
        "unistd.h", handler: names::gethostid,
        why: "libc would ask a name server for the machine's own name",
        policy: "the number of a machine whose address is 127.0.0.1: it identifies no machine",
        test: "names::the_host_id_identifies_nobody",
    }

    // ---- names: asynchronous
    fn getaddrinfo_a(
        mode: c_int, list: *mut *mut gaicb, count: c_int, notification: *mut sigevent,
    ) -> c_int {
        "netdb.h", handler: names::getaddrinfo_a,
        why: "libc's threads call getaddrinfo where no hook stands",
        policy: "as getaddrinfo, in threads of the library",
        test: "names::an_asynchronous_lookup_does_not_wait_for_tor",
    }
    fn gai_suspend(list: *const *const gaicb, count: c_int, timeout: *const timespec) -> c_int {
        "netdb.h", cancellation_point: yes, handler: names::gai_suspend,
        why: "libc does not know the requests of getaddrinfo_a", policy: "waits for one of them",
        test: "names::an_asynchronous_lookup_does_not_wait_for_tor",
    }
    fn gai_error(request: *mut gaicb) -> c_int {
        "netdb.h", handler: names::gai_error,
        why: "as gai_suspend",
        policy: "EAI_INPROGRESS until it is finished; EAI_CANCELED in a forked child",
        test: "names::an_asynchronous_lookup_does_not_wait_for_tor",
    }
    fn gai_cancel(request: *mut gaicb) -> c_int {
        "netdb.h", handler: names::gai_cancel,
        why: "as gai_suspend", policy: "EAI_NOTCANCELED until it is finished, then EAI_ALLDONE",
        test: "names::an_asynchronous_lookup_does_not_wait_for_tor",
    }

    // ---- names: queries in the form of DNS
    fn res_query(
        name: *const c_char, class: c_int, kind: c_int, answer: *mut c_uchar, size: c_int,
    ) -> c_int {
        "resolv.h", handler: names::res_query,
        why: "libc would ask a name server",
        policy: "A, AAAA and PTR are answered through Tor, other types refused",
        test: "names::dns_queries_are_answered_through_tor",
    }
    alias __res_query = res_query,
        why: "the name in programs linked before glibc 2.34",
        test: "names::programs_of_an_older_glibc_are_answered_too";
    fn res_nquery(
        state: res_state, name: *const c_char, class: c_int, kind: c_int, answer: *mut c_uchar,
        size: c_int,
    ) -> c_int {
        "resolv.h", handler: names::res_nquery,
        why: "as res_query", policy: "as res_query",
        test: "names::dns_queries_are_answered_through_tor",
    }
    alias __res_nquery = res_nquery,
        why: "the name in programs linked before glibc 2.34",
        test: "names::programs_of_an_older_glibc_are_answered_too";
    fn res_search(
        name: *const c_char, class: c_int, kind: c_int, answer: *mut c_uchar, size: c_int,
    ) -> c_int {
        "resolv.h", handler: names::res_query,
        why: "as res_query", policy: "as res_query: search domains are not consulted",
        test: "names::dns_queries_are_answered_through_tor",
    }
    alias __res_search = res_search,
        why: "the name in programs linked before glibc 2.34",
        test: "names::programs_of_an_older_glibc_are_answered_too";
    fn res_nsearch(
        state: res_state, name: *const c_char, class: c_int, kind: c_int, answer: *mut c_uchar,
        size: c_int,
    ) -> c_int {
        "resolv.h", handler: names::res_nquery,
        why: "as res_query", policy: "as res_search",
        test: "names::dns_queries_are_answered_through_tor",
    }
    alias __res_nsearch = res_nsearch,
        why: "the name in programs linked before glibc 2.34",
        test: "names::programs_of_an_older_glibc_are_answered_too";
    fn res_querydomain(
        name: *const c_char, domain: *const c_char, class: c_int, kind: c_int, answer: *mut c_uchar,
        size: c_int,
    ) -> c_int {
        "resolv.h", handler: names::res_querydomain,
        why: "as res_query", policy: "as res_querydomain",
        test: "names::dns_queries_are_answered_through_tor",
    }
    alias __res_querydomain = res_querydomain,
        why: "the name in programs linked before glibc 2.34",
        test: "names::programs_of_an_older_glibc_are_answered_too";
    fn res_nquerydomain(
        state: res_state, name: *const c_char, domain: *const c_char, class: c_int, kind: c_int,
        answer: *mut c_uchar, size: c_int,
    ) -> c_int {
        "resolv.h", handler: names::res_nquerydomain,
        why: "as res_query", policy: "as res_querydomain",
        test: "names::dns_queries_are_answered_through_tor",
    }
    alias __res_nquerydomain = res_nquerydomain,
        why: "the name in programs linked before glibc 2.34",
        test: "names::programs_of_an_older_glibc_are_answered_too";
    fn res_send(query: *const c_uchar, length: c_int, answer: *mut c_uchar, size: c_int) -> c_int {
        "resolv.h", handler: names::res_send,
        why: "as res_query", policy: "as res_query; a message that is no plain query is EPERM",
        test: "names::dns_queries_are_answered_through_tor",
    }
    alias __res_send = res_send,
        why: "the name in programs linked before glibc 2.34",
        test: "names::programs_of_an_older_glibc_are_answered_too";
    fn res_nsend(
        state: res_state, query: *const c_uchar, length: c_int, answer: *mut c_uchar, size: c_int,
    ) -> c_int {
        "resolv.h", handler: names::res_nsend,
        why: "as res_query", policy: "as res_send",
        test: "names::dns_queries_are_answered_through_tor",
    }
    alias __res_nsend = res_nsend,
        why: "the name in programs linked before glibc 2.34",
        test: "names::programs_of_an_older_glibc_are_answered_too";

    // ---- exec: programs that are executed, forked children
    fn execve(
        path: *const c_char, arguments: *const *mut c_char, environment: *const *mut c_char,
    ) -> c_int {
        "unistd.h", async_signal_safe: yes, real: kernel(SYS_execve), handler: exec::execve,
        why: "what is executed must be protected too",
        policy: "keeps the library and its settings in the environment; what can't be protected is EPERM",
        test: "hooks::the_library_survives_a_fresh_environment",
    }
    fn execv(path: *const c_char, arguments: *const *mut c_char) -> c_int {
        "unistd.h", async_signal_safe: yes, handler: exec::execv,
        why: "what is executed must be protected too", policy: "as execve",
        test: "exec_family::every_form_keeps_the_library",
    }
    fn execvp(file: *const c_char, arguments: *const *mut c_char) -> c_int {
        "unistd.h", handler: exec::execvp,
        why: "what is executed must be protected too",
        policy: "as execve, for each file that PATH leads to until one is executed",
        test: "exec_family::every_form_keeps_the_library",
    }
    fn execvpe(
        file: *const c_char, arguments: *const *mut c_char, environment: *const *mut c_char,
    ) -> c_int {
        "unistd.h", handler: exec::execvpe,
        why: "what is executed must be protected too", policy: "as execvp",
        test: "exec_family::every_form_keeps_the_library",
    }
    fn execl(path: *const c_char, argument: *const c_char) -> c_int {
        "unistd.h", variadic: yes, symbol: handler, async_signal_safe: yes,
        handler: exec::argument_list::execl,
        why: "what is executed must be protected too", policy: "as execve",
        test: "exec_family::every_form_keeps_the_library",
    }
    fn execlp(file: *const c_char, argument: *const c_char) -> c_int {
        "unistd.h", variadic: yes, symbol: handler, handler: exec::argument_list::execlp,
        why: "what is executed must be protected too", policy: "as execvp",
        test: "exec_family::every_form_keeps_the_library",
    }
    fn execle(path: *const c_char, argument: *const c_char) -> c_int {
        "unistd.h", variadic: yes, symbol: handler, async_signal_safe: yes,
        handler: exec::argument_list::execle,
        why: "what is executed must be protected too", policy: "as execve",
        test: "exec_family::every_form_keeps_the_library",
    }
    fn fexecve(fd: c_int, arguments: *const *mut c_char, environment: *const *mut c_char) -> c_int {
        "unistd.h", async_signal_safe: yes, real: lookup, handler: exec::fexecve,
        why: "what is executed must be protected too", policy: "as execve, for the open file",
        test: "exec_family::every_form_keeps_the_library",
    }
    fn execveat(
        directory: c_int, path: *const c_char, arguments: *const *mut c_char,
        environment: *const *mut c_char, flags: c_int,
    ) -> c_int {
        "unistd.h", async_signal_safe: yes, real: kernel(SYS_execveat), handler: exec::execveat,
        why: "what is executed must be protected too", policy: "as execve",
        test: "exec_family::every_form_keeps_the_library",
    }
    fn posix_spawn(
        pid: *mut pid_t, path: *const c_char, actions: *const posix_spawn_file_actions_t,
        attributes: *const posix_spawnattr_t, arguments: *const *mut c_char,
        environment: *const *mut c_char,
    ) -> c_int {
        "spawn.h", handler: exec::spawn::posix_spawn,
        why: "libc makes its exec inside, where no hook is",
        policy: "as execve, in a child of our own behind all file actions and attributes; gives the errno as its result",
        test: "exec_family::every_form_keeps_the_library",
    }
    fn posix_spawnp(
        pid: *mut pid_t, file: *const c_char, actions: *const posix_spawn_file_actions_t,
        attributes: *const posix_spawnattr_t, arguments: *const *mut c_char,
        environment: *const *mut c_char,
    ) -> c_int {
        "spawn.h", handler: exec::spawn::posix_spawnp,
        why: "libc makes its exec inside, where no hook is",
        policy: "as posix_spawn, for the file that PATH leads to",
        test: "exec_family::every_form_keeps_the_library",
    }
    fn pidfd_spawn(
        pidfd: *mut c_int, path: *const c_char, actions: *const posix_spawn_file_actions_t,
        attributes: *const posix_spawnattr_t, arguments: *const *mut c_char,
        environment: *const *mut c_char,
    ) -> c_int {
        handler: exec::spawn::pidfd_spawn,
        why: "as posix_spawn, from glibc 2.39 on",
        policy: "as posix_spawn, whatever libc",
        test: "exec_family::every_form_keeps_the_library",
    }
    fn pidfd_spawnp(
        pidfd: *mut c_int, file: *const c_char, actions: *const posix_spawn_file_actions_t,
        attributes: *const posix_spawnattr_t, arguments: *const *mut c_char,
        environment: *const *mut c_char,
    ) -> c_int {
        handler: exec::spawn::pidfd_spawnp,
        why: "as posix_spawnp, from glibc 2.39 on",
        policy: "as posix_spawnp, whatever libc",
        test: "exec_family::every_form_keeps_the_library",
    }
    fn system(command: *const c_char) -> c_int {
        "stdlib.h", cancellation_point: yes, handler: exec::shell::system,
        why: "libc starts the shell inside, where no hook is",
        policy: "starts the shell as posix_spawn does, with the library and its settings in the environment",
        test: "exec_family::every_form_keeps_the_library",
    }
    alias __libc_system = system, test: "exec_family::every_form_keeps_the_library";
    fn popen(command: *const c_char, mode: *const c_char) -> *mut FILE {
        "stdio.h", cancellation_point: yes, handler: exec::pipe::popen,
        why: "libc starts the shell inside, where no hook is", policy: "as system",
        test: "exec_family::every_form_keeps_the_library",
    }
    alias _IO_popen = popen, test: "exec_family::every_form_keeps_the_library";
    fn pclose(stream: *mut FILE) -> c_int {
        "stdio.h", cancellation_point: yes, real: lookup, handler: exec::pipe::pclose,
        why: "the shell that popen starts is a child of our own",
        policy: "waits for the shell of the stream",
        test: "exec_family::a_stream_of_popen_ends_with_its_shell",
    }
    fn wordexp(words: *const c_char, expanded: *mut wordexp_t, flags: c_int) -> c_int {
        "wordexp.h", real: lookup, handler: exec::words::wordexp,
        why: "libc starts the shell inside, where no hook is",
        policy: "as system; without a shell that can be protected WRDE_CMDSUB for what would need one",
        test: "exec_family::command_substitution_keeps_the_library",
    }
    fn fork() -> pid_t {
        "unistd.h", async_signal_safe: yes, real: lookup, handler: exec::fork::fork,
        why: "the child has the parent's handshakes and names, and a registry that is a copy",
        policy: "opens what both share first, and tells the child's registry",
        test: "hooks::a_forked_child_works_at_once",
    }
    alias __fork = fork;
    alias __libc_fork = fork;
    fn _Fork() -> pid_t {
        "unistd.h", async_signal_safe: yes, real: lookup,
        handler: exec::fork::fork_without_handlers,
        why: "the child has the parent's handshakes and names, and a registry that is a copy",
        policy: "as fork",
        test: "hooks::a_child_without_fork_handlers_works_at_once",
    }
    fn vfork() -> pid_t {
        "unistd.h", symbol: handler, handler: exec::vfork::vfork,
        why: "its child shares the memory, and so the records of its parent's sockets",
        policy: "passes; from then on the process id is asked before a change of the records",
        test: "hooks::a_vfork_child_that_closes_copies_and_connects_changes_nothing",
    }
    fn __vfork() -> pid_t {
        symbol: handler, handler: exec::vfork::__vfork,
        why: "libc has vfork by this name too", policy: "as vfork",
        test: "hooks::a_vfork_child_by_a_handle_of_libc_changes_nothing",
    }
    fn _exit(status: c_int) -> () {
        "unistd.h", async_signal_safe: yes, handler: exec::exit::_exit,
        why: "the last process of a launch takes the names with it, and no destructor runs",
        policy: "removes what the launch has written down, if no other process of it is left",
        test: "launches::names_go_with_the_last_process",
    }
    alias _Exit = _exit;
    fn quick_exit(status: c_int) -> () {
        "stdlib.h", real: lookup, handler: exec::exit::quick_exit,
        why: "as _exit", policy: "as _exit", test: "launches::names_go_with_the_last_process",
    }
    fn prctl(option: c_int, b: c_ulong, c: c_ulong, d: c_ulong, e: c_ulong) -> c_int {
        "sys/prctl.h", variadic: yes, real: kernel(SYS_prctl), handler: exec::seccomp::prctl,
        why: "the filter of a sandbox forbids what the program does not do itself",
        policy: "passes; after PR_SET_SECCOMP the store of the launch is not asked any more",
        test: "hooks::hooks_ask_nothing_of_what_can_not_lead_to_the_network",
    }

    // ---- loading: symbols and libraries
    fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void {
        "dlfcn.h", symbol: handler, handler: loading::symbols::dlsym,
        why: "a handle of libc leads to its functions past the hooks",
        policy: "the function of a C library, a part of one or liburing is its hook, also for RTLD_NEXT in a library behind the hooks; but not for one that has a function of the name itself, which the hook calls",
        test: "hooks::a_handle_of_libc_leads_to_the_hooks",
    }
    fn dlvsym(handle: *mut c_void, name: *const c_char, version: *const c_char) -> *mut c_void {
        "dlfcn.h", symbol: handler, handler: loading::symbols::dlvsym,
        why: "as dlsym; and hooks have no version, so that none would be found",
        policy: "as dlsym; of a function that has a hook the version must exist and does not matter else",
        test: "hooks::a_version_of_a_function_leads_to_the_hooks",
    }
    fn dlopen(file: *const c_char, mode: c_int) -> *mut c_void {
        "dlfcn.h", symbol: handler, handler: loading::libraries::dlopen,
        why: "with RTLD_DEEPBIND a library's calls reach libc past the hooks, and a Go library's reach the kernel",
        policy: "RTLD_DEEPBIND has no effect; not loaded by a path: a Go library, a second C library, a library that connects by system calls of its own",
        test: "hooks::a_library_that_is_bound_deeply_calls_the_hooks",
    }
    fn dlmopen(namespace: Lmid_t, file: *const c_char, mode: c_int) -> *mut c_void {
        "dlfcn.h", symbol: handler, handler: loading::libraries::dlmopen,
        why: "a new namespace has a libc of its own, without hooks",
        policy: "as dlopen; another namespace than the program's fails",
        test: "hooks::a_library_that_is_bound_deeply_calls_the_hooks",
    }

    // ---- refused: libc itself connects, listens or sends
    fn rcmd(
        host: *mut *mut c_char, port: c_ushort, local: *const c_char, remote: *const c_char,
        command: *const c_char, error: *mut c_int,
    ) -> c_int {
        "netdb.h", handler: sockets::refused_libc::rcmd,
        why: "libc connects inside", policy: "EPERM",
        test: "hooks::what_connects_inside_libc_is_refused",
    }
    fn rcmd_af(
        host: *mut *mut c_char, port: c_ushort, local: *const c_char, remote: *const c_char,
        command: *const c_char, error: *mut c_int, family: sa_family_t,
    ) -> c_int {
        "netdb.h", handler: sockets::refused_libc::rcmd_af,
        why: "libc connects inside", policy: "EPERM",
        test: "hooks::what_connects_inside_libc_is_refused",
    }
    fn rexec(
        host: *mut *mut c_char, port: c_int, user: *const c_char, password: *const c_char,
        command: *const c_char, error: *mut c_int,
    ) -> c_int {
        "netdb.h", handler: sockets::refused_libc::rexec,
        why: "libc connects inside", policy: "EPERM",
        test: "hooks::what_connects_inside_libc_is_refused",
    }
    fn rexec_af(
        host: *mut *mut c_char, port: c_int, user: *const c_char, password: *const c_char,
        command: *const c_char, error: *mut c_int, family: sa_family_t,
    ) -> c_int {
        "netdb.h", handler: sockets::refused_libc::rexec_af,
        why: "libc connects inside", policy: "EPERM",
        test: "hooks::what_connects_inside_libc_is_refused",
    }
    fn ruserok(
        host: *const c_char, superuser: c_int, remote: *const c_char, local: *const c_char,
    ) -> c_int {
        "netdb.h", handler: sockets::refused_libc::ruserok,
        why: "libc looks the host up inside", policy: "EPERM",
        test: "hooks::what_connects_inside_libc_is_refused",
    }
    fn ruserok_af(
        host: *const c_char, superuser: c_int, remote: *const c_char, local: *const c_char,
        family: sa_family_t,
    ) -> c_int {
        "netdb.h", handler: sockets::refused_libc::ruserok_af,
        why: "libc looks the host up inside", policy: "EPERM",
        test: "hooks::what_connects_inside_libc_is_refused",
    }
    fn iruserok(
        address: u32, superuser: c_int, remote: *const c_char, local: *const c_char,
    ) -> c_int {
        "netdb.h", handler: sockets::refused_libc::iruserok,
        why: "libc looks hosts up inside", policy: "EPERM",
        test: "hooks::what_connects_inside_libc_is_refused",
    }
    fn iruserok_af(
        address: *const c_void, superuser: c_int, remote: *const c_char, local: *const c_char,
        family: sa_family_t,
    ) -> c_int {
        "netdb.h", handler: sockets::refused_libc::iruserok_af,
        why: "libc looks hosts up inside", policy: "EPERM",
        test: "hooks::what_connects_inside_libc_is_refused",
    }
    fn clnt_create() -> *mut c_void {
        handler: sockets::refused_libc::clnt_create,
        why: "libc connects inside", policy: "EPERM", test: "hooks::programs_of_old_get_no_rpc",
    }
    fn clnttcp_create() -> *mut c_void {
        handler: sockets::refused_libc::clnttcp_create,
        why: "libc connects inside", policy: "EPERM", test: "hooks::programs_of_old_get_no_rpc",
    }
    fn clntudp_create() -> *mut c_void {
        handler: sockets::refused_libc::clntudp_create,
        why: "libc sends datagrams inside", policy: "EPERM",
        test: "hooks::programs_of_old_get_no_rpc",
    }
    fn clntudp_bufcreate() -> *mut c_void {
        handler: sockets::refused_libc::clntudp_bufcreate,
        why: "libc sends datagrams inside", policy: "EPERM",
        test: "hooks::programs_of_old_get_no_rpc",
    }
    fn authdes_create() -> *mut c_void {
        handler: sockets::refused_libc::authdes_create,
        why: "libc asks a time server inside", policy: "EPERM",
        test: "hooks::programs_of_old_get_no_rpc",
    }
    fn authdes_pk_create() -> *mut c_void {
        handler: sockets::refused_libc::authdes_pk_create,
        why: "libc asks a time server inside", policy: "EPERM",
        test: "hooks::programs_of_old_get_no_rpc",
    }
    fn svctcp_create() -> *mut c_void {
        handler: sockets::refused_libc::svctcp_create,
        why: "libc listens inside", policy: "EPERM", test: "hooks::programs_of_old_get_no_rpc",
    }
    fn svcudp_create() -> *mut c_void {
        handler: sockets::refused_libc::svcudp_create,
        why: "libc receives datagrams inside", policy: "EPERM",
        test: "hooks::programs_of_old_get_no_rpc",
    }
    fn svcudp_bufcreate() -> *mut c_void {
        handler: sockets::refused_libc::svcudp_bufcreate,
        why: "libc receives datagrams inside", policy: "EPERM",
        test: "hooks::programs_of_old_get_no_rpc",
    }
    fn pmap_getmaps() -> *mut c_void {
        handler: sockets::refused_libc::pmap_getmaps,
        why: "libc connects inside", policy: "EPERM", test: "hooks::programs_of_old_get_no_rpc",
    }
    fn callrpc() -> c_int {
        handler: sockets::refused_libc::callrpc,
        why: "libc sends datagrams inside", policy: "EPERM",
        test: "hooks::programs_of_old_get_no_rpc",
    }
    fn clnt_broadcast() -> c_int {
        handler: sockets::refused_libc::clnt_broadcast,
        why: "libc sends broadcasts inside", policy: "EPERM",
        test: "hooks::programs_of_old_get_no_rpc",
    }
    fn pmap_rmtcall() -> c_int {
        handler: sockets::refused_libc::pmap_rmtcall,
        why: "libc sends datagrams inside", policy: "EPERM",
        test: "hooks::programs_of_old_get_no_rpc",
    }
    fn registerrpc() -> c_int {
        handler: sockets::refused_libc::registerrpc,
        why: "libc receives datagrams inside", policy: "EPERM",
        test: "hooks::programs_of_old_get_no_rpc",
    }
    fn rtime() -> c_int {
        handler: sockets::refused_libc::rtime,
        why: "libc asks a time server inside", policy: "EPERM",
        test: "hooks::programs_of_old_get_no_rpc",
    }
    fn getrpcport() -> c_int {
        handler: sockets::refused_libc::getrpcport,
        why: "libc sends datagrams inside", policy: "EPERM",
        test: "hooks::programs_of_old_get_no_rpc",
    }
    fn pmap_getport() -> c_int {
        handler: sockets::refused_libc::pmap_getport,
        why: "libc sends datagrams inside", policy: "EPERM",
        test: "hooks::programs_of_old_get_no_rpc",
    }
    fn pmap_set() -> c_int {
        handler: sockets::refused_libc::pmap_set,
        why: "libc sends datagrams inside, to a daemon of this machine", policy: "EPERM", test: "hooks::programs_of_old_get_no_rpc",
    }
    fn pmap_unset() -> c_int {
        handler: sockets::refused_libc::pmap_unset,
        why: "libc sends datagrams inside, to a daemon of this machine", policy: "EPERM", test: "hooks::programs_of_old_get_no_rpc",
    }
    fn svc_register() -> c_int {
        handler: sockets::refused_libc::svc_register,
        why: "libc sends datagrams inside, to a daemon of this machine", policy: "EPERM", test: "hooks::programs_of_old_get_no_rpc",
    }
    fn svc_unregister() -> () {
        handler: sockets::refused_libc::svc_unregister,
        why: "libc sends datagrams inside, to a daemon of this machine", policy: "EPERM", test: "hooks::programs_of_old_get_no_rpc",
    }
    fn key_gendes() -> c_int {
        handler: sockets::refused_libc::key_gendes,
        why: "libc sends datagrams inside, to a daemon of this machine", policy: "EPERM", test: "hooks::programs_of_old_get_no_rpc",
    }
    fn __libc_clntudp_bufcreate() -> *mut c_void {
        handler: sockets::refused_libc::__libc_clntudp_bufcreate,
        why: "as clntudp_bufcreate; libnsl's NIS calls it", policy: "EPERM", test: "hooks::programs_of_old_get_no_rpc",
    }
    fn __libc_rpc_getport() -> c_ushort {
        handler: sockets::refused_libc::__libc_rpc_getport,
        why: "libc connects inside; libnsl's NIS calls it", policy: "EPERM", test: "hooks::programs_of_old_get_no_rpc",
    }
    fn __ivaliduser() -> c_int {
        handler: sockets::refused_libc::__ivaliduser,
        why: "libc looks hosts up inside", policy: "EPERM", test: "hooks::what_glibc_exports_for_itself_is_refused",
    }
    fn _IO_proc_open() -> *mut c_void {
        handler: sockets::refused_libc::_IO_proc_open,
        why: "libc starts a shell inside, whose environment no hook has completed", policy: "EPERM", test: "hooks::what_glibc_exports_for_itself_is_refused",
    }
    fn __res_context_query() -> c_int {
        handler: sockets::refused_libc::__res_context_query,
        why: "libc asks a name server inside", policy: "EPERM", test: "hooks::what_glibc_exports_for_itself_is_refused",
    }
    fn __res_context_search() -> c_int {
        handler: sockets::refused_libc::__res_context_search,
        why: "libc asks a name server inside", policy: "EPERM", test: "hooks::what_glibc_exports_for_itself_is_refused",
    }
    fn __res_context_send() -> c_int {
        handler: sockets::refused_libc::__res_context_send,
        why: "libc asks a name server inside", policy: "EPERM", test: "hooks::what_glibc_exports_for_itself_is_refused",
    }
    fn _nss_dns_getcanonname_r() -> c_int {
        handler: sockets::refused_libc::_nss_dns_getcanonname_r,
        why: "libc asks a name server inside", policy: "NSS_STATUS_UNAVAIL", test: "hooks::what_glibc_exports_for_itself_is_refused",
    }
    fn _nss_dns_gethostbyname_r() -> c_int {
        handler: sockets::refused_libc::_nss_dns_gethostbyname_r,
        why: "libc asks a name server inside", policy: "NSS_STATUS_UNAVAIL", test: "hooks::what_glibc_exports_for_itself_is_refused",
    }
    fn _nss_dns_gethostbyname2_r() -> c_int {
        handler: sockets::refused_libc::_nss_dns_gethostbyname2_r,
        why: "libc asks a name server inside", policy: "NSS_STATUS_UNAVAIL", test: "hooks::what_glibc_exports_for_itself_is_refused",
    }
    fn _nss_dns_gethostbyname3_r() -> c_int {
        handler: sockets::refused_libc::_nss_dns_gethostbyname3_r,
        why: "libc asks a name server inside", policy: "NSS_STATUS_UNAVAIL", test: "hooks::what_glibc_exports_for_itself_is_refused",
    }
    fn _nss_dns_gethostbyname4_r() -> c_int {
        handler: sockets::refused_libc::_nss_dns_gethostbyname4_r,
        why: "libc asks a name server inside", policy: "NSS_STATUS_UNAVAIL", test: "hooks::what_glibc_exports_for_itself_is_refused",
    }
    fn _nss_dns_gethostbyaddr_r() -> c_int {
        handler: sockets::refused_libc::_nss_dns_gethostbyaddr_r,
        why: "libc asks a name server inside", policy: "NSS_STATUS_UNAVAIL", test: "hooks::what_glibc_exports_for_itself_is_refused",
    }
    fn _nss_dns_gethostbyaddr2_r() -> c_int {
        handler: sockets::refused_libc::_nss_dns_gethostbyaddr2_r,
        why: "libc asks a name server inside", policy: "NSS_STATUS_UNAVAIL", test: "hooks::what_glibc_exports_for_itself_is_refused",
    }
    fn _nss_dns_getnetbyname_r() -> c_int {
        handler: sockets::refused_libc::_nss_dns_getnetbyname_r,
        why: "libc asks a name server inside", policy: "NSS_STATUS_UNAVAIL", test: "hooks::what_glibc_exports_for_itself_is_refused",
    }
    fn _nss_dns_getnetbyaddr_r() -> c_int {
        handler: sockets::refused_libc::_nss_dns_getnetbyaddr_r,
        why: "libc asks a name server inside", policy: "NSS_STATUS_UNAVAIL", test: "hooks::what_glibc_exports_for_itself_is_refused",
    }
    fn __nss_hosts_lookup2() -> c_int {
        handler: sockets::refused_libc::__nss_hosts_lookup2,
        why: "it leads to functions that ask a name server", policy: "EPERM", test: "hooks::what_glibc_exports_for_itself_is_refused",
    }
    fn __nss_lookup(
        actions: *mut c_void, function: *const c_char, other: *const c_char,
        found: *mut *mut c_void,
    ) -> c_int {
        real: lookup, handler: sockets::refused_libc::__nss_lookup,
        why: "it leads to functions that ask a name server",
        policy: "EPERM for functions that look hosts and networks up; others pass",
        test: "hooks::what_glibc_exports_for_itself_is_refused",
    }
    fn __nss_next2(
        actions: *mut c_void, function: *const c_char, other: *const c_char,
        found: *mut *mut c_void, status: c_int, all: c_int,
    ) -> c_int {
        real: lookup, handler: sockets::refused_libc::__nss_next2,
        why: "it leads to functions that ask a name server", policy: "as __nss_lookup",
        test: "hooks::what_glibc_exports_for_itself_is_refused",
    }
    fn __nss_lookup_function(actions: *mut c_void, function: *const c_char) -> *mut c_void {
        real: lookup, handler: sockets::refused_libc::__nss_lookup_function,
        why: "it leads to functions that ask a name server", policy: "as __nss_lookup",
        test: "hooks::what_glibc_exports_for_itself_is_refused",
    }

    // ---- refused: liburing, which enters the kernel itself
    fn io_uring_queue_init() -> c_int {
        handler: sockets::io_uring::io_uring_queue_init,
        why: "a ring connects and sends past the hooks", policy: "-ENOSYS", test: "hooks::liburing_answers_as_without_io_uring",
    }
    fn io_uring_queue_init_params() -> c_int {
        handler: sockets::io_uring::io_uring_queue_init_params,
        why: "a ring connects and sends past the hooks", policy: "-ENOSYS", test: "hooks::liburing_answers_as_without_io_uring",
    }
    fn io_uring_queue_init_mem() -> c_int {
        handler: sockets::io_uring::io_uring_queue_init_mem,
        why: "a ring connects and sends past the hooks", policy: "-ENOSYS", test: "hooks::liburing_answers_as_without_io_uring",
    }
    fn io_uring_queue_mmap() -> c_int {
        handler: sockets::io_uring::io_uring_queue_mmap,
        why: "a ring connects and sends past the hooks", policy: "-ENOSYS", test: "hooks::liburing_answers_as_without_io_uring",
    }
    fn io_uring_setup() -> c_int {
        handler: sockets::io_uring::io_uring_setup,
        why: "a ring connects and sends past the hooks", policy: "-ENOSYS", test: "hooks::liburing_answers_as_without_io_uring",
    }
    fn io_uring_enter() -> c_int {
        handler: sockets::io_uring::io_uring_enter,
        why: "a ring connects and sends past the hooks", policy: "-ENOSYS", test: "hooks::liburing_answers_as_without_io_uring",
    }
    fn io_uring_enter2() -> c_int {
        handler: sockets::io_uring::io_uring_enter2,
        why: "a ring connects and sends past the hooks", policy: "-ENOSYS", test: "hooks::liburing_answers_as_without_io_uring",
    }
    fn io_uring_register() -> c_int {
        handler: sockets::io_uring::io_uring_register,
        why: "a ring connects and sends past the hooks", policy: "-ENOSYS", test: "hooks::liburing_answers_as_without_io_uring",
    }
    fn io_uring_get_probe() -> *mut c_void {
        handler: sockets::io_uring::io_uring_get_probe,
        why: "it would make a ring", policy: "null", test: "hooks::liburing_answers_as_without_io_uring",
    }

    // ---- environment
    fn getenv(name: *const c_char) -> *mut c_char {
        "stdlib.h", symbol: handler, real: lookup, handler: names::proxy_variables::getenv,
        why: "libcurl from 8.1 on refuses onion names, unless they go to a proxy that resolves them",
        policy: "such a libcurl gets Tor's SOCKS port for ALL_PROXY, and for NO_PROXY what Tor can't reach, where no variable names a proxy; every other caller the variable",
        test: "hooks::libcurl_that_refuses_onion_names_is_told_tors_port",
    }

    // ---- system calls by number
    fn syscall(
        number: c_long, a: c_long, b: c_long, c: c_long, d: c_long, e: c_long, f: c_long,
    ) -> c_long {
        "unistd.h", variadic: yes, async_signal_safe: yes, real: lookup, handler: syscall::syscall,
        why: "it reaches every call above without its name",
        policy: "the numbers of the hooks above take the hooks' way; every other passes with all six arguments",
        test: "hooks::syscall_takes_the_hooks_way",
    }
} } }

/// The matcher of `for_each_hook`.
macro_rules! hook_rows {
    ($reader:ident $(
        fn $name:ident $parameters:tt -> $result:ty { $($row:tt)* }
        $(alias $alias:ident = $of:ident $(, $key:ident: $value:literal)*;)*
    )*) => {
        hook_rows! { @whole $reader $(
            fn $name $parameters -> $result; { $($row)* }
            $(alias $alias = $of $(, $key: $value)*;)*
        )* }
    };
    // A row is one token tree now, which its aliases can repeat.
    (@whole $reader:ident $(
        fn $name:ident $parameters:tt -> $result:ty; $row:tt
        $(alias $alias:ident = $of:ident
            $(, header: $header:literal)? $(, why: $why:literal)? $(, test: $test:literal)?;)*
    )*) => {
        $reader! { $(
            $name { () fn $name $parameters -> $result $row }
            $($alias {
                ($of ($($header)?) ($($why)?) ($($test)?)) fn $alias $parameters -> $result $row
            })*
        )* }
    };
}

/// Calls `$reader` with a row of `for_each_hook` in which no key is left out.
#[allow(unused_macros, reason = "some readers want the names alone")]
macro_rules! hook_row {
    ($reader:ident {
        ($($of:ident ($($its_header:literal)?) ($($its_why:literal)?) ($($its_test:literal)?))?)
        fn $name:ident $parameters:tt -> $result:ty {
            $($header:literal,)?
            $(variadic: $variadic:ident,)?
            $(symbol: $symbol:ident,)?
            $(cancellation_point: $cancellation:ident,)?
            $(async_signal_safe: $signal:ident,)?
            $(real: $real:ident $(($number:ident))?,)?
            handler: $handler:path,
            why: $why:literal,
            policy: $policy:literal,
            test: $test:literal,
        }
    }) => {
        hook_row! { @first $reader fn $name $parameters -> $result;
            handler: [$handler],
            symbol: [$($symbol)? export],
            real: [$([none $of])? $([$real $(($number))?])? [none]],
            policy: [$([concat!("as ", stringify!($of))])? [$policy]],
            async_signal_safe: [$($signal)? no],
            cancellation_point: [$($cancellation)? no],
            variadic: [$($variadic)? no],
            alias_of: [$([$of])? []],
            header: [$([$($its_header)?])? [$($header)?]],
            why: [
                $($([$its_why])? [concat!("libc has ", stringify!($of), " by this name too")])?
                [$why]
            ],
            test: [$($([$its_test])? ["hooks::aliases_take_the_hooks_way"])? [$test]],
        }
    };
    // Of the values of a key the first one holds.
    (@first $reader:ident fn $name:ident $parameters:tt -> $result:ty;
        $($key:ident: [$value:tt $($default:tt)*],)*
    ) => {
        $reader! { fn $name $parameters -> $result; $($key: $value,)* }
    };
}
