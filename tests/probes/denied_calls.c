/* Denies one system call to a flow after the other, with one errno after the other, by a seccomp filter
   as of a sandbox. A flow may fail, or wait. It must not reach anything past the proxy, succeed where it
   has not, or give the program bytes of the proxy's. Each trial has a child of its own; one scene for
   each flow. */
#define _GNU_SOURCE 1
#include <fcntl.h>
#include <net/if.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/wait.h>

#include "filter.h"
#include "scene.h"

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#define SYS_pidfd_getfd 438
#endif

/* System calls of the hooks. */
static const struct {
    int number;
    const char *name;
} calls[] = {
#define CALL(name) {SYS_##name, #name}
    CALL(getsockopt), CALL(setsockopt), CALL(getsockname), CALL(getpeername), CALL(fcntl), CALL(fstat),
    CALL(sendmsg), CALL(recvmsg), CALL(epoll_ctl), CALL(epoll_create1), CALL(getpid), CALL(gettid),
    CALL(kill), CALL(tgkill), CALL(rt_sigprocmask), CALL(rt_sigaction), CALL(mmap), CALL(munmap),
    CALL(madvise), CALL(unshare), CALL(close), CALL(close_range), CALL(ppoll), CALL(socket), CALL(sendto),
    CALL(recvfrom), CALL(connect), CALL(bind), CALL(shutdown), CALL(openat), CALL(read), CALL(pread64),
    CALL(futex), CALL(sched_yield), CALL(dup), CALL(dup3), CALL(faccessat2), CALL(faccessat),
    CALL(fgetxattr), CALL(getresuid), CALL(getresgid), CALL(clock_gettime), CALL(getcwd), CALL(readlinkat),
#if defined(__x86_64__)
    CALL(poll), CALL(dup2), CALL(access), CALL(select), CALL(epoll_wait),
#endif
};
static const int errnos[] = {EPERM, ENOSYS};

/* A system call with this for its sixth argument is the probe's own, and passes. */
#define OWN 0x5afe

static long own(long number, long a, long b, long c, long d, long e)
{
    long result;
#if defined(__x86_64__)
    register long fourth __asm__("r10") = d, fifth __asm__("r8") = e, sixth __asm__("r9") = OWN;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(fourth), "r"(fifth), "r"(sixth)
                     : "rcx", "r11", "memory");
#elif defined(__aarch64__)
    register long first __asm__("x0") = a, second __asm__("x1") = b, third __asm__("x2") = c;
    register long fourth __asm__("x3") = d, fifth __asm__("x4") = e, sixth __asm__("x5") = OWN;
    register long which __asm__("x8") = number;
    __asm__ volatile("svc 0"
                     : "+r"(first)
                     : "r"(second), "r"(third), "r"(fourth), "r"(fifth), "r"(sixth), "r"(which)
                     : "memory");
    result = first;
#endif
    return result;
}

static void deny(int number, int error)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 2 /* to ALLOW */),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[5])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, OWN, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
    };
    enter_filter(filter, sizeof filter / sizeof *filter);
}

static const char *why;
static char text[256];
#define WRONG(...) return snprintf(text, sizeof text, __VA_ARGS__), why = text, (void)0
#define HOST "192.0.2.1"
#define OTHER "192.0.2.2"
enum { LAST = 64 };

static int proxy_port;
/* Start of a flow; all but FD is the probe's own. */
static int fd, pair[2], denied, datagrams, before;
static struct sockaddr_in datagram_address;

static int is_open(int number) { return own(SYS_fcntl, number, F_GETFD, 0, 0, 0) >= 0; }

static int count_open(void)
{
    int count = 0;
    for (int number = 0; number < LAST; number++)
        count += is_open(number);
    return count;
}

/* 1 if the kernel's socket leads to the proxy, 0 if elsewhere, -1 if nowhere. */
static int leads_to_proxy(int number)
{
    struct sockaddr_in peer;
    socklen_t length = sizeof peer;
    if (own(SYS_getpeername, number, (long)&peer, (long)&length, 0, 0) != 0)
        return -1;
    return peer.sin_family == AF_INET && ntohs(peer.sin_port) == proxy_port
        && ntohl(peer.sin_addr.s_addr) == INADDR_LOOPBACK;
}

