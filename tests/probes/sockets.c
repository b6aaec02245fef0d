/* One scene for each argument: does what a program may do and checks what it sees. */
#define _GNU_SOURCE 1
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "scene.h"

static void scene_connect(void)
{
    errno = EXDEV;
    int fd = connected("192.0.2.1", 80);
    EXPECT(errno == EXDEV);
    EXPECT(echoes(fd));
    FAILS(reach(fd, "192.0.2.1", 80), EISCONN);
    EXPECT(close(fd) == 0);
}

static void resolves(const char *name)
{
    struct addrinfo *found, hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
    EXPECT(getaddrinfo(name, NULL, &hints, &found) == 0);
    EXPECT(((struct sockaddr_in *)found->ai_addr)->sin_addr.s_addr == htonl(0xc0000201));
    freeaddrinfo(found);
}

/* The proxy says 192.0.2.1 of every name. */
static void scene_resolved(void)
{
    struct sockaddr_in6 mapped = v6("::ffff:192.0.2.1", 80);
    int status;
    resolves("a.example");
    /* A forked child knows what its parent knew. What it resolves itself makes nothing doubtful there. */
    pid_t child = fork();
    if (child == 0) {
        connected("192.0.2.1", 80);
        resolves("c.example");
        exit(0);
    }
    EXPECT(waitpid(child, &status, 0) == child && status == 0);
    EXPECT(connect(socket(AF_INET6, SOCK_STREAM, 0), (void *)&mapped, sizeof mapped) == 0);
    resolves("A.Example.");
    EXPECT(peer_is(connected("192.0.2.1", 80), "192.0.2.1", 80));
    resolves("b.example");
    connected("192.0.2.1", 80);
    connected("192.0.2.2", 80);
}

static void scene_connect6(void)
{
    struct sockaddr_in6 address = v6("2001:db8::1", 443), seen;
    int fd = socket(AF_INET6, SOCK_STREAM, 0), only = 1;
    EXPECT(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only) == 0);
    EXPECT(connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
    EXPECT(echoes(fd));
    socklen_t length = sizeof seen;
    EXPECT(getpeername(fd, (struct sockaddr *)&seen, &length) == 0);
    EXPECT(length == sizeof seen && memcmp(&seen, &address, sizeof seen) == 0);

    struct sockaddr_in6 any = v6("::", 0);
    int bound = socket(AF_INET6, SOCK_STREAM, 0);
    EXPECT(setsockopt(bound, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only) == 0);
    EXPECT(bind(bound, (struct sockaddr *)&any, sizeof any) == 0);
    FAILS(connect(bound, (struct sockaddr *)&address, sizeof address), ENETUNREACH);
}

static void scene_getpeername(void)
{
    int fd = connected("192.0.2.1", 80);
    struct sockaddr_in seen, full = v4("192.0.2.1", 80);
    socklen_t length = 4;
    memset(&seen, 0x55, sizeof seen);
    errno = EXDEV;
    EXPECT(getpeername(fd, (struct sockaddr *)&seen, &length) == 0);
    EXPECT(errno == EXDEV);
    EXPECT(length == sizeof seen);
    EXPECT(memcmp(&seen, &full, 4) == 0 && ((char *)&seen)[4] == 0x55);
    length = -1;
    FAILS(getpeername(fd, (struct sockaddr *)&seen, &length), EINVAL);
    length = sizeof seen;
    FAILS(getpeername(fd, NULL, &length), EFAULT);
    FAILS(getpeername(fd, (struct sockaddr *)&seen, NULL), EFAULT);
    length = 0;
    EXPECT(getpeername(fd, NULL, &length) == 0 && length == sizeof seen);
    int fresh = socket(AF_INET, SOCK_STREAM, 0);
    FAILS(getpeername(fresh, (struct sockaddr *)&seen, &length), ENOTCONN);
    FAILS(getpeername(999, (struct sockaddr *)&seen, &length), EBADF);
    FAILS(getpeername(0, (struct sockaddr *)&seen, &length), ENOTSOCK);
}

