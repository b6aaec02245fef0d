/* Ways past Tor that a program may try, one scene for each argument. */
#define _GNU_SOURCE 1
#include <dlfcn.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <sys/un.h>

#include "scene.h"

#ifndef SO_BINDTOIFINDEX
#define SO_BINDTOIFINDEX 62
#endif

/* A socket as a program may have it from elsewhere: made where no hook saw it. */
static int foreign(int family, int kind, int protocol)
{
    return (int)raw(SYS_socket, family, kind, protocol, 0);
}

static void scene_sockets(void)
{
    static const struct {
        int family, kind, protocol, error;
    } refused[] = {
        {AF_INET, SOCK_DGRAM, 136 /* UDP-Lite */, EPERM},
        {AF_INET, SOCK_RAW, IPPROTO_RAW, EPERM},
        {AF_INET6, SOCK_RAW, IPPROTO_ICMPV6, EPERM},
        {AF_INET, SOCK_PACKET, 0x300, EPERM},
        {AF_PACKET, SOCK_DGRAM, 0x300, EPERM},
        {AF_INET, SOCK_DGRAM, IPPROTO_ICMP, EPERM},
        {AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6, EPERM},
        {AF_INET, SOCK_STREAM, IPPROTO_SCTP, EPROTONOSUPPORT},
        {AF_INET, SOCK_SEQPACKET, IPPROTO_SCTP, EPERM},
        {AF_INET, SOCK_DCCP, IPPROTO_DCCP, EPERM},
        {AF_INET6, SOCK_STREAM, 262 /* MPTCP */, EPROTONOSUPPORT},
        {AF_VSOCK, SOCK_STREAM, 0, EPERM},
        {AF_TIPC, SOCK_RDM, 0, EPERM},
        {AF_BLUETOOTH, SOCK_RAW, 0, EPERM},
        {AF_CAN, SOCK_RAW, 1, EPERM},
    };
    int pair[2];
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        int family = refused[i].family, kind = refused[i].kind, protocol = refused[i].protocol;
        FAILS(socket(family, kind, protocol), refused[i].error);
        FAILS(syscall(SYS_socket, family, kind | SOCK_CLOEXEC, protocol), refused[i].error);
        FAILS(socketpair(family, kind, protocol, pair), refused[i].error);
        FAILS(syscall(SYS_socketpair, family, kind, protocol, pair), refused[i].error);
    }
    FAILS(socketpair(AF_INET, SOCK_STREAM, 0, pair), EOPNOTSUPP);
    FAILS(socketpair(AF_UNIX, SOCK_STREAM, 0, NULL), EFAULT);
    EXPECT(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0);
}

static struct msghdr message_to(const void *address, socklen_t length, struct iovec *data)
{
    return (struct msghdr){
        .msg_name = (void *)address, .msg_namelen = length, .msg_iov = data, .msg_iovlen = 1};
}

static void refuses(int fd, const void *address, socklen_t length, int flags)
{
    char text[] = "leak";
    struct iovec data = {text, 4};
    struct mmsghdr many[2] = {{.msg_hdr = message_to(address, length, &data)}};
    many[1] = many[0];
    FAILS(sendto(fd, text, 4, flags, address, length), EPERM);
    FAILS(sendmsg(fd, &many[0].msg_hdr, flags), EPERM);
    FAILS(sendmmsg(fd, many, 2, flags), EPERM);
    FAILS(syscall(SYS_sendto, fd, text, 4, flags, address, length), EPERM);
    FAILS(syscall(SYS_sendmsg, fd, &many[0].msg_hdr, flags), EPERM);
    FAILS(syscall(SYS_sendmmsg, fd, many, 2, flags), EPERM);
}