/* By the kernel alone, whether the stream is the echo's from its first byte on. */
static int is_stream(int number)
{
    char answer[6] = {0};
    int flags = own(SYS_fcntl, number, F_GETFL, 0, 0, 0);
    own(SYS_fcntl, number, F_SETFL, flags & ~O_NONBLOCK, 0, 0);
    struct iovec piece = {"hello", 6}, place = {answer, 6};
    struct msghdr out = {.msg_iov = &piece, .msg_iovlen = 1}, in = {.msg_iov = &place, .msg_iovlen = 1};
    return own(SYS_sendmsg, number, (long)&out, MSG_NOSIGNAL, 0, 0) == 6
        && own(SYS_recvmsg, number, (long)&in, MSG_WAITALL, 0, 0) == 6 && strcmp(answer, "hello") == 0;
}

/* Answers to a program about a connection to `host`. */
static void check_connection(int number, const char *host)
{
    struct sockaddr_in expected = v4(host, 80), seen = {0};
    socklen_t length = sizeof seen;
    if (leads_to_proxy(number) != 1)
        WRONG("connected, but not to the proxy");
    /* Without memory there is no record. */
    if (denied != SYS_mmap && getpeername(number, (struct sockaddr *)&seen, &length) == 0
        && (seen.sin_port != expected.sin_port || seen.sin_addr.s_addr != expected.sin_addr.s_addr))
        WRONG("getpeername: %s port %d", inet_ntoa(seen.sin_addr), ntohs(seen.sin_port));
    if (!is_stream(number))
        WRONG("connected, but the stream is not the destination's");
}

static void check_connect(int number, const char *host)
{
    if (reach(number, host, 80) == 0)
        check_connection(number, host);
    else if (leads_to_proxy(number) == 0)
        WRONG("not connected, but it leads somewhere");
}

static void play_connect(void)
{
    int number = socket(AF_INET, SOCK_STREAM, 0);
    if (number >= 0)
        check_connect(number, HOST);
}

static void set_up_fresh(void) { EXPECT((fd = socket(AF_INET, SOCK_STREAM, 0)) >= 0); }
static void play_fresh(void) { check_connect(fd, HOST); }

static void play_socket(void)
{
    before = count_open();
    int number = socket(AF_INET, SOCK_STREAM, 0);
    if (number < 0 && count_open() != before)
        WRONG("socket fails, and a descriptor is left");
}

static void set_up_begun(void)
{
    EXPECT((fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)) >= 0);
    FAILS(reach(fd, HOST, 80), EINPROGRESS);
}

/* After a wait has told that something has come of it. */
static void check_told(void)
{
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error == 0)
        check_connection(fd, HOST);
}

static void play_poll(void)
{
    struct pollfd entry = {fd, POLLOUT, 0};
    if (poll(&entry, 1, 300) == 1 && entry.revents == POLLOUT)
        check_told();
}

static void play_select(void)
{
    fd_set writable;
    FD_ZERO(&writable);
    FD_SET(fd, &writable);
    if (select(fd + 1, NULL, &writable, NULL, &(struct timeval){0, 300000}) == 1)
        check_told();
}

static void set_up_set(void)
{
    set_up_begun();
    EXPECT((pair[0] = epoll_create1(0)) >= 0);
}

static void play_epoll(void)
{
    struct epoll_event event = {.events = EPOLLOUT, .data.u64 = 5};
    if (epoll_ctl(pair[0], EPOLL_CTL_ADD, fd, &event) == 0 && epoll_wait(pair[0], &event, 1, 300) == 1) {
        if (event.data.u64 != 5)
            WRONG("an event with data that are not the program's");
        if (event.events == EPOLLOUT)
            check_told();
    }
}

static void set_up_registered(void)
{
    struct epoll_event event = {.events = EPOLLOUT, .data.u64 = 5};
    EXPECT((pair[0] = epoll_create1(0)) >= 0 && (fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)) >= 0);
    FAILS(reach(fd, HOST, 80), EINPROGRESS);
    EXPECT(epoll_ctl(pair[0], EPOLL_CTL_ADD, fd, &event) == 0);
}

static void play_registered(void)
{
    struct epoll_event event;
    if (epoll_wait(pair[0], &event, 1, 300) == 1) {
        if (event.data.u64 != 5)
            WRONG("an event with data that are not the program's");
        if (event.events == EPOLLOUT)
            check_told();
    }
}

static void play_data(void)
{
    char answer[6] = {0};
    own(SYS_fcntl, fd, F_SETFL, 0, 0, 0);
    if (send(fd, "hello", 6, 0) == 6
        && (recv(fd, answer, 6, MSG_WAITALL | MSG_DONTWAIT) > 0 && strncmp(answer, "hello", 5) != 0))
        WRONG("the stream begins with other bytes");
    if (recv(fd, answer, 1, MSG_DONTWAIT) == 1 && answer[0] != 'h')
        WRONG("the stream begins with byte %d", answer[0]);
}