static void scene_duplicates(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    int before = dup(fd), two = dup2(fd, 100), three = dup3(fd, 101, O_CLOEXEC);
    EXPECT(before >= 0 && two == 100 && three == 101);
    EXPECT(reach(before, "192.0.2.1", 80) == 0);
    int after = dup(fd), all[] = {fd, before, two, three, after};
    for (int i = 0; i < 5; i++) {
        EXPECT(peer_is(all[i], "192.0.2.1", 80));
        FAILS(reach(all[i], "192.0.2.2", 80), EISCONN);
    }
    for (int i = 0; i < 4; i++) {
        EXPECT(close(all[i]) == 0);
        EXPECT(peer_is(after, "192.0.2.1", 80));
    }
    EXPECT(echoes(after));
}

static void scene_failed_dup2(void)
{
    int fd = connected("192.0.2.1", 80);
    FAILS(dup2(999, fd), EBADF);
    FAILS(dup3(999, fd, 0), EBADF);
    FAILS(dup3(fd, fd, 0), EINVAL);
    EXPECT(dup2(fd, fd) == fd);
    EXPECT(peer_is(fd, "192.0.2.1", 80) && echoes(fd));
    int other = connected("192.0.2.2", 80);
    EXPECT(dup2(other, fd) == fd);
    EXPECT(peer_is(fd, "192.0.2.2", 80));
    int pipes[2];
    EXPECT(pipe(pipes) == 0 && dup2(pipes[0], fd) == fd);
    FAILS(peer_is(fd, "192.0.2.2", 80) ? 0 : -1, ENOTSOCK);
}

static void scene_reuse(void)
{
    int fd = connected("192.0.2.1", 80), pair[2];
    EXPECT(close(fd) == 0);
    FAILS(close(fd), EBADF);
    EXPECT(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 && pair[0] == fd);
    struct sockaddr_storage seen;
    socklen_t length = sizeof seen;
    EXPECT(getpeername(fd, (struct sockaddr *)&seen, &length) == 0 && seen.ss_family == AF_UNIX);
}

/* To the kernel both lead to Tor's port. */
static void scene_one_port(void)
{
    int sockets[2];
    struct sockaddr_in local = v4("0.0.0.0", 0);
    socklen_t length = sizeof local;
    for (int i = 0; i < 2; i++) {
        sockets[i] = socket(AF_INET, SOCK_STREAM, 0);
        EXPECT(setsockopt(sockets[i], SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)) == 0);
        EXPECT(bind(sockets[i], (struct sockaddr *)&local, length) == 0);
        EXPECT(getsockname(sockets[i], (struct sockaddr *)&local, &length) == 0);
    }
    EXPECT(reach(sockets[0], "192.0.2.1", 80) == 0);
    FAILS(reach(sockets[1], "192.0.2.2", 80), EADDRNOTAVAIL);
    EXPECT(peer_is(sockets[0], "192.0.2.1", 80) && echoes(sockets[0]));
}

static void scene_raw_close(void)
{
    int fd = connected("192.0.2.1", 80);
    EXPECT(raw(SYS_close, fd, 0, 0, 0) == 0);
    EXPECT(raw(SYS_socket, AF_INET, SOCK_STREAM, 0, 0) == fd);
    EXPECT(reach(fd, "192.0.2.2", 80) == 0);
    EXPECT(peer_is(fd, "192.0.2.2", 80));

    /* The file that is there now is judged, not the one that was. */
    EXPECT(raw(SYS_close, fd, 0, 0, 0) == 0);
    EXPECT(raw(SYS_socket, AF_INET, SOCK_DGRAM, 0, 0) == fd);
    FAILS(reach(fd, "192.0.2.3", 80), EPERM);

    /* Also where the one that was has not connected. */
    fd = socket(AF_INET, SOCK_STREAM, 0);
    EXPECT(raw(SYS_close, fd, 0, 0, 0) == 0);
    EXPECT(raw(SYS_socket, AF_INET, SOCK_DGRAM, 0, 0) == fd);
    FAILS(reach(fd, "192.0.2.3", 80), EPERM);
}