static void scene_datagrams(void)
{
    struct sockaddr_in there = v4("192.0.2.1", 123), here = v4("127.0.0.1", 123);
    struct sockaddr_in6 wide = v6("2001:db8::1", 123), mapped = v6("::ffff:192.0.2.1", 123);
    int udp = foreign(AF_INET, SOCK_DGRAM, 0), udp6 = foreign(AF_INET6, SOCK_DGRAM, 0);
    for (int flags = 0; flags <= MSG_FASTOPEN; flags += MSG_FASTOPEN) {
        refuses(udp, &there, sizeof there, flags);
        refuses(udp, &here, sizeof here, flags);
        refuses(udp6, &wide, sizeof wide, flags);
        refuses(udp6, &mapped, sizeof mapped, flags);
        there.sin_family = AF_UNSPEC;
        refuses(udp, &there, sizeof there, flags);
        there.sin_family = AF_INET;
    }
    FAILS(reach(udp, "192.0.2.1", 123), EPERM);
    FAILS(write(udp, "leak", 4), EDESTADDRREQ);
    int packet = foreign(AF_PACKET, SOCK_DGRAM, 0);
    if (packet >= 0)
        refuses(packet, &there, sizeof there, 0);
    int raw_socket = foreign(AF_INET, SOCK_RAW, IPPROTO_ICMP);
    if (raw_socket >= 0)
        refuses(raw_socket, &there, sizeof there, 0);
}

static void scene_fast_open(void)
{
    struct sockaddr_in address = v4("192.0.2.1", 80);
    char text[] = "hello", answer[6];
    struct iovec data = {text, 6};
    for (int form = 0; form < 4; form++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        struct mmsghdr many[2] = {{.msg_hdr = message_to(&address, sizeof address, &data)}};
        many[1] = many[0];
        if (form == 0)
            EXPECT(sendmsg(fd, &many[0].msg_hdr, MSG_FASTOPEN) == 6);
        else if (form == 1)
            EXPECT(sendmmsg(fd, many, 2, MSG_FASTOPEN) == 1 && many[0].msg_len == 6);
        else if (form == 2)
            EXPECT(syscall(SYS_sendmsg, fd, &many[0].msg_hdr, MSG_FASTOPEN) == 6);
        else
            EXPECT(syscall(SYS_sendmmsg, fd, many, 1, MSG_FASTOPEN) == 1 && many[0].msg_len == 6);
        EXPECT(recv(fd, answer, 6, MSG_WAITALL) == 6 && strcmp(answer, "hello") == 0);
        EXPECT(peer_is(fd, "192.0.2.1", 80) && many[0].msg_hdr.msg_name == &address);
        FAILS(sendmsg(fd, &many[0].msg_hdr, MSG_FASTOPEN), EISCONN);
        /* A connected stream ignores an address. */
        EXPECT(sendmsg(fd, &many[0].msg_hdr, 0) == 6 && sendmmsg(fd, many, 2, 0) == 2);
        EXPECT(close(fd) == 0);
    }
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct msghdr message = message_to(&address, sizeof address, &data);
    FAILS(sendmsg(fd, &message, MSG_NOSIGNAL), EPIPE);
    EXPECT(inet_pton(AF_INET, "127.0.0.1", &address.sin_addr) == 1);
    FAILS(sendmsg(fd, &message, MSG_FASTOPEN), EPERM);
}

static void scene_plain_messages(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int sender = socket(AF_UNIX, SOCK_DGRAM, 0), receiver = socket(AF_UNIX, SOCK_DGRAM, 0);
    snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "ways-out.%d", getpid());
    EXPECT(bind(receiver, (struct sockaddr *)&address, sizeof address) == 0);
    char text[] = "text", answer[8];
    struct iovec data = {text, 4};
    struct mmsghdr many[2] = {{.msg_hdr = message_to(&address, sizeof address, &data)}};
    many[1] = many[0];
    errno = EXDEV;
    EXPECT(sendmsg(sender, &many[0].msg_hdr, 0) == 4 && sendmmsg(sender, many, 2, 0) == 2);
    EXPECT(many[1].msg_len == 4 && errno == EXDEV);
    for (int i = 0; i < 3; i++)
        EXPECT(recv(receiver, answer, sizeof answer, 0) == 4);
    FAILS(sendmsg(sender, NULL, 0), EFAULT);
    FAILS(sendmmsg(sender, NULL, 1, 0), EFAULT);
    FAILS(sendmsg(999, &many[0].msg_hdr, 0), EBADF);
    FAILS(sendmmsg(0, many, 2, 0), ENOTSOCK);
    many[1].msg_hdr.msg_name = (void *)8;
    EXPECT(sendmmsg(sender, many, 2, 0) == 1);
    many[0].msg_hdr.msg_name = (void *)8;
    FAILS(sendmmsg(sender, many, 2, 0), EFAULT);
}