static void play_again(void)
{
    if (reach(fd, HOST, 80) == 0)
        check_connection(fd, HOST);
}

static void set_up_connected(void) { fd = connected(HOST, 80); }

static void play_duplicates(void)
{
    int copies[] = {dup(fd), fcntl(fd, F_DUPFD, 30), dup2(fd, 40), dup3(fd, 41, O_CLOEXEC)};
    for (int i = 0; i < 4; i++) {
        if (copies[i] < 0)
            continue;
        if (reach(copies[i], OTHER, 80) == 0)
            WRONG("duplicate %d is connected twice", i);
        check_connection(copies[i], HOST);
        if (why)
            return;
    }
}

/* The number is given to a UNIX socket, as the program may do by any call. */
static void check_forgotten(int number)
{
    struct sockaddr_storage seen;
    socklen_t length = sizeof seen;
    EXPECT(own(SYS_dup3, pair[0], number, 0, 0, 0) == number);
    if (getpeername(number, (struct sockaddr *)&seen, &length) == 0 && seen.ss_family != AF_UNIX)
        WRONG("another socket has the peer of a closed one");
}

static void set_up_to_close(void)
{
    set_up_connected();
    EXPECT(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
}

static void play_close(void)
{
    if (close(fd) == 0 || !is_open(fd))
        check_forgotten(fd);
}

static void play_replace(void)
{
    struct sockaddr_storage seen;
    socklen_t length = sizeof seen;
    if (dup2(pair[0], fd) == fd && getpeername(fd, (struct sockaddr *)&seen, &length) == 0
        && seen.ss_family != AF_UNIX)
        WRONG("a socket has the peer of the one that it replaces");
}

static void play_close_range(void)
{
    int before_range = is_open(fd);
    if (close_range(fd, fd, 0) == 0 && before_range && !is_open(fd))
        check_forgotten(fd);
}

static void play_dissolve(void)
{
    struct sockaddr nothing = {.sa_family = AF_UNSPEC};
    if (connect(fd, &nothing, sizeof nothing) == 0)
        check_connect(fd, OTHER);
    else if (leads_to_proxy(fd) == 1 && !is_stream(fd))
        WRONG("still connected, and the stream is not the destination's");
}

static int public_socket(int listens)
{
    struct sockaddr_in any = {.sin_family = AF_INET};
    int number = (int)raw(SYS_socket, AF_INET, SOCK_STREAM, 0, 0);
    EXPECT(number >= 0 && raw(SYS_bind, number, (long)&any, sizeof any, 0) == 0);
    EXPECT(!listens || raw(SYS_listen, number, 4, 0, 0) == 0);
    return number;
}

static void set_up_public(void) { fd = public_socket(0); }

static void play_listen(void)
{
    int listens = 0;
    socklen_t size = sizeof listens;
    int result = listen(fd, 4);
    own(SYS_getsockopt, fd, SOL_SOCKET, SO_ACCEPTCONN, (long)&listens, (long)&size);
    if (result == 0 || listens)
        WRONG("it listens on a public address");
}

static void set_up_visited(void)
{
    struct sockaddr_in address;
    socklen_t length = sizeof address;
    fd = public_socket(1);
    EXPECT(raw(SYS_getsockname, fd, (long)&address, (long)&length, 0) == 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    pair[0] = (int)raw(SYS_socket, AF_INET, SOCK_STREAM, 0, 0);
    EXPECT(raw(SYS_connect, pair[0], (long)&address, sizeof address, 0) == 0);
}

static void play_accept(void)
{
    if (accept(fd, NULL, NULL) >= 0 || accept4(fd, NULL, NULL, SOCK_CLOEXEC) >= 0)
        WRONG("a connection to a public address is accepted");
}

/* A UDP socket of the probe's own that receives; another one is made by each flow. */
static void set_up_datagrams(void)
{
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof datagram_address;
    datagrams = (int)raw(SYS_socket, AF_INET, SOCK_DGRAM, 0, 0);
    EXPECT(datagrams >= 0 && raw(SYS_bind, datagrams, (long)&here, sizeof here, 0) == 0);
    EXPECT(raw(SYS_getsockname, datagrams, (long)&datagram_address, (long)&length, 0) == 0);
    fd = (int)raw(SYS_socket, AF_INET, SOCK_DGRAM, 0, 0);
    EXPECT(fd >= 0);
}

static void check_datagrams(void)
{
    char bytes[16];
    struct iovec place = {bytes, sizeof bytes};
    struct msghdr in = {.msg_iov = &place, .msg_iovlen = 1};
    if (own(SYS_recvmsg, datagrams, (long)&in, MSG_DONTWAIT, 0, 0) >= 0)
        WRONG("a datagram came out");
}

static void play_datagrams(void)
{
    struct iovec piece = {"leak", 4};
    struct mmsghdr many = {.msg_hdr = {.msg_iov = &piece, .msg_iovlen = 1, .msg_name = &datagram_address,
                               .msg_namelen = sizeof datagram_address}};
    sendto(fd, "leak", 4, 0, (struct sockaddr *)&datagram_address, sizeof datagram_address);
    sendmsg(fd, &many.msg_hdr, 0);
    sendmmsg(fd, &many, 1, 0);
    if (connect(fd, (struct sockaddr *)&datagram_address, sizeof datagram_address) == 0)
        WRONG("a datagram socket is connected");
    check_datagrams();
}

/* A socket that this process makes is bound to the interface lo, or there is none. */
static void play_made_datagrams(void)
{
    char device[IF_NAMESIZE] = "";
    socklen_t size = sizeof device;
    before = count_open();
    fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (fd < 0) {
        if (count_open() != before && denied != SYS_close)
            WRONG("socket fails, and a descriptor is left");
        return;
    }
    own(SYS_getsockopt, fd, SOL_SOCKET, SO_BINDTODEVICE, (long)device, (long)&size);
    if (strcmp(device, "lo") != 0)
        WRONG("the socket is bound to the device '%s'", device);
    play_datagrams();
}

static void set_up_foreign_datagrams(void)
{
    set_up_datagrams();
    EXPECT(raw(SYS_connect, fd, (long)&datagram_address, sizeof datagram_address, 0) == 0);
}

static void play_foreign_datagrams(void)
{
    struct iovec piece = {"leak", 4};
    struct mmsghdr many = {.msg_hdr = {.msg_iov = &piece, .msg_iovlen = 1}};
    send(fd, "leak", 4, 0);
    sendto(fd, "leak", 4, 0, NULL, 0);
    sendmsg(fd, &many.msg_hdr, 0);
    sendmmsg(fd, &many, 1, 0);
    check_datagrams();
}

static void pass_own(int number)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr header;
    } control = {.header = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
    struct iovec piece = {"p", 1};
    struct msghdr out = {.msg_iov = &piece, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    memcpy(CMSG_DATA(&control.header), &number, sizeof number);
    EXPECT(raw(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, (long)pair) == 0);
    EXPECT(raw(SYS_sendmsg, pair[1], (long)&out, 0, 0) == 1);
    raw(SYS_close, number, 0, 0, 0);
}

static void set_up_passed_datagrams(void)
{
    set_up_datagrams();
    EXPECT(raw(SYS_connect, fd, (long)&datagram_address, sizeof datagram_address, 0) == 0);
    pass_own(fd);
}

static void set_up_passed_stream(void)
{
    set_up_visited();
    /* Connected past the proxy. */
    pass_own(pair[0]);
}

static void receive(int many)
{
    char bytes[4], control[64];
    struct iovec place = {bytes, sizeof bytes};
    struct mmsghdr in = {.msg_hdr = {.msg_iov = &place, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control}};
    before = count_open();
    int result = many ? recvmmsg(pair[0], &in, 1, MSG_DONTWAIT, NULL) : (int)recvmsg(pair[0], &in.msg_hdr, MSG_DONTWAIT);
    struct cmsghdr *header = result < 0 ? NULL : CMSG_FIRSTHDR(&in.msg_hdr);
    if (header && header->cmsg_type == SCM_RIGHTS && header->cmsg_len > CMSG_LEN(0))
        WRONG("the socket is taken");
    if (count_open() != before && denied != SYS_close)
        WRONG("the socket is left open");
}

static void play_receive(void) { receive(0); }
static void play_receive_many(void) { receive(1); }

static void set_up_another(void)
{
    set_up_datagrams();
    EXPECT((pair[0] = (int)raw(SYS_pidfd_open, getpid(), 0, 0, 0)) >= 0);
}

static void play_take(void)
{
    before = count_open();
    if (syscall(SYS_pidfd_getfd, pair[0], fd, 0) >= 0)
        WRONG("the socket is taken");
    if (count_open() != before && denied != SYS_close)
        WRONG("the socket is left open");
}

static void play_fork(void)
{
    int status = 0;
    pid_t child = fork();
    if (child < 0)
        return;
    check_connection(fd, HOST);
    if (!why)
        play_connect();
    if (child == 0)
        own(SYS_exit_group, why ? 9 : 0, 0, 0, 0, 0);
    own(SYS_wait4, child, (long)&status, 0, 0, 0);
    if (!why && status != 0)
        WRONG("the child ends with %#x", status);
}

static void play_lookup(void)
{
    struct addrinfo *found, hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
    before = count_open();
    if (getaddrinfo("name.test", "80", &hints, &found) == 0)
        WRONG("the proxy has no answer, and a name has an address");
    if (count_open() > before && denied != SYS_close)
        WRONG("a descriptor is left");
}

/* A statically linked program: no library can protect it. */
static void play_exec(void)
{
    char *program = getenv("STATIC"), *arguments[] = {program, NULL};
    int status = 0;
    long child = own(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (child == 0) {
        execve(program, arguments, environ);
        execv(program, arguments);
        own(SYS_exit_group, 0, 0, 0, 0, 0);
    }
    own(SYS_wait4, child, (long)&status, 0, 0, 0);
    if (status != 0)
        WRONG("a static program was executed: %#x", status);
    pid_t spawned;
    if (posix_spawn(&spawned, program, NULL, NULL, arguments, environ) == 0) {
        own(SYS_wait4, spawned, (long)&status, 0, 0, 0);
        if (status != 0x7f00)
            WRONG("a static program was spawned: %#x", status);
    }
}

static void nothing(void) {}

static const struct flow {
    const char *name;
    void (*set_up)(void), (*play)(void);
} flows[] = {
    {"socket", nothing, play_socket},
    {"connect", nothing, play_connect},
    {"fresh", set_up_fresh, play_fresh},
    {"poll", set_up_begun, play_poll},
    {"select", set_up_begun, play_select},
    {"epoll", set_up_set, play_epoll},
    {"registered", set_up_registered, play_registered},
    {"data", set_up_begun, play_data},
    {"again", set_up_begun, play_again},
    {"duplicates", set_up_connected, play_duplicates},
    {"close", set_up_to_close, play_close},
    {"replace", set_up_to_close, play_replace},
    {"close-range", set_up_to_close, play_close_range},
    {"dissolve", set_up_connected, play_dissolve},
    {"listen", set_up_public, play_listen},
    {"accept", set_up_visited, play_accept},
    {"datagrams", set_up_datagrams, play_datagrams},
    {"made-datagrams", set_up_datagrams, play_made_datagrams},
    {"foreign-datagrams", set_up_foreign_datagrams, play_foreign_datagrams},
    {"receive-datagrams", set_up_passed_datagrams, play_receive},
    {"receive-stream", set_up_passed_stream, play_receive},
    {"receive-many", set_up_passed_stream, play_receive_many},
    {"take", set_up_another, play_take},
    {"fork", set_up_connected, play_fork},
    {"lookup", nothing, play_lookup},
    {"exec", nothing, play_exec},
};

/* One trial; the child's status. */
static int try(const struct flow *flow, int number, int error)
{
    int status;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        alarm(20);
        flow->set_up();
        denied = number;
        if (error)
            deny(number, error);
        flow->play();
        if (why) {
            own(SYS_write, 1, (long)why, strlen(why), 0, 0);
            own(SYS_write, 1, (long)": ", 2, 0, 0);
        }
        own(SYS_exit_group, why ? 9 : 0, 0, 0, 0, 0);
    }
    EXPECT(child > 0 && waitpid(child, &status, 0) == child);
    return status;
}

int main(int count, char **arguments)
{
    int trials = 0, wrong = 0;
    proxy_port = atoi(getenv("PROXY_PORT"));
    for (unsigned i = 0; count == 2 && i < sizeof flows / sizeof *flows; i++) {
        const struct flow *flow = flows + i;
        if (strcmp(arguments[1], flow->name) != 0)
            continue;
        EXPECT(try(flow, 0, 0) == 0);
        for (unsigned call = 0; call < sizeof calls / sizeof *calls; call++) {
            for (unsigned error = 0; error < sizeof errnos / sizeof *errnos; error++, trials++) {
                int status = try(flow, calls[call].number, errnos[error]);
                if (status == 0)
                    continue;
                wrong++;
                printf("%s without %s (errno %d): status %#x\n", flow->name, calls[call].name, errnos[error], status);
            }
        }
        printf("%d trials, %d wrong\n", trials, wrong);
        return wrong != 0;
    }
    fprintf(stderr, "%s: no such flow\n", arguments[0]);
    return 2;
}