static void scene_dissolve(void)
{
    int fd = connected("192.0.2.1", 80), copy = dup(fd);
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    struct sockaddr_in seen;
    socklen_t length = sizeof seen;
    EXPECT(connect(fd, &none, sizeof none) == 0);
    FAILS(getpeername(fd, (struct sockaddr *)&seen, &length), ENOTCONN);
    FAILS(getpeername(copy, (struct sockaddr *)&seen, &length), ENOTCONN);
    EXPECT(reach(copy, "192.0.2.2", 80) == 0);
    EXPECT(peer_is(fd, "192.0.2.2", 80) && peer_is(copy, "192.0.2.2", 80) && echoes(fd));

    /* Sockets that have no entry: made where no hook saw it, no TCP, a vfork child's. */
    EXPECT(connect(raw(SYS_socket, AF_INET, SOCK_STREAM, 0, 0), &none, sizeof none) == 0);
    EXPECT(connect(raw(SYS_socket, AF_INET, SOCK_DGRAM, 0, 0), &none, sizeof none) == 0);
    int status;
    pid_t child = vfork();
    if (child == 0)
        _exit(connect(socket(AF_INET, SOCK_STREAM, 0), &none, sizeof none) == 0 ? 0 : errno);
    EXPECT(waitpid(child, &status, 0) == child && status == 0);
}

static void scene_socket(void)
{
    EXPECT(socket(AF_INET, SOCK_DGRAM, 0) >= 0);
    EXPECT(socket(AF_INET6, SOCK_DGRAM, IPPROTO_UDP) >= 0);
    FAILS(socket(AF_INET, SOCK_DGRAM, 136 /* UDP-Lite */), EPERM);
    FAILS(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP), EPERM);
    FAILS(socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP), EPERM);
    FAILS(socket(AF_PACKET, SOCK_RAW, 0), EPERM);
    FAILS(socket(AF_INET, SOCK_STREAM, 262 /* MPTCP */), EPROTONOSUPPORT);
    FAILS(socket(AF_INET, SOCK_STREAM, IPPROTO_SCTP), EPROTONOSUPPORT);
    FAILS(socket(AF_INET, SOCK_SEQPACKET, IPPROTO_SCTP), EPERM);
    EXPECT(socket(AF_UNIX, SOCK_DGRAM, 0) >= 0);
    EXPECT(socket(AF_NETLINK, SOCK_RAW, 0) >= 0);
    EXPECT(socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP) >= 0);
}

static void scene_errno(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = v4("192.0.2.1", 80);
    struct sockaddr_in6 wide = v6("2001:db8::1", 80);
    FAILS(connect(999, (struct sockaddr *)&address, sizeof address), EBADF);
    FAILS(connect(0, (struct sockaddr *)&address, sizeof address), ENOTSOCK);
    FAILS(connect(fd, (struct sockaddr *)8, sizeof address), EFAULT);
    FAILS(connect(fd, NULL, sizeof address), EFAULT);
    FAILS(connect(fd, (struct sockaddr *)&address, 4), EINVAL);
    FAILS(connect(fd, (struct sockaddr *)&address, 1000), EINVAL);
    FAILS(connect(fd, (struct sockaddr *)&wide, sizeof wide), EAFNOSUPPORT);
    /* Linux looks at the length first. */
    struct sockaddr_storage longer = {0};
    memcpy(&longer, &address, sizeof address);
    int fd6 = socket(AF_INET6, SOCK_STREAM, 0);
    FAILS(connect(fd6, (struct sockaddr *)&longer, sizeof address), EINVAL);
    FAILS(connect(fd6, (struct sockaddr *)&longer, 23), EINVAL);
    FAILS(connect(fd6, (struct sockaddr *)&longer, 24), EAFNOSUPPORT);
    FAILS(reach(fd, "127.0.0.1", 80), EPERM);
    FAILS(reach(fd, "0.0.0.0", 80), EPERM);
    FAILS(reach(fd, "127.42.42.9", 80), EPERM);
    EXPECT(reach(fd, "192.0.2.1", 80) == 0);
}