static int set(int fd, int level, int name, const void *value, socklen_t length)
{
    int result = setsockopt(fd, level, name, value, length), error = errno;
    EXPECT((errno = 0, syscall(SYS_setsockopt, fd, level, name, value, length)) == result);
    EXPECT(result == 0 || errno == error);
    errno = error;
    return result;
}

static void scene_options(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0), wide = socket(AF_INET6, SOCK_STREAM, 0), on = 1;
    int other = 2, swapped = htonl(2);
    FAILS(set(fd, SOL_SOCKET, SO_BINDTODEVICE, "eth0", 5), EPERM);
    EXPECT(set(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3) == 0);
    EXPECT(set(fd, SOL_SOCKET, SO_BINDTODEVICE, "", 0) == 0);
    FAILS(set(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &other, sizeof other), EPERM);
    FAILS(set(fd, IPPROTO_IP, 50 /* IP_UNICAST_IF */, &swapped, sizeof swapped), EPERM);
    FAILS(set(wide, IPPROTO_IPV6, 76 /* IPV6_UNICAST_IF */, &swapped, sizeof swapped), EPERM);
    unsigned char route[] = {0x83, 7, 4, 192, 0, 2, 1, 0}, header[24] = {0, 2, 0, 1};
    FAILS(set(fd, IPPROTO_IP, IP_OPTIONS, route, sizeof route), EPERM);
    FAILS(set(wide, IPPROTO_IPV6, IPV6_RTHDR, header, sizeof header), EPERM);
    struct ip_mreq group = {.imr_multiaddr.s_addr = htonl(0xe00000fb)};
    FAILS(set(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof group), EPERM);
    FAILS(set(fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof on), EPERM);
    FAILS(set(fd, IPPROTO_TCP, TCP_ULP, "smc", 3), EPERM);
    FAILS(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, (void *)8, 4), EFAULT);
    FAILS(setsockopt(999, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &on, sizeof on), EBADF);
    FAILS(setsockopt(0, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &on, sizeof on), ENOTSOCK);
    errno = EXDEV;
    EXPECT(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0);
    EXPECT(setsockopt(fd, IPPROTO_IP, IP_TOS, &on, sizeof on) == 0 && errno == EXDEV);

    EXPECT(set(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &on, sizeof on) == 0);
    EXPECT(reach(fd, "192.0.2.1", 80) == 0 && echoes(fd) && peer_is(fd, "192.0.2.1", 80));
}

/* Answer of sendmsg for four bytes to here, with `size` bytes of ancillary data; in every form. */
static int control(int fd, const void *here, socklen_t length, int level, int kind, const void *value, size_t size)
{
    char text[] = "leak", room[CMSG_SPACE(64)] = {0}, seen[8];
    struct iovec data = {text, 4};
    struct mmsghdr many[2] = {{.msg_hdr = message_to(here, length, &data)}};
    struct msghdr *message = &many[1].msg_hdr;
    many[1] = many[0];
    message->msg_control = room;
    message->msg_controllen = CMSG_SPACE(size);
    *CMSG_FIRSTHDR(message) = (struct cmsghdr){CMSG_LEN(size), level, kind};
    memcpy(CMSG_DATA(CMSG_FIRSTHDR(message)), value, size);
    int result = sendmsg(fd, message, 0), error = errno;
    EXPECT((errno = 0, syscall(SYS_sendmsg, fd, message, 0)) == result);
    EXPECT(result > 0 || errno == error);
    EXPECT((errno = 0, sendmmsg(fd, many + 1, 1, 0)) == (result > 0 ? 1 : -1));
    EXPECT(result > 0 || errno == error);
    /* The bytes before it are sent. */
    EXPECT(sendmmsg(fd, many, 2, 0) == (result > 0 ? 2 : 1) && many[0].msg_len == 4);
    while (recv(fd, seen, sizeof seen, MSG_DONTWAIT) == 4)
        ;
    errno = error;
    return result;
}

/* Datagrams to localhost, which AllowOutboundLocalhost 2 permits. */
static void scene_control(void)
{
    struct sockaddr_in here = v4("127.0.0.1", 0);
    struct sockaddr_in6 here6 = v6("::1", 0);
    socklen_t length = sizeof here, length6 = sizeof here6;
    int fd = socket(AF_INET, SOCK_DGRAM, 0), wide = socket(AF_INET6, SOCK_DGRAM, 0), hops = 64;
    EXPECT(bind(fd, (struct sockaddr *)&here, length) == 0);
    EXPECT(getsockname(fd, (struct sockaddr *)&here, &length) == 0);
    unsigned char route[] = {0x83, 7, 4, 127, 0, 0, 2}, header[24] = {0, 2, 2, 1};
    struct in_pktinfo lo = {.ipi_ifindex = 1}, other = {.ipi_ifindex = 2}, none = {0};
    FAILS(control(fd, &here, length, IPPROTO_IP, IP_RETOPTS, route, sizeof route), EPERM);
    FAILS(control(fd, &here, length, IPPROTO_IP, IP_PKTINFO, &other, sizeof other), EPERM);
    EXPECT(control(fd, &here, length, IPPROTO_IP, IP_PKTINFO, &lo, sizeof lo) == 4);
    EXPECT(control(fd, &here, length, IPPROTO_IP, IP_PKTINFO, &none, sizeof none) == 4);
    EXPECT(control(fd, &here, length, IPPROTO_IP, IP_TTL, &hops, sizeof hops) == 4);
    EXPECT(connect(fd, (struct sockaddr *)&here, length) == 0);
    FAILS(control(fd, NULL, 0, IPPROTO_IP, IP_RETOPTS, route, sizeof route), EPERM);
    EXPECT(control(fd, NULL, 0, IPPROTO_IP, IP_TTL, &hops, sizeof hops) == 4);

    struct in6_pktinfo elsewhere = {.ipi6_ifindex = 2};
    FAILS(set(wide, IPPROTO_IPV6, IPV6_PKTINFO, &elsewhere, sizeof elsewhere), EPERM);
    /* Without IPv6 on lo nothing more can be shown. */
    if (bind(wide, (struct sockaddr *)&here6, length6) == 0) {
        EXPECT(getsockname(wide, (struct sockaddr *)&here6, &length6) == 0);
        FAILS(control(wide, &here6, length6, IPPROTO_IPV6, IPV6_RTHDR, header, sizeof header), EPERM);
        FAILS(control(wide, &here6, length6, IPPROTO_IPV6, IPV6_PKTINFO, &elsewhere, sizeof elsewhere), EPERM);
        EXPECT(control(wide, &here6, length6, IPPROTO_IPV6, IPV6_HOPLIMIT, &hops, sizeof hops) == 4);
    }

    /* The kernel's own errors, and streams. */
    char byte = 0;
    struct iovec data = {&byte, 1};
    struct msghdr message = message_to(&here, length, &data);
    message.msg_control = (void *)8;
    message.msg_controllen = CMSG_SPACE(4);
    FAILS(sendmsg(fd, &message, 0), EFAULT);
    FAILS(sendmsg(999, &message, 0), EBADF);
    int stream = connected("192.0.2.1", 80);
    EXPECT(sendmsg(stream, &(struct msghdr){.msg_iov = &data, .msg_iovlen = 1}, 0) == 1);
}

static void scene_inside(void)
{
    char host[] = "192.0.2.1", *name = host;
    int error;
    FAILS(rcmd(&name, 514, "me", "me", "true", &error), EPERM);
    FAILS(rcmd_af(&name, 514, "me", "me", "true", &error, AF_INET6), EPERM);
    FAILS(rexec(&name, 512, "me", "secret", "true", &error), EPERM);
    FAILS(rexec_af(&name, 512, "me", "secret", "true", &error, AF_INET), EPERM);
    FAILS(ruserok(host, 0, "me", "me"), EPERM);
    FAILS(ruserok_af(host, 0, "me", "me", AF_INET), EPERM);
    FAILS(iruserok(htonl(0xc0000201), 0, "me", "me"), EPERM);
    FAILS(iruserok_af(&error, 0, "me", "me", AF_INET), EPERM);
}