static void scene_fast_open(void)
{
    struct sockaddr_in address = v4("192.0.2.1", 80);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    char answer[6];
    EXPECT(sendto(fd, "hello", 6, MSG_FASTOPEN, (struct sockaddr *)&address, sizeof address) == 6);
    EXPECT(recv(fd, answer, 6, MSG_WAITALL) == 6 && strcmp(answer, "hello") == 0);
    EXPECT(peer_is(fd, "192.0.2.1", 80));
}

static void scene_inbound(void)
{
    struct sockaddr_in any = v4("0.0.0.0", 0), local = v4("127.0.0.1", 0);
    int open = socket(AF_INET, SOCK_STREAM, 0), closed = socket(AF_INET, SOCK_STREAM, 0);
    EXPECT(bind(open, (struct sockaddr *)&any, sizeof any) == 0);
    FAILS(listen(open, 1), EPERM);
    FAILS(accept(open, NULL, NULL), EPERM);
    FAILS(accept4(open, NULL, NULL, 0), EPERM);
    EXPECT(bind(closed, (struct sockaddr *)&local, sizeof local) == 0);
    EXPECT(listen(closed, 1) == 0);
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int unix_socket = socket(AF_UNIX, SOCK_STREAM, 0);
    EXPECT(bind(unix_socket, (struct sockaddr *)&name, sizeof(sa_family_t)) == 0);
    EXPECT(listen(unix_socket, 1) == 0);
}

static void scene_syscall(void)
{
    struct sockaddr_in address = v4("192.0.2.1", 80), seen;
    socklen_t length = sizeof seen;
    int fd = syscall(SYS_socket, AF_INET, SOCK_STREAM, 0);
    EXPECT(fd >= 0);
    EXPECT(syscall(SYS_connect, fd, &address, sizeof address) == 0);
    int copy = syscall(SYS_dup, fd);
    EXPECT(syscall(SYS_close, fd) == 0);
    EXPECT(syscall(SYS_getpeername, copy, &seen, &length) == 0);
    EXPECT(seen.sin_addr.s_addr == address.sin_addr.s_addr);
    EXPECT(syscall(SYS_sendto, copy, "hello", 6, 0, NULL, 0) == 6);
    FAILS(syscall(SYS_socket, AF_INET, SOCK_RAW, IPPROTO_ICMP), EPERM);
    EXPECT(syscall(SYS_getpid) == getpid());
    /* The sixth argument arrives: an unaligned offset is what the kernel refuses. */
    FAILS(syscall(SYS_mmap, 0, 4096, 0, 0x22, -1, 1), EINVAL);
}

static void scene_exec(void)
{
    char *arguments[] = {"sh", "-c", "case $LD_PRELOAD in *epochsocks*) test $EPOCHSOCKS_TOR_PORT;; *) false;; esac", NULL};
    char *environment[] = {"PATH=/bin:/usr/bin", "LD_PRELOAD=", NULL}, *nothing[] = {NULL};
    char **given[] = {environment, nothing, NULL};
    for (int i = 0; i < 3; i++) {
        int status;
        pid_t child = fork();
        if (child == 0) {
            execve("/bin/sh", arguments, given[i]);
            _exit(126);
        }
        EXPECT(waitpid(child, &status, 0) == child && status == 0);
    }
    FAILS(execve("/nonexistent", arguments, environment), ENOENT);
}