/* No header declares them any more; what they take does not matter to who refuses them. */
static void scene_rpc(void)
{
    static const char *handles[] = {"clnt_create", "clnttcp_create", "clntudp_create",
        "clntudp_bufcreate", "authdes_create", "authdes_pk_create", "svctcp_create", "svcudp_create",
        "svcudp_bufcreate", "pmap_getmaps", "__libc_clntudp_bufcreate", NULL};
    static const char *statuses[] = {
        "callrpc", "clnt_broadcast", "pmap_rmtcall", "registerrpc", "rtime", "key_gendes", NULL};
    static const char *ports[] = {"getrpcport", "pmap_getport", "pmap_set", "pmap_unset",
        "svc_register", NULL};
    for (const char **name = handles; *name; name++) {
        void *(*function)(void) = (void *(*)(void))dlsym(RTLD_DEFAULT, *name);
        EXPECT(function && (errno = 0, function()) == NULL && errno == EPERM);
    }
    for (const char **name = statuses; *name; name++) {
        int (*function)(void) = (int (*)(void))dlsym(RTLD_DEFAULT, *name);
        EXPECT(function && (errno = 0, function()) == -1 && errno == EPERM);
    }
    for (const char **name = ports; *name; name++) {
        int (*function)(void) = (int (*)(void))dlsym(RTLD_DEFAULT, *name);
        EXPECT(function && (errno = 0, function()) == 0 && errno == EPERM);
    }
    unsigned short (*port)(void) = (unsigned short (*)(void))dlsym(RTLD_DEFAULT, "__libc_rpc_getport");
    EXPECT(port && (errno = 0, port()) == 0 && errno == EPERM);
    void (*unregister)(void) = (void (*)(void))dlsym(RTLD_DEFAULT, "svc_unregister");
    EXPECT(unregister && (errno = 0, unregister(), errno) == EPERM);
}

/* Names that no header has, and libnsl's public ones, which call them. */
static void scene_private(void)
{
    static const char *numbers[] = {"__ivaliduser", "__res_context_query", "__res_context_search",
        "__res_context_send", "_nss_dns_getcanonname_r", "_nss_dns_gethostbyname_r",
        "_nss_dns_gethostbyname2_r", "_nss_dns_gethostbyname3_r", "_nss_dns_gethostbyname4_r",
        "_nss_dns_gethostbyaddr_r", "_nss_dns_gethostbyaddr2_r", "_nss_dns_getnetbyname_r",
        "_nss_dns_getnetbyaddr_r", "__nss_hosts_lookup2", NULL};
    void *libc = dlopen("libc.so.6", RTLD_NOW), *found = NULL;
    for (const char **name = numbers; *name; name++) {
        int (*function)(void) = (int (*)(void))dlsym(RTLD_DEFAULT, *name);
        EXPECT(function && (errno = 0, function()) == -1 && errno == EPERM);
        EXPECT(dlsym(libc, *name) == NULL || dlsym(libc, *name) == (void *)function);
    }
    FILE *(*open_pipe)(void) = (FILE * (*)(void)) dlsym(RTLD_DEFAULT, "_IO_proc_open");
    EXPECT(open_pipe && (errno = 0, open_pipe()) == NULL && errno == EPERM);
    int (*lookup)(void *, const char *, const char *, void **) = dlsym(RTLD_DEFAULT, "__nss_lookup");
    int (*next)(void *, const char *, const char *, void **, int, int) = dlsym(RTLD_DEFAULT, "__nss_next2");
    void *(*by_name)(void *, const char *) = dlsym(RTLD_DEFAULT, "__nss_lookup_function");
    EXPECT(lookup && next && by_name);
    FAILS(lookup(NULL, "gethostbyname_r", NULL, &found), EPERM);
    FAILS(lookup(NULL, "x", "getnetbyaddr_r", &found), EPERM);
    FAILS(next(NULL, "gethostbyname3_r", "gethostbyname2_r", &found, 0, 0), EPERM);
    EXPECT((errno = 0, by_name(NULL, "getcanonname_r")) == NULL && errno == EPERM && !found);
}

/* As a program calls liburing that is linked to it, or that it loads. */
static void scene_liburing(void)
{
    static const char *names[] = {"io_uring_queue_init", "io_uring_queue_init_params",
        "io_uring_queue_init_mem", "io_uring_queue_mmap", "io_uring_setup", "io_uring_enter",
        "io_uring_enter2", "io_uring_register", NULL};
    const char *path = getenv("LIBURING");
    void *liburing = path ? dlopen(path, RTLD_NOW) : NULL;
    EXPECT(!path || liburing);
    for (const char **name = names; *name; name++) {
        int (*function)(void) = (int (*)(void))dlsym(RTLD_DEFAULT, *name);
        EXPECT(function && function() == -ENOSYS);
        void *found = liburing ? dlsym(liburing, *name) : NULL;
        EXPECT(found == NULL || found == (void *)function);
    }
    void *(*probe)(void) = (void *(*)(void))dlsym(RTLD_DEFAULT, "io_uring_get_probe");
    EXPECT(probe && probe() == NULL && (!liburing || dlsym(liburing, "io_uring_get_probe") == (void *)probe));
}

static void scene_system_calls(void)
{
    char parameters[256] = {0};
    FAILS(syscall(425 /* io_uring_setup */, 8, parameters), ENOSYS);
    FAILS(syscall(426 /* io_uring_enter */, 999, 0, 0, 0, NULL, 0), ENOSYS);
    FAILS(syscall(427 /* io_uring_register */, 999, 0, NULL, 0), ENOSYS);
#if defined(__x86_64__)
    FAILS(syscall(0x40000000 + SYS_socket, AF_INET, SOCK_DGRAM, 0), ENOSYS);
    FAILS(syscall(520 /* execve of x32 */, "/bin/true", NULL, NULL), ENOSYS);
#endif
    EXPECT(syscall(SYS_getpid) == getpid());
}

/* The kernel reads 32 bits of a number, however many the program gives. */
static void scene_upper_half(void)
{
    static const long halves[] = {1L << 32, (long)(1UL << 63), -(1L << 32)};
    struct sockaddr_in address = v4("192.0.2.1", 80);
    for (size_t i = 0; i < sizeof halves / sizeof *halves; i++) {
        long half = halves[i];
        char parameters[256] = {0};
        FAILS(syscall(SYS_socket | half, AF_INET, SOCK_RAW, IPPROTO_RAW), EPERM);
        FAILS(syscall(425 | half, 8, parameters), ENOSYS);
        int fd = (int)syscall(SYS_socket | half, AF_INET, SOCK_STREAM, 0);
        EXPECT(syscall(SYS_connect | half, fd, &address, sizeof address) == 0);
        EXPECT(peer_is(fd, "192.0.2.1", 80) && echoes(fd));
        EXPECT(syscall(SYS_close | half, fd) == 0 && is_forgotten(fd));
        EXPECT(syscall(SYS_getpid | half) == getpid());
    }
}

static void scene_handles(void)
{
    void *libc = dlopen("libc.so.6", RTLD_NOW), *program = dlopen(NULL, RTLD_NOW);
    EXPECT(libc && program);
    int (*by_handle)(int, const struct sockaddr *, socklen_t) = dlsym(libc, "connect");
    EXPECT((void *)by_handle == (void *)connect && dlsym(libc, "__connect") != NULL);
    EXPECT(dlsym(program, "connect") == (void *)by_handle);
    EXPECT(dlsym(RTLD_DEFAULT, "connect") == (void *)by_handle);
    EXPECT(dlsym(RTLD_NEXT, "connect") == (void *)by_handle);
    EXPECT(dlsym(libc, "dlsym") == dlsym(RTLD_DEFAULT, "dlsym"));

    size_t (*length)(const char *) = (size_t(*)(const char *))dlsym(libc, "strnlen");
    EXPECT(length && dlsym(RTLD_DEFAULT, "scene_handles") == NULL);
    EXPECT(dlsym(libc, "no such function") == NULL && strstr(dlerror(), "no such function"));
    EXPECT(dlerror() == NULL);

    struct sockaddr_in address = v4("192.0.2.1", 80);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    EXPECT(by_handle(fd, (struct sockaddr *)&address, sizeof address) == 0 && echoes(fd));
}