static void scene_vfork(void)
{
    int fd = connected("192.0.2.1", 80), other = socket(AF_INET, SOCK_STREAM, 0), status;
    pid_t child = vfork();
    if (child == 0) {
        close(fd);
        dup2(other, 100);
        dup2(1, other);
        _exit(0);
    }
    EXPECT(child > 0 && waitpid(child, &status, 0) == child && status == 0);
    EXPECT(peer_is(fd, "192.0.2.1", 80) && echoes(fd));
    FAILS(close(100), EBADF);
    int pair[2];
    EXPECT(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    EXPECT(dup2(pair[0], 100) == 100);
    struct sockaddr_storage seen;
    socklen_t length = sizeof seen;
    EXPECT(getpeername(100, (struct sockaddr *)&seen, &length) == 0 && seen.ss_family == AF_UNIX);
    EXPECT(dup(other) >= 0);
}

static void scene_fork(void)
{
    int fd = connected("192.0.2.1", 80), status;
    pid_t child = fork();
    if (child == 0) {
        EXPECT(peer_is(fd, "192.0.2.1", 80));
        EXPECT(close(fd) == 0);
        int own = connected("192.0.2.2", 80);
        EXPECT(own == fd && peer_is(own, "192.0.2.2", 80) && echoes(own));
        exit(0);
    }
    EXPECT(waitpid(child, &status, 0) == child && status == 0);
    EXPECT(peer_is(fd, "192.0.2.1", 80) && echoes(fd));
    int second = connected("192.0.2.3", 80);
    EXPECT(peer_is(second, "192.0.2.3", 80));
}

static volatile sig_atomic_t victim = -1;

static void close_victim(int number)
{
    (void)number;
    int fd = victim;
    victim = -1;
    if (fd >= 0)
        close(fd);
}

static void close_again(int number)
{
    close_victim(number);
    alarm_in(50);
}

static void scene_signals(void)
{
    struct sigaction action = {.sa_handler = close_again};
    EXPECT(sigaction(SIGALRM, &action, NULL) == 0);
    alarm_in(50);
    for (int i = 0; i < 20000; i++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        EXPECT(fd >= 0);
        victim = fd;
        struct sockaddr_in seen;
        socklen_t length = sizeof seen;
        getpeername(fd, (struct sockaddr *)&seen, &length);
        dup2(1, 100);
        close(100);
        while (victim >= 0 && i % 16 == 0)
            ;
        close_victim(0);
    }
    alarm_in(0);
}

/* Runs `work` in a child that the kernel kills at its first system call, and tells how it ends. */
static int without_system_calls(int (*work)(int), int fd)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) != 0)
            _exit(2);
        raw(SYS_exit, !work(fd), 0, 0, 0);
    }
    EXPECT(child > 0 && waitpid(child, &status, 0) == child);
    return status;
}

static int asks(int fd)
{
    int right = 1;
    for (int i = 0; i < 10000; i++)
        right &= peer_is(fd, "192.0.2.1", 80);
    return right;
}

static int closes(int fd) { return close(fd) == 0; }

/* The page of the stack pointer can be written: the kernel is not asked. */
static int asks_on_one_page(int fd)
{
    volatile char *room = alloca(((uintptr_t)__builtin_frame_address(0) + 1024) % 4096 + 16);
    room[0] = 0;
    return asks(fd);
}

/* The errno is the kernel's, and nothing crashes. */
static void scene_bad_pointers(void)
{
    int fd = connected("192.0.2.1", 80), tracked = socket(AF_INET, SOCK_STREAM, 0);
    void *const places[] = {(void *)8, (void *)-1, page_of(PROT_NONE), page_of(PROT_READ), NULL};
    struct sockaddr_in seen;
    for (int i = 0; i < 5; i++) {
        socklen_t size = sizeof seen, none = 0;
        FAILS(getpeername(fd, places[i], &size), EFAULT);
        FAILS(getsockopt(fd, SOL_SOCKET, SO_PEERNAME, places[i], &size), EFAULT);
        EXPECT(getpeername(fd, places[i], &none) == 0 && none == sizeof seen);
        if (i != 3) {
            FAILS(getpeername(fd, (void *)&seen, places[i]), EFAULT);
            FAILS(getpeername(fd, places[i], places[i]), EFAULT);
            FAILS(getsockopt(fd, SOL_SOCKET, SO_PEERNAME, &seen, places[i]), EFAULT);
            FAILS(getpeername(tracked, (void *)&seen, places[i]), ENOTCONN);
        }
    }
    EXPECT(peer_is(fd, "192.0.2.1", 80));
}

static void scene_peer_option(void)
{
    int fd = connected("192.0.2.1", 80), free = socket(AF_INET, SOCK_STREAM, 0), pair[2];
    struct sockaddr_in expected = v4("192.0.2.1", 80);
    struct sockaddr_storage seen;
    for (int raw_call = 0; raw_call < 2; raw_call++) {
        for (socklen_t size = 0; size <= sizeof expected; size += 8) {
            socklen_t length = size;
            memset(&seen, 0, sizeof seen);
            EXPECT((raw_call ? syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_PEERNAME, &seen, &length)
                             : getsockopt(fd, SOL_SOCKET, SO_PEERNAME, &seen, &length)) == 0);
            EXPECT(length == size && memcmp(&seen, &expected, size) == 0);
        }
    }
    socklen_t much = sizeof expected + 1, size = sizeof expected;
    FAILS(getsockopt(fd, SOL_SOCKET, SO_PEERNAME, &seen, &much), EINVAL);
    FAILS(getsockopt(free, SOL_SOCKET, SO_PEERNAME, &seen, &size), ENOTCONN);
    EXPECT(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 && (size = 2));
    EXPECT(getsockopt(pair[0], SOL_SOCKET, SO_PEERNAME, &seen, &size) == 0);
    EXPECT(seen.ss_family == AF_UNIX);
}

static void scene_quiet(void)
{
    int fd = connected("192.0.2.1", 80);
    EXPECT(without_system_calls(asks_on_one_page, fd) == 0);
    /* The kernel does what it is told. */
    int status = without_system_calls(closes, fd);
    EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* The interface that the kernel has bound a socket to. */
static const char *bound_to(int fd, char *name)
{
    socklen_t length = 16;
    memset(name, 0, 16);
    EXPECT(syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_BINDTODEVICE, name, &length) == 0);
    return name;
}

/* Under a backstop a TCP socket is bound to the loopback interface, and its program does not see that. */
static void scene_interface(void)
{
    int families[] = {AF_INET, AF_INET6};
    for (int i = 0; i < 2; i++) {
        int fd = socket(families[i], SOCK_STREAM, 0), number = 7;
        char name[16] = "as it was", own[16];
        socklen_t length = sizeof name;
        EXPECT(getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, &length) == 0 && length == 0);
        length = sizeof number;
        EXPECT(getsockopt(fd, SOL_SOCKET, 62 /* SO_BINDTOIFINDEX */, &number, &length) == 0);
        EXPECT(number == 0);
        EXPECT(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "", 0) == 0);
        const char *expected = getenv("EXPECTED_INTERFACE");
        EXPECT(strcmp(bound_to(fd, own), expected) == 0);
        close(fd);
    }
}

static const struct scene scenes[] = {
    {"interface", scene_interface},
    {"connect", scene_connect},   {"connect6", scene_connect6}, {"resolved", scene_resolved},
    {"getpeername", scene_getpeername}, {"duplicates", scene_duplicates},
    {"failed-dup2", scene_failed_dup2}, {"reuse", scene_reuse},
    {"one-port", scene_one_port}, {"raw-close", scene_raw_close}, {"dissolve", scene_dissolve},
    {"socket", scene_socket},     {"errno", scene_errno},
    {"fast-open", scene_fast_open}, {"inbound", scene_inbound},
    {"syscall", scene_syscall},   {"exec", scene_exec},
    {"vfork", scene_vfork},       {"fork", scene_fork},
    {"signals", scene_signals},   {"quiet", scene_quiet},
    {"bad-pointers", scene_bad_pointers}, {"peer-option", scene_peer_option},
    {NULL, NULL},
};

int main(int count, char **arguments)
{
    return play(scenes, count, arguments);
}