static void scene_versions(void)
{
    void *libc = dlopen("libc.so.6", RTLD_NOW), *program = dlopen(NULL, RTLD_NOW);
    void *ways[] = {libc, program, RTLD_DEFAULT, RTLD_NEXT};
    int (*found)(int, const struct sockaddr *, socklen_t) = NULL;
    for (int i = 0; i < 4; i++) {
        found = dlvsym(ways[i], "connect", OLDEST);
        EXPECT((void *)found == (void *)connect);
        EXPECT(dlvsym(ways[i], "dlsym", OLDEST) == (void *)dlsym);
        EXPECT(dlvsym(ways[i], "dlvsym", OLDEST) == (void *)dlvsym);
        /* A function without a hook is libc's; one that does not exist is not found. */
        size_t (*length)(const char *, size_t) = dlvsym(ways[i], "strnlen", OLDEST);
        EXPECT(length && length("four", 9) == 4);
        EXPECT(dlvsym(ways[i], "connect", "GLIBC_0.1") == NULL && strstr(dlerror(), "GLIBC_0.1"));
        EXPECT(dlvsym(ways[i], "no such function", OLDEST) == NULL && dlerror() != NULL);
    }
    EXPECT(dlerror() == NULL);

    struct sockaddr_in address = v4("192.0.2.1", 80);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    EXPECT(found(fd, (struct sockaddr *)&address, sizeof address) == 0 && echoes(fd));
}

/* A library that has asked to find libc's functions before anybody else's. */
static void scene_deep(void)
{
    for (int i = 0; i < 2; i++) {
        int mode = RTLD_NOW | RTLD_DEEPBIND;
        void *plugin = i ? dlmopen(LM_ID_BASE, getenv("PLUGIN"), mode) : dlopen(getenv("PLUGIN"), mode);
        EXPECT(plugin);
        int (*reach_by_plugin)(void) = (int (*)(void))dlsym(plugin, "plugin_reach");
        EXPECT(close(reach_by_plugin()) == 0 && dlclose(plugin) == 0);
    }
    EXPECT(dlopen("/no/such/library", RTLD_NOW) == NULL && strstr(dlerror(), "/no/such/library"));
}

static void scene_next(void)
{
    void *plugin = dlopen(getenv("PLUGIN"), RTLD_NOW);
    EXPECT(plugin);
    void *(*next)(const char *, const char *) = dlsym(plugin, "plugin_next");
    EXPECT(next("connect", NULL) == (void *)connect && next("connect", OLDEST) == (void *)connect);
    EXPECT(next("no such function", NULL) == NULL && next("connect", "GLIBC_0.1") == NULL);
    size_t (*length)(const char *, size_t) = next("strnlen", NULL);
    EXPECT(length && length("four", 9) == 4);
}

static void scene_namespaces(void)
{
    EXPECT(dlmopen(LM_ID_NEWLM, getenv("PLUGIN"), RTLD_NOW) == NULL && dlerror() != NULL);
    EXPECT(dlmopen(LM_ID_NEWLM, "libc.so.6", RTLD_NOW) == NULL && dlerror() != NULL);
}

static void scene_go(void)
{
    EXPECT(dlopen(getenv("PLUGIN"), RTLD_NOW) == NULL && strstr(dlerror(), "Go"));
    EXPECT(dlmopen(LM_ID_BASE, getenv("PLUGIN"), RTLD_NOW) == NULL && strstr(dlerror(), "Go"));
}

static const struct scene scenes[] = {
    {"sockets", scene_sockets},
    {"datagrams", scene_datagrams},
    {"fast-open", scene_fast_open},
    {"plain-messages", scene_plain_messages},
    {"options", scene_options}, {"control", scene_control},
    {"inside", scene_inside},
    {"rpc", scene_rpc}, {"private", scene_private}, {"liburing", scene_liburing},
    {"system-calls", scene_system_calls},
    {"upper-half", scene_upper_half},
    {"handles", scene_handles},
    {"versions", scene_versions},
    {"deep", scene_deep},
    {"next", scene_next},
    {"namespaces", scene_namespaces},
    {"go", scene_go},
    {NULL, NULL},
};

int main(int count, char **arguments)
{
    return play(scenes, count, arguments);
}
